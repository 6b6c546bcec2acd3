"""The names of credentials that Prefect's server keeps, and what else may be given beside them."""

import re
from typing import Annotated

from pydantic import AfterValidator

from cytobatch.config.bad_values import BadValueError, OptionConflictError

BLOCK_TYPES = ("aws-credentials", "minio-credentials")
"""The slugs of the types of Prefect's blocks that hold credentials of an S3 API."""
_BLOCK = re.compile(rf"({'|'.join(BLOCK_TYPES)})/[a-z0-9-]+")


def _checked_block(text: str) -> str:
    if not _BLOCK.fullmatch(text):
        raise BadValueError(
            f"{text!r} is no name of a Prefect block with credentials",
            f"give {BLOCK_TYPES[0]}/<name> or {BLOCK_TYPES[1]}/<name>, in lowercase letters, digits and dashes",
        )
    return text


BlockName = Annotated[str, AfterValidator(_checked_block)]
"""The checked name of a Prefect block with credentials. The secret itself is never an option."""


def check_credentials(profile: str | None, credentials: str | None, option: str = "credentials") -> None:
    """Raise ValueError if a profile and a block are given for one store, because each is a whole identity."""
    if profile is not None and credentials is not None:
        raise OptionConflictError(option, f"the AWS profile {profile!r} is given, too", "drop one of the two")
