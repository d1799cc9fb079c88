"""Asks pgheal with psycopg while a transaction holds locks: the transaction itself by the functions, and meanwhile somebody
else at the endpoint.

Takes what it needs as JSON on its standard input, and prints a line for each transaction.
"""

import json
import sys

import psycopg

GIVEN = json.load(sys.stdin)


def ask_all(connection, table, issue, binary):
    """All five; the repair where there is an issue for it. The server, or psycopg, ends what takes longer."""
    with connection.cursor(binary=binary) as cursor:
        status = cursor.execute("SELECT ruvector_dag_healing_status()").fetchone()[0]
        assert status["state"] == "leading", status
        health = cursor.execute("SELECT ruvector_dag_health_check(%s)", (table,)).fetchone()[0]
        assert health["indexes"][0]["name"] == f"{table}_idx", health
        ids = cursor.execute("SELECT issue_id FROM ruvector_dag_detected_issues(%s)", (table,)).fetchall()
        assert (issue,) in ids, ids
        history = "SELECT id FROM ruvector_dag_repair_history(%s, %s)"
        assert cursor.execute(history, (table, 7)).description[0].name == "id"


def repair(connection, table, issue):
    return connection.execute("SELECT ruvector_dag_repair(%s, %s)", (table, issue)).fetchone()[0]["ticket"]


def main():
    for number, given in enumerate(GIVEN["transactions"]):
        table, issue, binary = given["table"], given["issue"], number % 2 == 1
        with (
            psycopg.connect(GIVEN["functions_url"], autocommit=True) as holder,
            psycopg.connect(GIVEN["endpoint_url"], autocommit=True) as other,
        ):
            holder.execute("SET statement_timeout = '10s'")
            holder.execute(given["begin"])
            holder.execute(given["lock"])
            ask_all(holder, table, issue, binary)
            ask_all(other, table, issue, binary)
            ticket = repair(other if given["asks_at_endpoint"] else holder, table, issue)
            assert isinstance(ticket, int), ticket
            # While it waits, or works, everything still answers.
            ask_status = "SELECT ruvector_dag_healing_status()"
            for connection in (holder, other):
                assert connection.execute(ask_status).fetchone()[0]["state"] == "leading"
            assert holder.info.transaction_status == psycopg.pq.TransactionStatus.INTRANS
            holder.execute("COMMIT")
        print(f"{given['lock']}: ticket {ticket}")


main()
