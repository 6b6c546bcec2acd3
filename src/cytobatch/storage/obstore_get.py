"""GETs of S3 objects that hold Python's lock for a moment only.

botocore makes a request and reads its answer in Python: some two milliseconds for each of thousands of files, of a lock
that the threads which read and join wait for. obstore does it in Rust. It knows less of what may stand between a job
and a bucket (redirects to another region, odd names of hosts, SSE-C): what it cannot get is left to botocore, and so is
all that follows.
"""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import botocore
import obstore
from cloudpathlib import S3Path
from obstore.auth.boto3 import Boto3CredentialProvider
from obstore.exceptions import BaseError, InvalidPathError
from obstore.store import S3Store

if TYPE_CHECKING:
    from obstore import GetOptions

# What is written at once is still in the CPU's cache.
_CHUNK = 256 * 2**10
_RETRIES = 3
_PAYS = {"RequestPayer": "requester"}
_REGION = "us-east-1"
# botocore renews credentials ten minutes before their end at the latest.
_CREDENTIALS_FOR = timedelta(minutes=5)
_ANSWER_WITHIN = timedelta(minutes=10)


class ObstoreClient:
    """GETs from the bucket of a path, with its client's credentials and endpoint. Several threads may ask at once."""

    def __init__(self, path: S3Path) -> None:
        self._store = _store(path)

    def append(self, key: str, etag: str | None, span: tuple[int, int] | None, local: Path) -> bool:
        """Adds an object of this version, or a span of its bytes, to a local file. False where not all of it came."""
        if self._store is None:
            return False
        with local.open("ab", buffering=0) as stream:
            return self._get(key, _options(etag, span), stream.write)

    def _get(self, key: str, options: "GetOptions", take: Callable[[Any], object]) -> bool:
        store = self._store
        if store is None:
            return False
        try:
            for chunk in obstore.get(store, key, options=options).stream(min_chunk_size=_CHUNK):
                take(chunk)
        except InvalidPathError:
            # A key that obstore has no way to say.
            return False
        except (BaseError, FileNotFoundError):
            self._store = None
            return False
        return True


def _options(etag: str | None, span: tuple[int, int] | None) -> "GetOptions":
    options: GetOptions = {}
    if etag:
        options["if_match"] = f'"{etag}"'
    if span:
        options["range"] = span
    return options


def _store(path: S3Path) -> S3Store | None:
    """A bucket's store; None where the client's settings are none of obstore's."""
    client, said = path.client.client, path.client.boto3_dl_extra_args
    signed = client.meta.config.signature_version is not botocore.UNSIGNED
    if said not in ({}, _PAYS):
        return None
    session = path.client.sess
    if signed and session.get_credentials() is None:
        return None
    endpoint = client.meta.endpoint_url
    # All is said here that obstore would look for in the environment, whose owner spoke to boto3.
    return S3Store(
        path.bucket,
        endpoint=endpoint,
        aws_endpoint_url_s3=endpoint,
        region=client.meta.region_name or _REGION,
        virtual_hosted_style_request=False,
        skip_signature=not signed,
        request_payer=said == _PAYS,
        credential_provider=Boto3CredentialProvider(session, ttl=_CREDENTIALS_FOR) if signed else None,
        client_options={"allow_http": endpoint.startswith("http://"), "timeout": _ANSWER_WITHIN},
        retry_config={"max_retries": _RETRIES},
    )
