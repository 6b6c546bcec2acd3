"""The deployment and the prices that `submit` and `status` work with."""

from cytobatch.batch.aws.deployment import Deployment, parse_deployment
from cytobatch.batch.aws.pricing import LIST_PRICES, PriceTable, parse_prices
from cytobatch.config.environment import read_settings
from cytobatch.errors import JobSpecError
from cytobatch.storage.access import Access, read_text


def read_deployment(uri: str | None, access: Access) -> Deployment:
    """Read the deployment that a flag or the environment names. Raises JobSpecError if neither does."""
    uri = uri or read_settings().deployment
    if uri is None:
        raise JobSpecError(
            "no deployment named",
            where="command line and environment",
            why="queues and buckets are not known",
            remedy="terraform output -json > deployment.json, then --deployment deployment.json "
            "or CYTOBATCH_DEPLOYMENT=deployment.json",
        )
    return parse_deployment(read_text(uri, access), uri)


def read_prices(uri: str | None, access: Access) -> PriceTable:
    """Read the table of prices that a flag names, by default list prices."""
    return parse_prices(read_text(uri, access), uri) if uri else LIST_PRICES
