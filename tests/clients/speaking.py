"""Speaks to pgheal with psycopg, through the functions in the database and at the endpoint.

Takes what it needs as JSON on its standard input, and prints a line for each thing that holds; the first that does not
ends it.
"""

import datetime
import json
import sys
import threading
import time

import psycopg
from psycopg import errors, pq, sql
from psycopg.rows import dict_row
from psycopg.types import TypeInfo
from psycopg.types.json import Jsonb

GIVEN = json.load(sys.stdin)
# From libpq 18 on; with longer keys for cancelling.
NEWEST_PROTOCOL = {"max_protocol_version": "3.2"} if pq.version() >= 180000 else {}
DEADLINE_S = 60
STATUS = "SELECT ruvector_dag_healing_status()"
ISSUES = "SELECT * FROM ruvector_dag_detected_issues(%s)"
HISTORY = "SELECT * FROM ruvector_dag_repair_history(%s, %s)"
REPAIR = "SELECT ruvector_dag_repair(%(table)s, %(issue)s)"
SEVERITIES = {"critical", "high", "medium", "low"}
IDLE, IN_TRANSACTION, IN_ERROR = (
    pq.TransactionStatus.IDLE,
    pq.TransactionStatus.INTRANS,
    pq.TransactionStatus.INERROR,
)


class Side:
    """One of the two ways to pgheal."""

    def __init__(self, name):
        given = GIVEN[name]
        self.name, self.url, self.limited_url, self.tables = name, given["url"], given["limited_url"], given["tables"]
        self.is_endpoint = name == "endpoint"

    def connect(self, **options):
        return psycopg.connect(self.url, connect_timeout=10, **{"autocommit": True, **options})


def refused(error, call):
    """That `call` is refused with this class of psycopg's, which stands for a SQLSTATE; gives the error."""
    try:
        call()
    except error as refusal:
        assert type(refusal) is error, repr(refusal)
        return refusal
    raise AssertionError(f"it was not refused with {error.__name__}")


def eventually(what, look):
    """Looks until there is something."""
    ends = time.monotonic() + DEADLINE_S
    while not (found := look()):
        assert time.monotonic() < ends, f"in vain: {what}"
        time.sleep(0.05)
    return found


def is_time(value):
    return isinstance(value, datetime.datetime) and value.utcoffset() is not None


class Asking:
    """Asks with parameters, in one format, prepared or not; rows are dictionaries."""

    def __init__(self, side, table, binary, prepare):
        self.table, self.binary, self.prepare = table, binary, prepare
        self.connection = side.connect()
        self.cursor = self.connection.cursor(binary=binary, row_factory=dict_row)
        self.issue = None

    def ask(self, statement, parameters=None, twice=True):
        # Twice: the second time, what was prepared is there already.
        for _ in range(2 if self.prepare and twice else 1):
            rows = self.cursor.execute(statement, parameters, prepare=self.prepare).fetchall()
            assert self.cursor.pgresult.fformat(0) == (1 if self.binary else 0)
        return rows

    def status_and_health(self):
        status = self.ask(STATUS)[0]["ruvector_dag_healing_status"]
        assert status["state"] == "leading" and status["auto_heal_enabled"] is False, status
        assert isinstance(status["metrics"]["checks_performed"], int), status
        health = self.ask("SELECT ruvector_dag_health_check(%s) AS health", (self.table,))[0]["health"]
        assert health["indexes"][0]["name"] == f"{self.table}_idx", health
        typed = self.ask(
            "SELECT (ruvector_dag_health_check(%(table)s)->'indexes'->0->>'recall_at_10')::float8 AS recall,"
            " (ruvector_dag_healing_status()->>'auto_heal_enabled')::bool AS heals, %(number)s::int8 AS number",
            {"table": self.table, "number": 7_000_000_000},
        )[0]
        assert isinstance(typed["recall"], float) and 0 <= typed["recall"] < 0.95, typed
        assert typed["heals"] is False and typed["number"] == 7_000_000_000, typed

    def issues_and_repair(self):
        issues = self.ask(ISSUES, (self.table,))
        worst = min(issues, key=lambda issue: (issue["severity"], issue["issue_id"]))
        assert worst["severity"] in SEVERITIES and worst["issue_id"].startswith(worst["kind"]), worst
        assert isinstance(worst["evidence"], list) and {"name", "value"} <= set(worst["evidence"][0]), worst
        assert worst["index_name"] == f"public.{self.table}_idx" and is_time(worst["detected_at"]), worst
        earlier = f"{ISSUES} WHERE detected_at <= %s AND severity = %s"
        found = self.ask(earlier, (self.table, worst["detected_at"], worst["severity"]))
        assert worst in found and {issue["severity"] for issue in found} == {worst["severity"]}, found
        asked = {"table": self.table, "issue": worst["issue_id"]}
        ticket = self.ask(REPAIR, asked, twice=False)[0]["ruvector_dag_repair"]
        assert isinstance(ticket["ticket"], int) and worst["issue_id"] in ticket["message"], ticket
        self.issue = worst

    def history(self):
        healed = lambda: [r for r in self.ask(HISTORY, (self.table, 7)) if r["outcome"] == "healed"]
        record = eventually("healed", healed)[0]
        assert isinstance(record["id"], int) and isinstance(record["duration_ms"], int), record
        assert (record["issue_id"], record["issue_kind"]) == (self.issue["issue_id"], self.issue["kind"]), record
        assert is_time(record["started_at"]) and record["started_at"] <= record["finished_at"], record
        assert isinstance(record["before"], dict) and isinstance(record["after"], dict), record
        later = self.ask(f"{HISTORY} WHERE started_at > %s", (self.table, 7, record["started_at"]))
        assert all(r["started_at"] > record["started_at"] for r in later), later


def five_functions(side):
    """The answers have PostgreSQL's types, whatever the format."""
    formats = [(binary, prepare) for binary in (False, True) for prepare in (False, True)]
    asking = [Asking(side, table, *ways) for table, ways in zip(side.tables, formats, strict=True)]
    for step in (Asking.status_and_health, Asking.issues_and_repair):
        for each in asking:
            step(each)
    return asking


def names_and_types_of_columns(side):
    with side.connect() as connection:
        descriptions = {}
        for statement, parameters in [
            (STATUS, None),
            ("SELECT ruvector_dag_health_check(%s)", ("none",)),
            (ISSUES, ("none",)),
            (REPAIR, {"table": "none", "issue": "none"}),
            (HISTORY, ("none", 7)),
            ("SHOW ruvector.dag_healing_threshold", None),
            ("SELECT ruvector_dag_healing_status()->>'state'", None),
            ("SELECT issue_id AS id, detected_at FROM ruvector_dag_detected_issues(%s)", ("none",)),
        ]:
            # As the server describes the statement, without carrying it out.
            query = psycopg._queries.PostgresQuery(psycopg.adapt.Transformer.from_context(connection))
            query.convert(statement, parameters)
            connection.execute("SET ruvector.dag_healing_threshold = 0.3")
            prepared = connection.pgconn.prepare(b"described", query.query)
            assert prepared.status == pq.ExecStatus.COMMAND_OK, prepared.error_message
            found = connection.pgconn.describe_prepared(b"described")
            descriptions[statement] = [
                (found.fname(place).decode(), found.ftype(place), found.fsize(place)) for place in range(found.nfields)
            ]
            connection.execute("DEALLOCATE described")
        connection.execute("RESET ruvector.dag_healing_threshold")
    return descriptions


def settings(side):
    """They hold for the session's calls, at the endpoint for the engine."""
    name = "ruvector.dag_healing_threshold"
    with side.connect() as connection:
        effective = lambda: next(
            s for s in connection.execute(STATUS).fetchone()[0]["settings"] if s["name"] == name
        )
        before = effective()
        connection.execute("SET ruvector.dag_healing_threshold = 0.25")
        assert connection.execute(f"SHOW {name}").fetchone() == ("0.25",)
        source = "endpoint" if side.is_endpoint else "session"
        assert (effective()["value"], effective()["source"]) == ("0.25", source), effective()
        connection.execute(sql.SQL("SET {} = {}").format(sql.Identifier(*name.split(".")), sql.Literal("0.5")))
        assert effective()["value"] == "0.5"
        # SET takes no parameters; this does.
        answer = connection.execute("SELECT set_config(%s, %s, false)", (name, "0.75")).fetchone()
        assert answer == ("0.75",) and effective()["value"] == "0.75"
        assert connection.execute("SELECT current_setting(%s)", (name,), binary=True).fetchone() == ("0.75",)

        def too_large():
            connection.execute("SET ruvector.dag_healing_threshold = 7")
            connection.execute(STATUS)

        told = str(refused(errors.InvalidParameterValue, too_large))
        assert name in told and "above 0" in told, told
        connection.execute(f"RESET {name}")
        assert effective() == before, (effective(), before)


def transactions(side):
    with side.connect(autocommit=False) as connection:
        state = lambda: connection.info.transaction_status
        assert state() == IDLE
        connection.execute(STATUS)
        assert state() == IN_TRANSACTION
        refused(errors.UndefinedObject, lambda: connection.execute("SELECT ruvector_dag_health_check('nowhere')"))
        assert state() == IN_ERROR
        refused(errors.InFailedSqlTransaction, lambda: connection.execute(STATUS))
        connection.rollback()
        assert state() == IDLE
        with connection.transaction():
            connection.execute(STATUS)
            try:
                # A savepoint, which takes the error back.
                with connection.transaction():
                    connection.execute("SELECT ruvector_dag_health_check('nowhere')")
            except errors.UndefinedObject:
                pass
            assert state() == IN_TRANSACTION
            assert connection.execute(STATUS).fetchone()[0]["state"] == "leading"
        assert state() == IDLE
        connection.execute("SELECT 1")
        connection.commit()
        connection.autocommit = True
        connection.execute("BEGIN")
        connection.execute(STATUS)
        assert state() == IN_TRANSACTION
        connection.execute("ROLLBACK")
        connection.execute(STATUS)
        assert state() == IDLE
    for options in [{"isolation_level": psycopg.IsolationLevel.SERIALIZABLE}, {"read_only": True, "deferrable": True}]:
        with side.connect(autocommit=False) as connection:
            for option, value in options.items():
                setattr(connection, option, value)
            assert connection.execute(STATUS).fetchone()[0]["state"] == "leading"


def refusals(side):
    """Each has its SQLSTATE's class."""
    with psycopg.connect(side.limited_url, autocommit=True) as limited:
        call = lambda: limited.execute(REPAIR, {"table": "none", "issue": "none"})
        assert "permi" in str(refused(errors.InsufficientPrivilege, call)) or side.is_endpoint
    with side.connect() as connection:
        table = side.tables[0]
        for error, statement, parameters in [
            (errors.UndefinedObject, REPAIR, {"table": table, "issue": "no-such-issue"}),
            (errors.UndefinedObject, ISSUES, ('nowhere"; DROP TABLE notes; --',)),
            (errors.InvalidParameterValue, HISTORY, (table, 0)),
            (errors.UndefinedFunction, "SELECT ruvector_dag_no_such_function()", None),
            (errors.UndefinedColumn, "SELECT nothing FROM ruvector_dag_detected_issues(%s)", (table,)),
            (errors.SyntaxError, "SELEC 1", None),
        ]:
            refusal = refused(error, lambda: connection.execute(statement, parameters))
            assert refusal.sqlstate == error.sqlstate and refusal.diag.severity == "ERROR", repr(refusal)
            assert refusal.diag.message_primary, repr(refusal)
        assert connection.execute("SELECT 1").fetchone() == (1,)
    if side.is_endpoint:
        wrong = lambda: psycopg.connect(side.url, password="wrong", connect_timeout=10)
        assert "password authentication failed" in str(refused(psycopg.OperationalError, wrong))


def pipelines(side):
    with side.connect() as connection:
        table = side.tables[0]
        with connection.pipeline():
            cursors = [connection.execute(STATUS), connection.execute(ISSUES, (table,)), connection.execute("SELECT 1")]
            assert cursors[2].fetchone() == (1,)
        assert cursors[0].fetchone()[0]["state"] == "leading"

        def failing():
            with connection.pipeline() as pipeline:
                connection.execute("SELECT ruvector_dag_health_check('nowhere')")
                connection.execute("SELECT 2")
                pipeline.sync()

        # Told at once, or when it is asked for; what follows an error is left out, and then all goes on.
        refused(errors.UndefinedObject, failing)
        assert connection.execute("SELECT 3").fetchone() == (3,)
        connection.cursor().executemany(HISTORY, [(table, 1), (table, 2)], returning=True)
        assert connection.execute("SELECT 4").fetchone() == (4,)


def cancelling(side):
    """A statement is under way when it is cancelled, however slow the machine: it is cancelled until it ends."""
    with psycopg.connect(GIVEN["superuser_url"]) as keeper, side.connect(**NEWEST_PROTOCOL) as connection:
        # The history is in the daemon's table: reading it waits for this.
        keeper.execute("LOCK TABLE pgheal.repairs IN ACCESS EXCLUSIVE MODE")
        ended = threading.Event()

        def cancel():
            while not ended.wait(0.05):
                connection.cancel_safe(timeout=10)

        canceller = threading.Thread(target=cancel)
        canceller.start()
        try:
            refused(errors.QueryCanceled, lambda: connection.execute(HISTORY, (side.tables[0], 7)))
        finally:
            ended.set()
            canceller.join()
        keeper.rollback()
        # A cancel that came too late is nobody's.
        eventually("an answer", lambda: answers(connection))


def answers(connection):
    try:
        return connection.execute(HISTORY, (GIVEN["functions"]["tables"][0], 7)).description
    except errors.QueryCanceled:
        return None


def other_cursors(side):
    table = side.tables[0]
    now = datetime.datetime.now(datetime.timezone.utc)
    with side.connect() as connection:
        # Puts the values in on this side: literals with casts.
        client = psycopg.ClientCursor(connection)
        rows = client.execute(f"{HISTORY} WHERE started_at < %s AND %s", (table, 7, now, True)).fetchall()
        assert rows is not None and client.description[8].name == "started_at"
        assert client.execute("SELECT %s->>'a'", (Jsonb({"a": "it's \\ \"so\""}),)).fetchone() == ('it\'s \\ "so"',)
        raw = psycopg.RawCursor(connection)
        assert raw.execute("SELECT * FROM ruvector_dag_detected_issues($1)", (table,)).description[0].name == "issue_id"
        with connection.cursor() as cursor:
            assert all(row[0] for row in cursor.stream(ISSUES, (table,)))
            cursor.execute("SELECT %t, %b::int4, %s", ("text", 5, None))
            assert cursor.fetchone() == ("text", 5, None)
        assert connection.execute("SELECT 1; SELECT 2").nextset()
        assert TypeInfo.fetch(connection, "no_such_type") is None
        text = TypeInfo.fetch(connection, "text")
        assert (text.name, text.oid, text.array_oid, text.regtype) == ("text", 25, 1009, "text"), text
        # Prepared by itself after some calls.
        for _ in range(8):
            assert connection.execute(ISSUES, (table,)).description[6].type_code == 1184


def connections(side):
    for options in [
        {"target_session_attrs": "read-write"},
        {"application_name": "a tool"},
        {"options": "-c statement_timeout=30000 -c search_path=public"},
        {"client_encoding": "utf8"},
        NEWEST_PROTOCOL,
    ]:
        with side.connect(**options) as connection:
            assert connection.execute(STATUS).fetchone()[0]["state"] == "leading", options
            assert connection.info.encoding == "utf-8" and connection.info.backend_pid > 0, options


def probes(side):
    """What tools ask when they connect: an answer, or a refusal that says why; the connection stays."""
    if not side.is_endpoint:
        return
    with side.connect() as connection:
        pid = connection.info.backend_pid
        for statement in GIVEN["probes"]:
            try:
                connection.execute(statement)
            except psycopg.Error as refusal:
                assert refusal.sqlstate in ("0A000", "42883", "42703", "42704"), (statement, repr(refusal))
                assert refusal.diag.message_primary, statement
            assert connection.info.transaction_status == IDLE, statement
        assert connection.execute("SELECT pg_backend_pid()").fetchone() == (pid,)
        refusal = refused(errors.FeatureNotSupported, lambda: connection.execute("SELECT oid FROM pg_class"))
        assert "this is pgheal" in str(refusal) and "pgheal.issues" in refusal.diag.message_hint


def main():
    sides = [Side("functions"), Side("endpoint")]
    # While the repairs run, the rest is asked.
    asking = {side.name: five_functions(side) for side in sides}
    for side in sides:
        for part in (settings, transactions, refusals, pipelines, cancelling, other_cursors, connections, probes):
            part(side)
            print(f"{side.name}: {part.__name__}")
    for name, all_asking in asking.items():
        for each in all_asking:
            each.history()
            each.connection.close()
            print(f"{name}: five functions, binary={each.binary}, prepared={each.prepare}")
    described = [names_and_types_of_columns(side) for side in sides]
    assert described[0] == described[1], described
    print(f"both: {len(described[0])} descriptions")


main()
