"""Listings of a bucket: one request for a thousand objects, with sizes and ETags.

cloudpathlib asks about each object again.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from cloudpathlib import S3Path

from cytobatch.errors import LayoutError
from cytobatch.planning.inventory import SourceFile
from cytobatch.storage.etags import unquoted
from cytobatch.storage.obstore_client import ObstoreClient
from cytobatch.storage.s3_read import folder_key


def list_objects(root: S3Path, obstore: ObstoreClient) -> list[SourceFile]:
    """Return all objects below a prefix, or the one object of that very key, whose path is then empty.

    The prefix of a folder ends in a slash, so that the store does not list `P10` with `P1`. Raises LayoutError if two
    objects have one path.

    obstore lists 4,000 objects in 0.02 s of CPU, botocore in 0.27, half of it for their times, which dateutil parses.
    botocore lists what obstore does not: keys that it refuses, markers of empty folders, a prefix that is an object.
    """
    prefix = root.key.rstrip("/")
    # obstore lists `/a` as `a`, which in the root of a bucket is another object.
    entries = (obstore.list(prefix) or []) if prefix else []
    files = [entry for entry in entries if entry.size]
    # An empty entry beside those of folders is an empty object, or the marker of a folder in which there is nothing.
    # An entry with content in place of a folder may have a key that ends in a slash, which obstore drops.
    folders = _folders(entries)
    empty = {entry.path for entry in entries if not entry.size}
    if files and folders >= empty and folders.isdisjoint(file.path for file in files):
        return files
    return _list_by_botocore(root, prefix)


def list_common_prefixes(root: S3Path) -> Iterator[str]:
    """Yield the names of the folders directly below a prefix."""
    prefix = folder_key(root)
    for page in _pages(root, prefix, Delimiter="/"):
        for entry in page.get("CommonPrefixes", []):
            name = entry["Prefix"][len(prefix) :].rstrip("/")
            # `plates//` is a folder without a name.
            if name:
                yield name


def list_folder(root: S3Path) -> list[SourceFile]:
    """Return the objects directly in a folder, without those of folders below it."""
    folder = folder_key(root)
    entries = _entries(root, folder, Delimiter="/")
    return [
        _source_file(entry, entry["Key"][len(folder) :], folder) for entry in entries if not entry["Key"].endswith("/")
    ]


def _folders(entries: Sequence[SourceFile]) -> set[str]:
    """Return the folders of entries, the root's empty path among them. An empty entry of such a name is its marker."""
    folders = {""}
    for entry in entries:
        folder = entry.path.rpartition("/")[0]
        while folder not in folders:
            folders.add(folder)
            folder = folder.rpartition("/")[0]
    return folders


def _list_by_botocore(root: S3Path, prefix: str) -> list[SourceFile]:
    folder = f"{prefix}/" if prefix else ""
    files = [
        _source_file(entry, entry["Key"][len(folder) :], folder)
        for entry in _entries(root, folder)
        if entry["Size"] or not entry["Key"].endswith("/")
    ]
    if not files and prefix:
        # The key itself is the first of those that begin with it.
        first = next(_entries(root, prefix, MaxKeys=1), None)
        files = [_source_file(first, "", folder)] if first is not None and first["Key"] == prefix else []
    _check_paths(root, files, folder)
    return files


def _entries(root: S3Path, prefix: str, **arguments: int | str) -> Iterator[Any]:
    """Yield botocore's entries of the objects whose keys begin with a prefix; with MaxKeys, of one page."""
    for page in _pages(root, prefix, **arguments):
        yield from page.get("Contents", [])
        if "MaxKeys" in arguments:
            return


def _pages(root: S3Path, prefix: str, **arguments: int | str) -> Iterator[Any]:
    """Yield the pages of a listing. Raises the errors of the client, and OSError for what is no listing."""
    client = root.client
    options = {"Bucket": root.bucket, "Prefix": prefix, **client.boto3_list_extra_args, **arguments}
    try:
        yield from client.client.get_paginator("list_objects_v2").paginate(**options)
    except (ValueError, KeyError) as error:
        # What botocore raises for a size or time that is none.
        raise OSError(f"the store has sent no listing: {error}") from error


def _source_file(entry: Any, below: str, folder: str) -> SourceFile:
    """Return the file of an entry, `below` the folder. Its path does not begin with a slash, because it is relative.

    An entry of the folder's own key has the path `/`.
    """
    key, path = entry["Key"], below.lstrip("/") or ("/" if entry["Key"].endswith("/") else "")
    etag = unquoted(entry.get("ETag"))
    own_key = None if key == f"{folder}{path}" else key
    return SourceFile(path, entry["Size"], etag, entry["LastModified"].timestamp(), own_key)


def _check_paths(root: S3Path, files: Iterable[SourceFile], folder: str) -> None:
    keys: dict[str, str] = {}
    for file in files:
        key = file.key or f"{folder}{file.path}"
        if file.path in keys:
            raise LayoutError(
                "two objects have one path",
                where=f"s3://{root.bucket}/{folder}",
                why=f"the keys {keys[file.path]!r} and {key!r} differ only in slashes",
                remedy="remove one of the two, or point the source at the folder of one",
            )
        keys[file.path] = key
