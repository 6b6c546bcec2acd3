"""Bytes that came, against the MD5 that a store gives: S3 as an ETag, other stores as a property of the object."""

import base64
import functools
import hashlib
import io
from pathlib import Path

from cloudpathlib import CloudPath, S3Path

from cytobatch.errors import StorageError
from cytobatch.storage.etags import looks_like_md5, may_be_md5


def check_content(root: S3Path, key: str, etag: str | None, content: Path | bytes) -> None:
    """Compare a whole object, as a local file or as bytes, with its ETag. An ETag that is no MD5 proves nothing.

    Raises StorageError for other bytes, and the errors of the client.
    """
    if etag is None or not looks_like_md5(etag) or (own := _digest(content).hex()) == etag:
        return
    # One request finds out whether the ETag is another digest.
    if may_be_md5(root.client.client.head_object(Bucket=root.bucket, Key=key, **root.client.boto3_dl_extra_args)):
        raise _other_bytes(f"s3://{root.bucket}/{key}", own, etag)


def check_other_store(path: CloudPath, local: Path) -> None:
    """Compare a local file with the MD5 of an object of gs:// or az://, if the store has one. Raises StorageError."""
    known = getattr(path, "md5", None)
    # Google's is in base64, Azure's are bytes.
    expected = base64.b64decode(known) if isinstance(known, str) else bytes(known or b"")
    if expected and (own := _digest(local)) != expected:
        raise _other_bytes(str(path), own.hex(), expected.hex())


def _other_bytes(where: str, own: str, expected: str) -> StorageError:
    return StorageError(
        "other bytes came than the store has",
        where=where,
        why=f"their MD5 is {own}, and the store's is {expected}",
        remedy="run again; if it happens again, look for what changes responses between the store and this machine",
    )


def _digest(content: Path | bytes) -> bytes:
    new = functools.partial(hashlib.md5, usedforsecurity=False)
    with io.BytesIO(content) if isinstance(content, bytes) else content.open("rb") as stream:
        return hashlib.file_digest(stream, new).digest()
