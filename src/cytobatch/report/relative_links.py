"""Links from a page to a file: relative if possible, so that both may be moved or served together."""

import posixpath
from pathlib import Path
from urllib.parse import quote

from cytobatch.config.uris import is_remote


def relative_link(uri: str, folder: str) -> str:
    """Return a link to a file from a page in a folder.

    Parameters
    ----------
    uri, folder
        Local paths, or URIs of objects.

    Returns
    -------
    str
        A relative link, percent-encoded, if both are in one bucket or on the local disk; else the file's URI.
    """
    if not is_remote(uri):
        path = Path(uri).expanduser().absolute()
        if is_remote(folder):
            return path.as_uri()
        return quote(posixpath.relpath(path, Path(folder).expanduser().absolute()))
    bucket, key = _split(uri)
    if is_remote(folder):
        page_bucket, prefix = _split(folder)
        if bucket == page_bucket and _is_plain(key) and _is_plain(prefix):
            return quote(posixpath.relpath(f"/{key}", f"/{prefix}"))
    return f"{quote(bucket, safe='/:')}/{quote(key)}"


def _split(uri: str) -> tuple[str, str]:
    """Return the bucket's URI, and the key without a slash at its end."""
    scheme, _, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    return f"{scheme}://{bucket}", key.rstrip("/")


def _is_plain(key: str) -> bool:
    """Return whether a browser keeps a key unchanged. It resolves `..` and `.`, which are names in a bucket."""
    return not key or not {"", ".", ".."} & set(key.split("/"))
