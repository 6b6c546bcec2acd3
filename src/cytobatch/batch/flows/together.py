"""Plates by a task runner other than `sequential`, with Prefect for the length of the run."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from cytobatch.batch.flows.preparation import check_task_runner
from cytobatch.batch.flows.settings import prefect_settings
from cytobatch.batch.flows.start import start_prefect
from cytobatch.batch.plate_events import EventListener
from cytobatch.config.environment import prefect_server_is_given
from cytobatch.config.options import PlateJob
from cytobatch.config.task_runner import TaskRunner
from cytobatch.config.variables import temporary_variables
from cytobatch.engine.gc_tuning import gc_frozen
from cytobatch.errors import CytobatchError
from cytobatch.report.model import RunReport
from cytobatch.storage.access import storage_errors

_LEAST_CLOSE_SECONDS = 1.0
"""How long a run that ends by an error or a signal, or whose server did not answer, sends events and logs."""
# A plate's task has no flow run if Prefect's server did not take one.
_QUIET = {"PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore"}


def convert_together(
    jobs: Sequence[PlateJob],
    runner: TaskRunner,
    on_event: EventListener,
    on_end: Callable[[PlateJob, RunReport | CytobatchError], None],
    *,
    debug: bool,
) -> str | None:
    """Convert plates by a task runner, and return why Prefect's record of the run is incomplete, if it is.

    Imports wait until Prefect's settings are made, because Prefect reads them at import.

    Parameters
    ----------
    jobs
        The plates.
    runner
        Their task runner.
    on_event
        Called with what plates announce, in any thread.
    on_end
        Called in this thread with each plate's report or error.
    debug
        Whether Prefect logs to the terminal.

    Raises
    ------
    ConfigurationError
        If the plates cannot be converted this way, or a worker has another version of cytobatch.
    StorageError
        If the scheduler of a Dask cluster does not answer.
    """
    server_is_given = prefect_server_is_given()
    check_task_runner(runner, jobs, server_is_given=server_is_given)
    with _prefect(debug=debug) as close:
        with gc_frozen():
            from cytobatch.batch.flows.plates import PlatesRun, run_in_flow

        seconds = _LEAST_CLOSE_SECONDS
        try:
            reason = run_in_flow(PlatesRun(jobs, on_event, on_end, recorded=server_is_given))
            if not reason:
                seconds = max(job.prefect_wait for job in jobs)
        finally:
            close(seconds)
        return reason


@contextmanager
def _prefect(*, debug: bool) -> Iterator[Callable[[float], object]]:
    """Make Prefect's settings, and start its server if the user has none, before anything of Prefect is used.

    A task runner needs both from the beginning, while a session of single plates starts them with the first one.

    Yields the function that sends the last events and logs within some seconds, if the server outlives the run.
    """
    with ExitStack() as stack:
        with storage_errors("the system's folder for temporary files"):
            stack.enter_context(temporary_variables({}, _QUIET))
            server = stack.enter_context(prefect_settings(debug=debug))
        yield start_prefect(stack, server, debug=debug) or (lambda _: None)
