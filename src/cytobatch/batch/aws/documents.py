"""The documents of a submission: the deployment that a path or the environment names, and the table of prices."""

from cytobatch.batch.aws.deployment import Deployment, PrefectPool, parse_deployment, parse_prefect_pool
from cytobatch.batch.aws.pricing import LIST_PRICES, PriceTable, parse_prices
from cytobatch.config.environment import read_settings
from cytobatch.errors import JobSpecError
from cytobatch.storage.access import Access, read_text


def read_deployment(uri: str | None, access: Access) -> Deployment:
    """Read the deployment that a path, a URI or the environment names. Raises JobSpecError if none does."""
    uri = _named(uri)
    return parse_deployment(read_text(uri, access), uri)


def read_prefect_pool(uri: str | None, access: Access) -> PrefectPool:
    """Read the work pool of a deployment. Raises JobSpecError if no deployment is named, or it has no pool."""
    uri = _named(uri)
    return parse_prefect_pool(read_text(uri, access), uri)


def _named(uri: str | None) -> str:
    uri = uri or read_settings().deployment
    if uri is None:
        raise JobSpecError(
            "no deployment named",
            where="options and environment",
            why="queues and buckets are not known",
            remedy="terraform output -json > deployment.json, then --deployment deployment.json "
            "or CYTOBATCH_DEPLOYMENT=deployment.json",
        )
    return uri


def read_prices(uri: str | None, access: Access) -> PriceTable:
    """Read the table of prices that a flag names, by default list prices."""
    return parse_prices(read_text(uri, access), uri) if uri else LIST_PRICES
