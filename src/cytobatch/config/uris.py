"""Local paths and URIs of object stores."""

import re
from pathlib import Path

from cytobatch.config.bad_values import BadValueError
from cytobatch.errors import without_secrets

SCHEMES = ("s3", "gs", "az")
"""The object stores that are read and written. HTTP is not among them: who names a URL would choose the requests."""
_STORES = tuple(f"{scheme}://" for scheme in SCHEMES)
_APIS = ("https://", "http://")
_FEW_SLASHES = re.compile(rf"({'|'.join(SCHEMES)}):/?(?!/)(.+)", re.IGNORECASE)
_WINDOWS = re.compile(r"[A-Za-z]:[\\/]")


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


def expand_home(path: str) -> str:
    """Return a path with `~` and `~user` at its beginning replaced by the home folder; a URI as it is.

    Shells replace it at the beginning of a word only, so not in `--source=~/plate`, variables and specs. Raises
    ValueError if the user has no home folder.
    """
    if not path.startswith("~"):
        return path
    try:
        return str(Path(path).expanduser())
    except RuntimeError as error:
        raise BadValueError(f"{path!r} is in no home folder that is known", "give the whole path") from error


def check_store(uri: str) -> str:
    """Return the URI of a bucket or a folder in one. Raises ValueError for anything else."""
    if not is_remote(uri):
        raise ValueError(f"{uri!r} is no location in a bucket; write {', '.join(_STORES)}")
    if bucket_of(uri) in _STORES or has_dot_segments(uri):
        raise ValueError(f"{uri!r} names no bucket, or has a segment . or ..")
    return check_location(uri)


def check_location(uri: str) -> str:
    """Return a local path, with the home folder for `~`, or a URI of an object store.

    Raises ValueError for other URIs, for what was meant for a URI or a path of Windows, and for one with a password.
    """
    _check_secrets(uri)
    if "\0" in uri:
        raise ValueError("no path has null characters")
    if is_remote(uri) and not uri.startswith(_STORES):
        raise BadValueError(
            f"nothing here reads or writes {uri.partition('://')[0]}://",
            f"name a local path, or one that begins with {', '.join(_STORES)}",
        )
    if match := _FEW_SLASHES.match(uri):
        raise BadValueError(
            f"{uri!r} is no URI, because two slashes follow {match[1]}:", f"write {match[1].lower()}://{match[2]}"
        )
    if _WINDOWS.match(uri):
        raise BadValueError(
            f"{uri!r} is a path of Windows, and cytobatch runs on Linux and macOS",
            f"in WSL write {_in_wsl(uri)}, in a container the path of the mounted folder",
        )
    return expand_home(uri)


def check_api(url: str) -> str:
    """Return the URL of a store's API. Raises ValueError if it is no HTTP URL, or has a password."""
    _check_secrets(url)
    if not url.startswith(_APIS):
        raise ValueError(f"it must begin with {' or '.join(_APIS)}")
    return url


def check_folder(folder: object) -> object:
    """Return a local folder, with the home folder for `~`. Raises ValueError for a URI."""
    if isinstance(folder, str) and is_remote(folder):
        raise ValueError("it is a folder of this machine, not a URI")
    return expand_home(folder) if isinstance(folder, str) else folder


def _in_wsl(path: str) -> str:
    """Return a path of Windows as the Windows Subsystem for Linux has it: `/mnt/c/data` for `C:\\data`."""
    return f"/mnt/{path[0].lower()}/{path[3:]}".replace("\\", "/")


def _check_secrets(uri: str) -> None:
    if without_secrets(uri) != uri:
        raise ValueError("it has a user, a password or a signature; give credentials in AWS's usual way")
