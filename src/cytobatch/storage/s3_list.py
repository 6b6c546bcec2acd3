"""Listings of a bucket: one request for a thousand objects, with sizes and ETags.

cloudpathlib asks about each object again.
"""

from collections.abc import Iterator, Sequence

from cloudpathlib import S3Path

from cytobatch.planning.inventory import SourceFile
from cytobatch.storage.obstore_client import ObstoreClient


def list_objects(root: S3Path, obstore: ObstoreClient) -> list[SourceFile]:
    """Return all objects below a prefix, or the one object of that very key, whose path is then empty.

    obstore lists 4,000 objects in 0.02 s of CPU, botocore in 0.27, half of it for their times, which dateutil parses.
    botocore lists what obstore does not: keys that it refuses, markers of empty folders, a prefix that is an object.
    """
    prefix = root.key.rstrip("/")
    entries = obstore.list(prefix) or []
    files = [entry for entry in entries if entry.size]
    # An empty entry beside those of folders is an empty object, or the marker of a folder in which there is nothing.
    if files and _folders(entries) >= {entry.path for entry in entries if not entry.size}:
        return files
    return list(_list_by_botocore(root, prefix))


def list_common_prefixes(root: S3Path) -> Iterator[str]:
    """Yield the names of the folders directly below a prefix."""
    client, prefix = root.client, f"{root.key.rstrip('/')}/" if root.key else ""
    pages = client.client.get_paginator("list_objects_v2").paginate(
        Bucket=root.bucket, Prefix=prefix, Delimiter="/", **client.boto3_list_extra_args
    )
    for page in pages:
        for entry in page.get("CommonPrefixes", []):
            yield entry["Prefix"][len(prefix) :].rstrip("/")


def _folders(entries: Sequence[SourceFile]) -> set[str]:
    """Return the folders of entries, the root's empty path among them. An empty entry of such a name is its marker."""
    folders = {""}
    for entry in entries:
        folder = entry.path.rpartition("/")[0]
        while folder not in folders:
            folders.add(folder)
            folder = folder.rpartition("/")[0]
    return folders


def _list_by_botocore(root: S3Path, prefix: str) -> Iterator[SourceFile]:
    client = root.client
    pages = client.client.get_paginator("list_objects_v2").paginate(
        Bucket=root.bucket, Prefix=prefix, **client.boto3_list_extra_args
    )
    for page in pages:
        for entry in page.get("Contents", []):
            key: str = entry["Key"]
            below = not prefix or key == prefix or key.startswith(f"{prefix}/")
            if below and not key.endswith("/"):
                etag = entry.get("ETag", "").strip('"') or None
                yield SourceFile(key[len(prefix) :].lstrip("/"), entry["Size"], etag, entry["LastModified"].timestamp())
