"""Uploads in parts to S3: a file is whole in the bucket and not to be seen before its upload is completed.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html
"""

import base64
import hashlib
import zlib
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from botocore.exceptions import ClientError
from cloudpathlib import S3Path

from cytobatch.config.plural import plural
from cytobatch.errors import StorageError
from cytobatch.output.file_content import BLOCK_BYTES
from cytobatch.report.journal import PreparedFile, UploadedPart
from cytobatch.storage.access import HIDDEN, error_code, storage_errors
from cytobatch.storage.etags import looks_like_md5, may_be_md5, unquoted
from cytobatch.storage.publishing.content_check import check_part, check_size
from cytobatch.storage.publishing.store import PendingFile, overtaken
from cytobatch.storage.publishing.store_calls import StoreCalls
from cytobatch.storage.time_limits import STORE_THREADS, in_own_thread

_MOST_PARTS = 10_000
"""https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html"""
_THREADS = 8
_SECONDS_TO_END = 3.0
_PROBED_BYTES = 64 * 2**20
"""Above this size, the MD5s of a file take longer than one request that finds out whether they are needed."""
_PROBE = b"\0"
_WRONG_DIGEST = frozenset({"BadDigest", "XAmzContentChecksumMismatch"})
"""S3's code, and MinIO's."""
NO_UPLOAD = "NoSuchUpload"


@dataclass(frozen=True, slots=True)
class _Upload:
    """An upload that has begun: where it will be, and its id."""

    path: S3Path
    id: str


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of a file: its number, counted from 1, the file's block that it begins with, and its bytes."""

    number: int
    block: int
    content: bytes


@dataclass(slots=True)
class Uploads:
    """The uploads that one run has begun. `threads` send parts at once, each with up to 8 MiB of a small plate."""

    threads: int
    _begun: list[_Upload] = field(default_factory=list)
    _calls: StoreCalls = field(default_factory=StoreCalls)
    _compares_crc32: bool | None = None

    def prepare(self, files: Sequence[tuple[PendingFile, S3Path]]) -> list[PreparedFile]:
        """Upload files without completing them, and compare what the bucket has of each part. Raises StorageError."""
        with _pool(self.threads) as pool:
            small = {
                number: self._calls.submit(pool, self._prepare, file, path, None)
                for number, (file, path) in enumerate(files)
                if file.content.size <= BLOCK_BYTES
            }
            return [
                small[number].result() if number in small else self._prepare(file, path, pool)
                for number, (file, path) in enumerate(files)
            ]

    def abort(self, *, quickly: bool) -> None:
        """Abort the uploads that are not completed. If `quickly`, those that take longer than 3 s are left."""
        seconds = _SECONDS_TO_END if quickly else None
        # A request that is on its way may begin an upload, or send a part to one that is aborted.
        self._calls.end(seconds)
        begun, self._begun = self._begun, []
        if not begun:
            return
        pool = ThreadPoolExecutor(self.threads, thread_name_prefix=f"{STORE_THREADS}abort")
        aborted = [pool.submit(abort, upload.path, upload.id) for upload in begun]
        wait(aborted, timeout=seconds)
        pool.shutdown(wait=not quickly, cancel_futures=True)

    def forget(self) -> None:
        """Leave the uploads to the journal that names them."""
        self._begun = []

    def _prepare(self, file: PendingFile, path: S3Path, pool: ThreadPoolExecutor | None) -> PreparedFile:
        with storage_errors(file.path), _aborted_by_others(file.path):
            check_size(file, file.local.stat().st_size)
            # Interrupted by a signal, this thread would not know what it has begun.
            upload = self._begin(path) if pool is None else self._calls.submit(pool, self._begin, path).result()
            send = partial(_upload_part, upload, file, with_md5=self._needs_md5(upload, file.content.size))
            sizes: list[int] = []
            parts: list[UploadedPart] = []
            pending: deque[Future[UploadedPart]] = deque()
            for part in _parts_of(file):
                sizes.append(len(part.content))
                if pool is None:
                    parts.append(send(part))
                    continue
                pending.append(self._calls.submit(pool, send, part))
                if len(pending) > self.threads:
                    parts.append(pending.popleft().result())
            parts.extend(sent.result() for sent in pending)
            check_size(file, sum(sizes))
            _compare(upload, sizes, parts)
            return PreparedFile(
                path=file.path, bytes=sum(sizes), sha256=file.content.sha256, upload=upload.id, parts=parts
            )

    def _needs_md5(self, upload: _Upload, size: int) -> bool:
        """Return whether the parts of an upload must be compared by MD5, because the store does not compare CRC-32s."""
        if self._compares_crc32 is None and size > _PROBED_BYTES and _with_checksums(upload.path.client.client):
            self._compares_crc32 = _compares_crc32(upload)
        return not self._compares_crc32

    def _begin(self, path: S3Path) -> _Upload:
        client = path.client.client
        checksum = {"ChecksumAlgorithm": "CRC32"} if _with_checksums(client) else {}
        answer = client.create_multipart_upload(Bucket=path.bucket, Key=path.key, **checksum)
        upload = _Upload(path, str(answer["UploadId"]))
        self._begun.append(upload)
        return upload


@contextmanager
def _aborted_by_others(where: str) -> Iterator[None]:
    """Raise OvertakenError if an upload of this run is gone, because a run that publishes aborts those of others."""
    try:
        yield
    except ClientError as error:
        if error_code(error) != NO_UPLOAD:
            raise
        raise overtaken(where, "the upload was aborted") from error


@contextmanager
def _pool(threads: int) -> Iterator[ThreadPoolExecutor]:
    """Yield a pool of threads. After an error nothing more begins. The end of a process does not wait for requests."""
    pool = ThreadPoolExecutor(min(threads, _THREADS), thread_name_prefix=f"{STORE_THREADS}upload")
    try:
        yield pool
    except Exception:
        pool.shutdown(cancel_futures=True)
        raise
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()


def _parts_of(file: PendingFile) -> Iterator[_Part]:
    """Yield the content of a file in parts of whole blocks; one empty part of an empty file."""
    each = BLOCK_BYTES * max(1, -(-file.content.size // (BLOCK_BYTES * _MOST_PARTS)))
    with file.local.open("rb") as stream:
        for number, start in enumerate(range(0, max(1, file.content.size), each), 1):
            yield _Part(number, start // BLOCK_BYTES, stream.read(each))


def _as_text(crc32: int) -> str:
    """Return a CRC-32 as S3 writes it."""
    return base64.b64encode(crc32.to_bytes(4, "big")).decode()


def _compares_crc32(upload: _Upload) -> bool:
    """Return whether the store refuses a part with the CRC-32 of other bytes. Raises the errors of the client.

    Some stores repeat the CRC-32 of a request and do not compare it. What they keep of the probe is replaced by the
    first part.
    """
    path = upload.path
    try:
        path.client.client.upload_part(
            Bucket=path.bucket,
            Key=path.key,
            UploadId=upload.id,
            PartNumber=1,
            Body=_PROBE,
            ChecksumCRC32=_as_text(zlib.crc32(_PROBE + _PROBE)),
        )
    except ClientError as error:
        return error_code(error) in _WRONG_DIGEST
    return False


def _upload_part(upload: _Upload, file: PendingFile, part: _Part, *, with_md5: bool) -> UploadedPart:
    """Upload a part, and compare its checksums with the file's and the store's. Raises ClientError, StorageError.

    The ETag is of what the store has, but its MD5 takes five times as long as the other checksums: it is compared
    `with_md5`, or if the store has no CRC-32.
    """
    path, client = upload.path, upload.path.client.client
    content = part.content
    crc32 = _as_text(check_part(file, part.block, content))
    checksum = {"ChecksumCRC32": crc32} if _with_checksums(client) else {}
    answer = client.upload_part(
        Bucket=path.bucket, Key=path.key, UploadId=upload.id, PartNumber=part.number, Body=content, **checksum
    )
    etag, stored = etag_in(answer, str(path)), answer.get("ChecksumCRC32")
    is_md5 = (with_md5 or stored is None) and looks_like_md5(etag) and may_be_md5(answer)
    if (is_md5 and hashlib.md5(content, usedforsecurity=False).hexdigest() != etag) or stored not in (None, crc32):
        raise _damaged(str(path), f"part {part.number} has arrived with other bytes")
    return UploadedPart(etag=etag, crc32=stored if checksum else None)


def _compare(upload: _Upload, sizes: Sequence[int], parts: Sequence[UploadedPart]) -> None:
    """Compare the parts that the bucket lists with those that were sent. Raises ClientError, StorageError.

    A role that may not list them has the checksums of the answers.
    """
    expected = [(number, size, part.etag) for number, (size, part) in enumerate(zip(sizes, parts, strict=True), 1)]
    try:
        listed = list(_listed(upload))
    except ClientError as error:
        if error_code(error) in HIDDEN:
            return
        raise
    if listed != expected:
        raise _damaged(
            str(upload.path),
            f"{plural(len(expected), 'part was', 'parts were')} sent, and the bucket lists {len(listed)}",
        )


def _listed(upload: _Upload) -> Iterator[tuple[int, int, str]]:
    pages = upload.path.client.client.get_paginator("list_parts")
    for page in pages.paginate(Bucket=upload.path.bucket, Key=upload.path.key, UploadId=upload.id):
        for part in page.get("Parts", ()):
            yield int(part["PartNumber"]), int(part["Size"]), etag_in(part, str(upload.path))


def complete(path: S3Path, file: PreparedFile) -> dict[str, Any]:
    """Complete an upload and return the store's description of the object. Raises ClientError, OvertakenError.

    An upload that is completed already is described again. S3 forgets it some time after its completion.
    """
    parts = [
        {"PartNumber": number, "ETag": f'"{part.etag}"', **({"ChecksumCRC32": part.crc32} if part.crc32 else {})}
        for number, part in enumerate(file.parts, 1)
    ]
    client = path.client.client
    try:
        return dict(
            client.complete_multipart_upload(
                Bucket=path.bucket, Key=path.key, UploadId=file.upload, MultipartUpload={"Parts": parts}
            )
        )
    except ClientError as error:
        if error_code(error) != NO_UPLOAD:
            raise
        if (answer := _object_of(path, file)) is not None:
            return answer
        raise overtaken(file.path, "the upload was aborted") from error


def _object_of(path: S3Path, file: PreparedFile) -> dict[str, Any] | None:
    """Return the description of the object at the path, if it is that of a completed upload."""
    client = path.client.client
    try:
        answer = client.head_object(Bucket=path.bucket, Key=path.key, ChecksumMode="ENABLED")
    except ClientError:
        return None
    if int(answer["ContentLength"]) != file.bytes:
        return None
    found = (unquoted(answer.get("ETag")), str(answer.get("ChecksumCRC32", "")))
    return dict(answer) if found[0] == _etag_of(file) or found[1] == _checksum_of(file) else None


def _etag_of(file: PreparedFile) -> str | None:
    """Return the ETag of an object of parts: the MD5 of the MD5s of its parts, and their number."""
    if not all(looks_like_md5(part.etag) for part in file.parts):
        return None
    digest = hashlib.md5(b"".join(bytes.fromhex(part.etag) for part in file.parts), usedforsecurity=False)
    return f"{digest.hexdigest()}-{len(file.parts)}"


def _checksum_of(file: PreparedFile) -> str | None:
    """Return the checksum of an object of parts: the CRC-32 of the CRC-32s of its parts, and their number."""
    checksums = [part.crc32 for part in file.parts if part.crc32]
    if len(checksums) != len(file.parts):
        return None
    crc32 = zlib.crc32(b"".join(map(base64.b64decode, checksums)))
    return f"{base64.b64encode(crc32.to_bytes(4, 'big')).decode()}-{len(checksums)}"


def abort(path: S3Path, upload: str) -> None:
    """Abort an upload, if there is one. Raises StorageError."""
    with storage_errors(str(path)):
        try:
            path.client.client.abort_multipart_upload(Bucket=path.bucket, Key=path.key, UploadId=upload)
        except ClientError as error:
            if error_code(error) != NO_UPLOAD:
                raise


def begin_and_abort(path: S3Path) -> None:
    """Begin an upload and abort it, which shows that the bucket exists and may be written, and leaves nothing.

    A signal waits for the end of both, for 3 s. Raises ClientError and StorageError.
    """

    def both() -> None:
        upload = path.client.client.create_multipart_upload(Bucket=path.bucket, Key=path.key)
        abort(path, upload["UploadId"])

    ended = in_own_thread(both)
    try:
        ended.result()
    finally:
        wait([ended], timeout=_SECONDS_TO_END)


def etag_in(answer: Mapping[str, Any], where: str) -> str:
    """Return the ETag in a response. Raises StorageError if it has none, because the request did not do its work."""
    etag = unquoted(answer.get("ETag"))
    if etag is None:
        raise _damaged(where, "the store's response has no ETag")
    return etag


def _with_checksums(client: Any) -> bool:
    """Return whether requests have checksums: AWS_REQUEST_CHECKSUM_CALCULATION may forbid them for other stores."""
    return str(client.meta.config.request_checksum_calculation) != "when_required"


def _damaged(where: str, why: str) -> StorageError:
    return StorageError(
        "upload is damaged",
        where=where,
        why=why,
        remedy="run again; if it fails again, check the network and the store",
    )
