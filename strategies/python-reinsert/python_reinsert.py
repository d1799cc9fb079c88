"""Re-inserts the rows that no search finds, and vacuums, round by round while that helps.

Granted in the configuration as `[policy.python_reinsert.grant]`: reinsert-rows, vacuum.

The class `WitWorld` has the exports of the world `strategy` in wit/policy.wit, in snake_case; what the host offers is
imported from `wit_world.imports`. An `option` is a value or None, a case of a `variant` is a class of its own
(`IssueKind_BlindSpots`), and the error of a `result` is raised as `Err(...)`. There is no clock, no randomness, no
file and no network, and every call runs in a fresh instance: nothing is remembered between them but what is in the
result's details.
"""

import functools
import traceback
from typing import List, Optional

from componentize_py_types import Err
from wit_world.imports import actions, log, measure, settings
from wit_world.imports.context import RepairContext
from wit_world.imports.log import Level
from wit_world.imports.settings import SettingDeclaration, SettingKind_Integer
from wit_world.imports.types import (
    AccessMethod,
    Detail,
    HostError_Denied,
    HostError_GateFailed,
    IndexHealth,
    Issue,
    IssueKind_BlindSpots,
    IssueKind_LowRecall,
    RepairError_CannotImprove,
    RepairError_Host,
    RepairError_UnsupportedIssue,
    RepairError_ValidationFailed,
    RepairResult,
)

REPAIR_TYPE = "orphan_reconnection"
ROWS_PER_ROUND = 20_000
# Fewer than these are left alone.
GOOD_ENOUGH_SHARE = 0.001
# Rounds in a row that gained nothing end it. One proves nothing: vacuum relinks the neighbours of what it removes,
# sometimes badly.
MAX_IDLE_ROUNDS = 3
# Where no repair of this type has been measured yet.
ESTIMATE_MS = 60_000


def told(export):
    """Writes an exception to the log, which is where its words can be read: there is no standard error. Where it was
    raised is told by line; the lines themselves lie in files, and there are none."""

    @functools.wraps(export)
    def wrapper(*arguments):
        try:
            return export(*arguments)
        except Err:
            raise
        except Exception as error:
            lines = [f"{frame.f_code.co_name}:{line}" for frame, line in traceback.walk_tb(error.__traceback__)]
            log.write(Level.ERROR, f"{error!r} in {', '.join(lines)}")
            raise

    return wrapper


class WitWorld:
    @told
    def name(self) -> str:
        return "python_reinsert"

    @told
    def settings(self) -> List[SettingDeclaration]:
        """What an operator can write into `[policy.python_reinsert.settings]`; the host checks it against this."""
        rounds = SettingKind_Integer((1, 100))
        return [SettingDeclaration("max_rounds", rounds, "10", "More rounds than this are not tried.")]

    @told
    def can_repair(self, issue: Issue) -> bool:
        index = issue.index
        return (
            index is not None
            and index.method == AccessMethod.HNSW
            and isinstance(issue.kind, (IssueKind_BlindSpots, IssueKind_LowRecall))
        )

    @told
    def propose(self, issue: Issue, context: RepairContext) -> str:
        if context.reinsertion_refused is not None:
            return f"nothing: rows cannot be re-inserted: {context.reinsertion_refused}"
        missed = measure.health(issue.index).unfindable
        return f"re-insert the {'unknown' if missed is None else missed} rows that a search cannot find, and vacuum"

    @told
    def repair(self, issue: Issue, context: RepairContext) -> RepairResult:
        if not self.can_repair(issue):
            raise Err(RepairError_UnsupportedIssue())
        if context.reinsertion_refused is not None:
            raise Err(RepairError_CannotImprove(f"rows cannot be re-inserted: {context.reinsertion_refused}"))
        try:
            return reconnect(issue, context)
        except Err as error:
            raise Err(as_repair_error(error.value)) from error

    @told
    def validate(self, issue: Issue, outcome: RepairResult) -> bool:
        """The index is measured once more, against the targets that the repair had."""
        facts = {detail.name: float(detail.value) for detail in outcome.details}
        missing = shortfall(measure.health(issue.index), facts["recall_target"], facts["max_blind_share"])
        if missing is not None:
            log.write(Level.WARN, f"not healed: {missing}")
        return missing is None

    def rollback(self, outcome: RepairResult) -> None:
        """Re-inserted rows are as they were: there is nothing to take back."""

    @told
    def estimated_duration(self, issue: Issue) -> int:
        past_ms = measure.past_duration_ms(REPAIR_TYPE)
        return ESTIMATE_MS if past_ms is None else past_ms


def reconnect(issue: Issue, context: RepairContext) -> RepairResult:
    """A row that no search finds gets a new element with fresh edges, and becomes a way into its region for others.
    Hence the rounds: each is measured, and beyond the targets they go on while they gain."""
    index = issue.index
    max_rounds = int(settings.get("max_rounds"))
    before = health = measure.health(index)
    best, idle, rounds, rows = health.unfindable, 0, 0, 0
    while True:
        missing = shortfall(health, context.recall_target, context.max_blind_share)
        if missing is None and (idle > 0 or rounds == max_rounds or unfindable_share(health) <= GOOD_ENOUGH_SHARE):
            break
        if rounds == max_rounds or idle == MAX_IDLE_ROUNDS:
            raise Err(RepairError_CannotImprove(f"{missing} after {rounds} rounds"))
        lost = measure.unfindable_rows(index, ROWS_PER_ROUND)
        if not lost and missing is None:
            break
        if not lost:
            raise Err(RepairError_CannotImprove(f"{missing}, though a search for its own vector finds every row"))
        done = actions.reinsert_rows(index, lost)
        actions.vacuum(index)
        health = measure.health(index)
        rounds, rows = rounds + 1, rows + done.rows
        gained = best is not None and health.unfindable is not None and health.unfindable < best
        best, idle = (health.unfindable, 0) if gained else (best, idle + 1)
        log.write(Level.INFO, f"round {rounds}: {done.rows} rows re-inserted, {health.unfindable} not found now")
    facts = {
        "rounds": rounds,
        "rows_reinserted": rows,
        "recall_before": before.recall,
        "recall_after": health.recall,
        "unfindable_before": before.unfindable,
        "unfindable_after": health.unfindable,
        "recall_target": context.recall_target,
        "max_blind_share": context.max_blind_share,
    }
    details = [Detail(name, str(value)) for name, value in facts.items() if value is not None]
    # The host fills in the duration.
    return RepairResult(success=True, repair_type=REPAIR_TYPE, duration_ms=0, backup=None, details=details)


def shortfall(health: IndexHealth, recall_target: float, max_blind_share: float) -> Optional[str]:
    """None where the targets are reached. What could not be measured does not reach them."""
    if health.recall is None or health.blind_share is None:
        return "its recall could not be measured"
    if health.recall >= recall_target and max(health.blind_share, unfindable_share(health)) <= max_blind_share:
        return None
    return (
        f"recall {health.recall:.4f}, {health.blind_share:.2%} of the queries are blind, "
        f"{unfindable_share(health):.2%} of the rows are not found"
    )


def unfindable_share(health: IndexHealth) -> float:
    """Of the rows, those whose own vector does not lead a search to them; where that is unknown, blind queries tell
    enough."""
    if health.unfindable is None or not health.unfindable_of:
        return 0.0
    return health.unfindable / health.unfindable_of


def as_repair_error(error):
    """What the host refuses to do ends a repair with the host's words."""
    if isinstance(error, (RepairError_UnsupportedIssue, RepairError_CannotImprove, RepairError_Host)):
        return error
    if isinstance(error, HostError_GateFailed):
        return RepairError_ValidationFailed(error.value)
    words = error.value if isinstance(error.value, str) else " ".join(error.value)
    return RepairError_Host(f"not granted: {words}" if isinstance(error, HostError_Denied) else words)
