"""The states and log lines of a plate's flow run and its task runs: counts, warnings and errors as a person reads them.

An error of the plate becomes a failed state with its own message. Raising it would log tracebacks of Prefect's engine.
"""

import logging

from prefect.client.schemas.objects import State
from prefect.exceptions import FailedRun
from prefect.logging import get_run_logger
from prefect.states import Completed, Failed

from cytobatch.batch.flows.bookkeeping import StepEnded, in_words
from cytobatch.config.plural import plural
from cytobatch.errors import CytobatchError, brief
from cytobatch.report.lines import counts_line, warning_line
from cytobatch.report.model import RunReport

_WARNINGS_LOGGED = 20


def state_of_step(ended: StepEnded) -> State:
    """Return the state of a step that has ended. Raises the signal that ended it, so that the run is crashed."""
    if ended.error is None:
        return Completed(message=f"{ended.step.value}: {ended.seconds:.1f} s")
    return _failed(ended.error, f"{ended.step.value}: {in_words(ended.error)}")


def state_of_outcome(outcome: RunReport | BaseException) -> State:
    """Return the final state of a plate. Raises the signal that ended it, so that the run is crashed."""
    if isinstance(outcome, RunReport):
        return Completed(message=counts_line(outcome))
    return _failed(outcome, str(outcome) if isinstance(outcome, CytobatchError) else in_words(outcome))


def _failed(error: BaseException, message: str) -> State:
    if not isinstance(error, Exception):
        raise error
    return Failed(message=message)


class _NoEmptyTraceback(logging.Filter):
    """Removes `NoneType: None`, which Prefect's engine logs as the traceback of a task that returns a failed state."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep every record."""
        if record.exc_info and record.exc_info[0] is None:
            record.exc_info = None
        return True


class _NoFailedRun(logging.Filter):
    """Removes the record of a flow that returned a failed state, which Prefect's engine raises and logs as unexpected.

    The flow has logged its own message before.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep every other record."""
        return not (record.exc_info and record.exc_info[0] is FailedRun)


logging.getLogger("prefect.task_runs").addFilter(_NoEmptyTraceback())
for _name in ("prefect.flow_runs", "prefect.engine"):
    logging.getLogger(_name).addFilter(_NoFailedRun())


def log_outcome(outcome: RunReport | BaseException) -> None:
    """Log the end of a plate in its flow run: counts, outputs and warnings, or the error's own message."""
    logger = get_run_logger()
    if isinstance(outcome, CytobatchError):
        logger.error("%s", outcome)
    elif isinstance(outcome, Exception):
        # A defect of cytobatch: the traceback is what a report of it needs.
        logger.error("unexpected %s", type(outcome).__name__, exc_info=outcome)
    elif isinstance(outcome, RunReport):
        logger.info("%s", counts_line(outcome))
        for output in outcome.outputs:
            logger.info("%s (%d bytes)", brief(output.path), output.bytes)
        for warning in outcome.warnings[:_WARNINGS_LOGGED]:
            logger.warning("%s", warning_line(warning))
        logger.info("report: %s (%s)", brief(outcome.report), plural(len(outcome.warnings), "warning"))
