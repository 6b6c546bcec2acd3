"""The flow of a wave of plates on AWS Batch: `cytobatch submit`, `status` and `collect` in one, started by a server."""

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.logging import get_run_logger
from prefect.states import Completed, Failed

from cytobatch.batch.aws.outcomes import outcomes_line
from cytobatch.batch.flows.credentials import provide_blocks
from cytobatch.batch.flows.states import log_outcome, state_of_outcome
from cytobatch.batch.flows.wave import Wave, WaveEnd, WaveOptions
from cytobatch.batch.flows.wave_artifacts import publish_wave_artifacts
from cytobatch.config.job_spec import JobSpec
from cytobatch.errors import CytobatchError

_DEFAULTS = WaveOptions()


@flow(name="cytobatch-submit", flow_run_name="submit plates", persist_result=False)
def submit_plates(
    spec: JobSpec, deployment: str | None = None, overview: str | None = None, options: WaveOptions = _DEFAULTS
) -> State:
    """Submit the plates of a job spec to AWS Batch, wait for them, and collect their reports.

    The run fails if a plate does. The others are collected all the same.

    Parameters
    ----------
    spec
        The plates and what they share. Variables of the process win over it, unless it is `resolved`.
    deployment
        What Terraform set up: a path or URI of `terraform output -json`; by default CYTOBATCH_DEPLOYMENT.
    overview
        The folder that gets batch.parquet, batch.csv and index.html; by default one beside the specs of the jobs.
    options
        The options of the wave.
    """
    provide_blocks(in_flow_run=True)
    try:
        end = Wave.open(spec, deployment, overview, options).run()
    except CytobatchError as error:
        log_outcome(error)
        return state_of_outcome(error)
    publish_wave_artifacts(end)
    return _state_of(end)


def _state_of(end: WaveEnd) -> State:
    """Log the end of a wave, and return the state of its flow run."""
    logger, line = get_run_logger(), outcomes_line(end.outcomes)
    for path in end.overview:
        logger.info("overview: %s", path)
    if any(outcome.is_bad for outcome in end.outcomes):
        logger.error("%s", line)
        return Failed(message=line)
    logger.info("%s", line)
    return Completed(message=line)
