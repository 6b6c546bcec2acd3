"""The installed formats, from the entry points `cytobatch.formats` of this package and of others."""

import functools
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from cytobatch.errors import InternalError
from cytobatch.formats.base import SourceFormat

GROUP = "cytobatch.formats"


@functools.cache
def source_formats() -> tuple[SourceFormat[Any], ...]:
    """Return all installed formats, sorted by the names of their entry points.

    Raises InternalError if a format cannot be loaded, if two have one name, or if no format is installed.
    """
    formats = [_load(entry) for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name)]
    names = [each.name for each in formats]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated or not formats:
        raise InternalError(
            f"formats called {', '.join(repeated)} are installed more than once"
            if repeated
            else "no format is installed",
            where=f"entry points {GROUP!r}",
            remedy="install cytobatch again, or uninstall the package that brings the second format",
        )
    return tuple(formats)


def _load(entry: EntryPoint) -> SourceFormat[Any]:
    try:
        loaded: SourceFormat[Any] = entry.load()
    except (ImportError, AttributeError) as error:
        raise InternalError(
            f"format {entry.name!r} cannot be loaded",
            where=entry.value,
            why=str(error),
            remedy="install or uninstall the package that brings it",
        ) from error
    return loaded
