"""A process that runs plates on this machine whenever Prefect's server has a run for them."""

from typing import Any
from warnings import catch_warnings, simplefilter

from httpx import HTTPError
from prefect import Flow, serve
from prefect.deployments.runner import RunnerDeployment
from prefect.exceptions import PrefectException
from prefect.settings import PREFECT_API_URL
from prefect.types.entrypoint import EntrypointType

from cytobatch.batch.flows import plates
from cytobatch.batch.flows.plate import convert_plate
from cytobatch.batch.flows.probe import probe
from cytobatch.batch.flows.reasons import reason_of
from cytobatch.errors import ServiceError

_TAGS = ["cytobatch"]


def serve_flows(name: str, limit: int) -> None:
    """Offer the flows of one plate and of many at the server, and run what it asks for until a signal comes.

    `name` is that of both deployments. Each run is a process of its own, at most `limit` of them at once. Raises
    ServiceError if the server does not take a deployment.
    """
    url = str(PREFECT_API_URL.value())
    try:
        probe()
        deployments = [_deployment(flow, name) for flow in (convert_plate, plates.convert)]
        with catch_warnings():
            # Prefect ends on SIGTERM with a warning about a coroutine of its own.
            simplefilter("ignore", RuntimeWarning)
            serve(*deployments, limit=limit, print_starting_message=False)
    except (HTTPError, PrefectException) as error:
        raise ServiceError(
            "Prefect's server does not take the deployment",
            where=url,
            why=reason_of(error, url),
            remedy="check PREFECT_API_URL, and that the server is up: prefect server start",
        ) from error


def _deployment(flow: Flow[..., Any], name: str) -> RunnerDeployment:
    deployment: RunnerDeployment = RunnerDeployment.from_flow(
        flow,
        name=name,
        description="Plates on the machine on which `cytobatch serve` runs.",
        tags=_TAGS,
        # The package is installed, and where its files are differs between machines.
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
    return deployment
