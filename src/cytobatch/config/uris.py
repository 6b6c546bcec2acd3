"""Local paths and URIs of object stores."""


def is_remote(uri: str) -> bool:
    """Return whether a path is in an object store."""
    return "://" in uri
