"""Plates by a task runner other than `sequential`, within a session of Prefect."""

from collections.abc import Callable, Sequence

from cytobatch.batch.flows.preparation import check_task_runner
from cytobatch.batch.flows.session import prefect_session
from cytobatch.batch.plate_work import StepListener
from cytobatch.config.environment import prefect_server_is_given
from cytobatch.config.options import PlateJob
from cytobatch.config.task_runner import TaskRunner
from cytobatch.engine.gc_tuning import gc_frozen
from cytobatch.errors import CytobatchError
from cytobatch.report.model import RunReport


def convert_together(
    jobs: Sequence[PlateJob],
    runner: TaskRunner,
    on_step: StepListener,
    on_end: Callable[[PlateJob, RunReport | CytobatchError], None],
    *,
    debug: bool,
) -> Exception | None:
    """Convert plates by a task runner, and return what Prefect failed in beside the plates, if anything.

    Imports wait until the session has made Prefect's settings.

    Parameters
    ----------
    jobs
        The plates.
    runner
        Their task runner.
    on_step
        Called with a plate and its step, in any thread.
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
    check_task_runner(runner, jobs, server_is_given=prefect_server_is_given())
    with prefect_session(debug=debug):
        with gc_frozen():
            from cytobatch.batch.flows.plates import PlatesRun, run_in_flow

        return run_in_flow(PlatesRun(jobs, on_step, on_end))
