"""Publication in a bucket: prepared files are uploads in parts, and the report is replaced by conditional writes.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
"""

from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

from botocore.exceptions import ClientError
from cloudpathlib import S3Path

from cytobatch.report.journal import Journal, OldFile, PreparedFile
from cytobatch.report.model import StoredFile
from cytobatch.storage.access import ABSENT, CHANGED, HIDDEN, error_code, storage_errors
from cytobatch.storage.etags import unquoted
from cytobatch.storage.publishing.store import Orphan, PendingFile, Snapshot, overtaken
from cytobatch.storage.publishing.uploads import Uploads, abort, complete, etag_in
from cytobatch.storage.s3_read import read_with_etag

_NOT_BUILT = frozenset({"NotImplemented", "501"})
_CONFLICT = frozenset({"ConditionalRequestConflict", "409"})
_CONFLICTS = 5


class S3Store:
    """A folder of a bucket. `prefix` is what the keys of all outputs begin with."""

    def __init__(self, report: S3Path, prefix: str, threads: int) -> None:
        self._report, self._prefix, self._threads = report, prefix, threads
        self._uploads = Uploads(threads)
        self._conditional: bool | None = None

    @property
    def conditional(self) -> bool:
        """Whether the store keeps to conditions of writes."""
        return bool(self._conditional)

    @property
    def _api(self) -> Any:
        return self._report.client.client

    def read_report(self) -> Snapshot:
        """Return what stands in the report's place."""
        with storage_errors(str(self._report)):
            try:
                content, etag = read_with_etag(self._report, self._report.key)
                return Snapshot(content, etag_in({"ETag": etag or ""}, str(self._report)))
            except ClientError as error:
                # An object that does not exist is forbidden to a role that may not list its bucket.
                if error_code(error) in HIDDEN:
                    return Snapshot(hidden=True)
                if error_code(error) in ABSENT:
                    return Snapshot()
                raise

    def prepare(self, files: Sequence[PendingFile]) -> list[PreparedFile]:
        """Upload all files in parts, and complete none."""
        return self._uploads.prepare([(file, self._path(file.path)) for file in files])

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Do nothing: conditions of writes keep other runs away."""
        yield

    def put_report(self, content: bytes, expected: Snapshot) -> Snapshot:
        """Replace the report if it is the expected one, and find out once whether the store keeps to such conditions.

        The report of a role that may not read it is replaced whatever it is.
        """
        with storage_errors(str(self._report)):
            put = self._put_if(content, _condition(expected))
            if put is None and expected.hidden:
                put = self._put(content, {})
            if put is None:
                # A request that was repeated, because the answer of the first was lost, finds its own report.
                found = self.read_report()
                if found.content != content:
                    raise overtaken(str(self._report), "its report has changed since this run began")
                put = found.version or ""
            if self._conditional is None:
                put = self._probe(content, put)
        self._uploads.forget()
        return Snapshot(content, put, expected.hidden)

    def _put_if(self, content: bytes, condition: dict[str, str]) -> str | None:
        """Put the report on a condition. Returns its ETag, or None if the condition does not hold."""
        for attempt in range(_CONFLICTS):
            try:
                return self._put(content, condition)
            except ClientError as error:
                code = error_code(error)
                if code in _NOT_BUILT:
                    self._conditional = False
                    return self._put(content, {})
                if code in _CONFLICT and attempt + 1 < _CONFLICTS:
                    continue
                if code in CHANGED | _CONFLICT | ABSENT - {"NoSuchBucket"}:
                    return None
                raise
        return None

    def _put(self, content: bytes, condition: dict[str, str]) -> str:
        answer = self._api.put_object(
            Bucket=self._report.bucket,
            Key=self._report.key,
            Body=content,
            ContentType="application/json",
            **condition,
        )
        return etag_in(answer, str(self._report))

    def _probe(self, content: bytes, etag: str) -> str:
        """Put the same report once more, on the condition that there is none. Returns the ETag that it has then."""
        try:
            etag = self._put(content, {"IfNoneMatch": "*"})
            self._conditional = False
        except ClientError as error:
            if error_code(error) not in CHANGED | _CONFLICT | _NOT_BUILT:
                raise
            self._conditional = error_code(error) not in _NOT_BUILT
        return etag

    def complete(self, files: Sequence[PreparedFile], run: str) -> list[StoredFile]:  # noqa: ARG002
        """Complete the uploads of files."""
        with ThreadPoolExecutor(self._threads, thread_name_prefix="complete") as pool:
            return list(pool.map(self._complete, files))

    def _complete(self, file: PreparedFile) -> StoredFile:
        with storage_errors(file.path):
            answer = complete(self._path(file.path), file)
        return StoredFile(
            path=file.path,
            bytes=file.bytes,
            sha256=file.sha256,
            etag=etag_in(answer, file.path),
            version_id=answer.get("VersionId"),
            checksum=answer.get("ChecksumCRC32"),
        )

    def remove(self, files: Collection[OldFile]) -> None:
        """Delete objects, each on the condition that it is still the one of the earlier result."""
        with ThreadPoolExecutor(self._threads, thread_name_prefix="remove") as pool:
            list(pool.map(self._remove, files))

    def _remove(self, file: OldFile) -> None:
        path = self._path(file.path)
        delete = partial(self._api.delete_object, Bucket=path.bucket, Key=path.key)
        with storage_errors(file.path):
            try:
                delete(**({"IfMatch": f'"{file.etag}"'} if file.etag else {}))
            except ClientError as error:
                code = error_code(error)
                if code in _NOT_BUILT:
                    delete()
                elif code not in CHANGED | ABSENT:
                    raise

    def discard(self, *, quickly: bool) -> None:
        """Abort the uploads of this run."""
        self._uploads.abort(quickly=quickly)

    def leave(self) -> None:
        """Do nothing: the journal has the ids of the uploads."""

    def abandon(self, journal: Journal) -> None:
        """Abort the uploads of another run."""
        for file in journal.files:
            if file.upload is not None:
                abort(self._path(file.path), file.upload)

    def orphans(self, journal: Journal) -> list[Orphan]:
        """List the uploads of others to the journal's paths; none if the role may not list them."""
        with storage_errors(str(self._report)):
            try:
                return list(self._orphans(journal))
            except ClientError as error:
                if error_code(error) in HIDDEN | _NOT_BUILT:
                    return []
                raise

    def _orphans(self, journal: Journal) -> Iterator[Orphan]:
        own = {file.upload for file in journal.files}
        paths = {self._path(path).key: path for path in (*journal.paths(), str(self._report))}
        pages = self._api.get_paginator("list_multipart_uploads")
        for page in pages.paginate(Bucket=self._report.bucket, Prefix=self._prefix):
            for upload in page.get("Uploads", ()):
                if upload["Key"] in paths and upload["UploadId"] not in own:
                    yield Orphan(paths[upload["Key"]], str(upload["UploadId"]))

    def clean(self, orphans: Sequence[Orphan]) -> None:
        """Abort uploads."""
        for orphan in orphans:
            abort(self._path(orphan.path), orphan.upload)

    def _path(self, uri: str) -> S3Path:
        return S3Path(uri, client=self._report.client)


def _condition(expected: Snapshot) -> dict[str, str]:
    """Return the condition under which the report is still the expected one.

    If-Match needs the permission to read. A role without it has no condition for its second write.
    """
    if expected.version is None:
        return {"IfNoneMatch": "*"}
    return {} if expected.hidden else {"IfMatch": f'"{expected.version}"'}


def etag_of(path: S3Path) -> str | None:
    """Return the ETag of an object, or None if there is none, or none that the role may see. Raises ClientError."""
    try:
        return unquoted(path.client.client.head_object(Bucket=path.bucket, Key=path.key).get("ETag"))
    except ClientError as error:
        if error_code(error) in ABSENT | HIDDEN:
            return None
        raise
