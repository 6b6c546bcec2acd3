"""How a page refers to a file: relatively where it can, so that the two may be moved or served together."""

import posixpath
from pathlib import Path
from urllib.parse import quote

from cytobatch.config.uris import is_remote


def link_to(uri: str, folder: str) -> str:
    """A link to a file from a page in a folder, each a local path or an object's URI.

    Relative where both are in one bucket or on the local disk, else the file's URI.
    """
    if not is_remote(uri):
        path = Path(uri).expanduser().absolute()
        if is_remote(folder):
            return path.as_uri()
        return quote(posixpath.relpath(path, Path(folder).expanduser().absolute()))
    store, key = _split(uri)
    if is_remote(folder):
        other_store, prefix = _split(folder)
        if store == other_store and _is_plain(key) and _is_plain(prefix):
            return quote(posixpath.relpath(f"/{key}", f"/{prefix}"))
    return f"{quote(store, safe='/:')}/{quote(key)}"


def _split(uri: str) -> tuple[str, str]:
    """The bucket's URI, and the key below it without a slash at its end."""
    scheme, _, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    return f"{scheme}://{bucket}", key.rstrip("/")


def _is_plain(key: str) -> bool:
    """Whether a browser leaves a key as it is: it would resolve `..` and `.`, which a bucket takes for names."""
    return not key or not {"", ".", ".."} & set(key.split("/"))
