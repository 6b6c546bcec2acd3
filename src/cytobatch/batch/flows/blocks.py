"""Blocks of Prefect's server that hold credentials of an S3 API."""

from collections.abc import Callable
from typing import cast

from httpx import HTTPError
from prefect.exceptions import ObjectNotFound, PrefectException
from prefect.settings import PREFECT_API_URL
from prefect_aws import AwsCredentials, MinIOCredentials
from prefect_aws.client_parameters import AwsClientParameters

from cytobatch.batch.flows.probe import probe
from cytobatch.batch.flows.reasons import reason_of
from cytobatch.config.credentials import BLOCK_TYPES
from cytobatch.errors import ConfigurationError, ServiceError
from cytobatch.storage.access import storage_errors
from cytobatch.storage.credentials import StoreCredentials

Block = AwsCredentials | MinIOCredentials

_TYPES: dict[str, type[Block]] = dict(zip(BLOCK_TYPES, (AwsCredentials, MinIOCredentials), strict=True))
_USUAL = {"use_ssl": True, "verify": True}
_USED = "endpoint_url"
"""The one parameter of a block's clients that other clients take over."""


def load_block(name: str) -> StoreCredentials:
    """Return the credentials of a block by its name, `<type>/<name>`.

    Raises
    ------
    ConfigurationError
        If there is no such block, or it cannot be used here.
    ServiceError
        If Prefect's server does not answer.
    StorageError
        If AWS refuses the role that the block names.
    """
    block = _block(name)
    _check_parameters(name, block.aws_client_parameters)
    with storage_errors(name):
        session = block.get_boto3_session()
        found = session.get_credentials()
        keys = found.get_frozen_credentials() if found else None
    if keys is None:
        raise ConfigurationError(
            "block has no credentials",
            where=name,
            why="it has neither keys nor a profile of this machine",
            remedy="save the block again with an access key and a secret key",
        )
    return StoreCredentials(
        name,
        access_key=keys.access_key,
        secret_key=keys.secret_key,
        token=keys.token,
        region=block.region_name,
        endpoint_url=block.aws_client_parameters.endpoint_url,
    )


def _block(name: str) -> Block:
    kind, _, document = name.partition("/")
    url = str(PREFECT_API_URL.value())
    try:
        probe()
        load = cast(Callable[..., Block], _TYPES[kind].load)
        return load(document, _sync=True)
    except ValueError as error:
        if not isinstance(error.__cause__, ObjectNotFound):
            raise
        raise ConfigurationError(
            "no such Prefect block",
            where=name,
            why=f"the server at {url} has no block of this type and name",
            remedy="check the name by `prefect block ls`, or save the block in the server's UI",
        ) from error
    except (HTTPError, PrefectException) as error:
        raise ServiceError(
            "Prefect's server does not give a block with credentials",
            where=name,
            why=reason_of(error, url),
            remedy="check PREFECT_API_URL, and that the server is up",
        ) from error


def _check_parameters(name: str, parameters: AwsClientParameters) -> None:
    """Raises ConfigurationError for a parameter of clients that would have no effect."""
    values = parameters.model_dump(exclude={_USED})
    # A form of the server's UI may save what holds anyway.
    given = [key for key, value in values.items() if value not in (None, {}, _USUAL.get(key))]
    if given:
        raise ConfigurationError(
            f"block has parameters of clients that cytobatch does not use: {', '.join(sorted(given))}",
            where=name,
            why=f"of aws_client_parameters it uses {_USED} alone",
            remedy="remove them from the block; AWS_CA_BUNDLE names certificates for every client",
        )
