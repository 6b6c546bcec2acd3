"""Local paths and URIs of object stores."""

from cytobatch.errors import without_secrets

SCHEMES = ("s3", "gs", "az")
"""The object stores that are read and written. HTTP is not among them: who names a URL would choose the requests."""
_STORES = tuple(f"{scheme}://" for scheme in SCHEMES)
_APIS = ("https://", "http://")


def is_remote(uri: str) -> bool:
    """Return whether a path is in an object store."""
    return "://" in uri


def bucket_of(uri: str) -> str:
    """Return the scheme and the bucket of a URI, without the key."""
    scheme, _, path = uri.partition("://")
    return f"{scheme}://{path.partition('/')[0]}"


def is_within(uri: str, folder: str) -> bool:
    """Return whether a URI is that of a bucket or a folder in it, or of something below it."""
    return bucket_of(uri) == bucket_of(folder) and f"{uri.rstrip('/')}/".startswith(f"{folder.rstrip('/')}/")


def has_dot_segments(path: str) -> bool:
    """Return whether a path has a segment `.` or `..`, which some stores and all disks read as another path."""
    return not {".", ".."}.isdisjoint(path.split("/"))


def check_store(uri: str) -> str:
    """Return the URI of a bucket or a folder in one. Raises ValueError for anything else."""
    if not is_remote(uri):
        raise ValueError(f"{uri!r} is no location in a bucket; write {', '.join(_STORES)}")
    if bucket_of(uri) in _STORES or has_dot_segments(uri):
        raise ValueError(f"{uri!r} names no bucket, or has a segment . or ..")
    return check_location(uri)


def check_location(uri: str) -> str:
    """Return a local path, or a URI of an object store. Raises ValueError for others, and for one with a password."""
    _check_secrets(uri)
    if "\0" in uri:
        raise ValueError("no path has null characters")
    if is_remote(uri) and not uri.startswith(_STORES):
        raise ValueError(
            f"nothing here reads or writes {uri.partition('://')[0]}://; name a local path, or one that begins with "
            f"{', '.join(_STORES)}"
        )
    return uri


def check_api(url: str) -> str:
    """Return the URL of a store's API. Raises ValueError if it is no HTTP URL, or has a password."""
    _check_secrets(url)
    if not url.startswith(_APIS):
        raise ValueError(f"it must begin with {' or '.join(_APIS)}")
    return url


def check_folder(folder: object) -> object:
    """Return a local folder. Raises ValueError for a URI."""
    if isinstance(folder, str) and is_remote(folder):
        raise ValueError("it is a folder of this machine, not a URI")
    return folder


def _check_secrets(uri: str) -> None:
    if without_secrets(uri) != uri:
        raise ValueError("it has a user, a password or a signature; give credentials in AWS's usual way")
