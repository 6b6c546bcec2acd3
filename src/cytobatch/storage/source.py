"""Where measurements come from: listed once, and staged into the cache.

Listing a bucket is one paginated request a thousand objects, with sizes and ETags; cloudpathlib would ask again for
each.
"""

import functools
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cloudpathlib import CloudPath, S3Path

from cytobatch.errors import SourceNotFoundError
from cytobatch.inventory import Inventory, SourceFile, natural_key
from cytobatch.jobspec import PlateJob
from cytobatch.storage.access import Access, faults, open_path


def list_folders(uri: str, access: Access) -> list[str]:
    """The names of the folders in a folder, in natural order; none where there is no such folder. StorageError."""
    with faults(uri):
        path = open_path(uri.rstrip("/"), access)
        if isinstance(path, S3Path):
            names = list(_common_prefixes(path))
        else:
            names = [child.name for child in path.iterdir() if child.is_dir()] if path.is_dir() else []
    return sorted(names, key=natural_key)


def _common_prefixes(path: S3Path) -> Iterator[str]:
    client, prefix = path.client, f"{path.key.rstrip('/')}/" if path.key else ""
    pages = client.client.get_paginator("list_objects_v2").paginate(
        Bucket=path.bucket, Prefix=prefix, Delimiter="/", **client.boto3_list_extra_args
    )
    for page in pages:
        for entry in page.get("CommonPrefixes", []):
            yield entry["Prefix"][len(prefix) :].rstrip("/")


class Source:
    """Where a plate's measurements are. `cache` is where fetched files are kept until they are released."""

    def __init__(self, job: PlateJob, cache: Path) -> None:
        self.job = job
        self._uri = job.source
        access = Access.to_source(job)
        self._workers = access.workers
        self._open = functools.partial(open_path, access=access, cache=cache)
        self._root = self._open(job.source)
        self._threads = threading.local()

    def inventory(self) -> Inventory:
        """Every file below the source. Raises SourceNotFoundError if there is none, StorageError."""
        with faults(self._uri):
            files = list(_list_s3(self._root) if isinstance(self._root, S3Path) else _list_path(self._root))
        if not files:
            raise SourceNotFoundError(
                "source is missing or empty", where=self._uri, why="no file is there",
                remedy="check CYTOBATCH_SOURCE and that the upload has finished",
            )  # fmt: skip
        if len(files) == 1 and not files[0].path:
            self._root = self._root.parent
            name = self._uri.rstrip("/").rsplit("/", 1)[-1]
            return Inventory.of(str(self._root), [SourceFile(name, files[0].size, files[0].etag)])
        return Inventory.of(self._uri, files)

    def head(self, file: SourceFile, size: int) -> bytes:
        """The first bytes of a file, without fetching the rest from S3. Raises StorageError."""
        path = self._root / file.path
        with faults(str(path)):
            if isinstance(path, S3Path):
                extra = path.client.boto3_dl_extra_args
                span = f"bytes=0-{size - 1}"
                answer = path.client.client.get_object(Bucket=path.bucket, Key=path.key, Range=span, **extra)
                return bytes(answer["Body"].read())
            with path.open("rb") as stream:
                return bytes(stream.read(size))

    def stage(self, files: list[SourceFile]) -> dict[str, Path]:
        """Local paths of the files by their path at the source, fetched into the cache side by side."""
        if isinstance(self._root, Path):
            return {file.path: self._root / file.path for file in files}
        with ThreadPoolExecutor(self._workers) as pool:
            return dict(zip((file.path for file in files), pool.map(self._fetch, files), strict=True))

    def _fetch(self, file: SourceFile) -> Path:
        # cloudpathlib downloads through boto3's resources, which threads may not share.
        if not hasattr(self._threads, "root"):
            self._threads.root = self._open(str(self._root))
        path = self._threads.root / file.path
        with faults(str(path)):
            return Path(path.fspath)


def _list_s3(root: S3Path) -> Iterator[SourceFile]:
    """All objects below a prefix; or the one object of that very key, its path then being empty."""
    client, prefix = root.client, root.key.rstrip("/")
    pages = client.client.get_paginator("list_objects_v2").paginate(
        Bucket=root.bucket, Prefix=prefix, **client.boto3_list_extra_args
    )
    for page in pages:
        for entry in page.get("Contents", []):
            key: str = entry["Key"]
            below = not prefix or key == prefix or key.startswith(f"{prefix}/")
            if below and not key.endswith("/"):
                yield SourceFile(
                    key[len(prefix) :].lstrip("/"), entry["Size"], entry.get("ETag", "").strip('"') or None
                )


def _list_path(root: Path | CloudPath) -> Iterator[SourceFile]:
    if root.is_file():
        yield SourceFile("", root.stat().st_size)
        return
    if not root.exists():
        return
    for path in root.rglob("*"):
        if path.is_file():
            # Both kinds of path have parts; those of the root are a path's first.
            below = path.parts[len(root.parts) :]
            yield SourceFile("/".join(below), path.stat().st_size)
