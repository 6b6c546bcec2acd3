"""ETags of S3, and when they are the MD5 of the content.

That is so but for objects that were uploaded in parts (their ETags end in the number of parts), and for those that KMS
or the owner's key encrypts. https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html
"""

import re
from collections.abc import Mapping
from typing import Any

_MD5 = re.compile("[0-9a-f]{32}")
_BY_S3 = "AES256"
_OWN_KEY = "SSECustomerAlgorithm"


def unquoted(etag: str | None) -> str | None:
    """Return an ETag without its quotes, or None if there is none."""
    return (etag or "").strip('"') or None


def looks_like_md5(etag: str) -> bool:
    """Return whether an ETag has the form of an MD5. It may be another digest of an encrypted object."""
    return _MD5.fullmatch(etag) is not None


def may_be_md5(response: Mapping[str, Any]) -> bool:
    """Return whether an object, or a part, that a response describes is not encrypted in a way that forbids it."""
    return response.get("ServerSideEncryption", _BY_S3) == _BY_S3 and _OWN_KEY not in response
