"""A step that fails costs no more requests than it must."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from portico.engine.plan import Row, RowResult, Runner, StepPlan
from portico.errors import PorticoError
from portico.logs import about

log = logging.getLogger(__name__)


def run_apart(runner: Runner, plan: StepPlan, request_id_of: Callable[[Row], str]) -> Sequence[RowResult]:
    """Run a plan; if that fails, run its rows one by one, so that only those that fail alone are lost."""
    if not plan.rows:
        return []
    try:
        return runner.run(plan)
    except PorticoError as error:
        log.warning("a step of %d rows failed, which now run one by one: %s", len(plan.rows), error)
    except Exception:
        log.exception("a step of %d rows failed; running its rows one by one", len(plan.rows))
    return [result for row in plan.rows for result in _run_alone(runner, row, request_id_of(row))]


def _run_alone(runner: Runner, row: Row, request_id: str) -> Sequence[RowResult]:
    try:
        return runner.run(StepPlan((row,)))
    except Exception as error:
        known = isinstance(error, PorticoError)
        log.warning("request %s failed", request_id, exc_info=not known, extra=about(request_id))
        return [RowResult(error=str(error) if known else f"the model step failed: {type(error).__name__}")]
