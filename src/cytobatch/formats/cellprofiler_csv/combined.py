"""Combined object files: all compartments side by side, under a header of two rows with the compartments above."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from cytobatch.config.presets.catalog import USUAL_TABLES
from cytobatch.errors import LayoutError
from cytobatch.formats.base import Listing
from cytobatch.formats.csv_files import files_by_stem, headers_by_stem
from cytobatch.formats.csv_suffixes import COMBINED, IMAGE
from cytobatch.planning.columns import IMAGE_NUMBER, OBJECT_NUMBER, table_label
from cytobatch.planning.inventory import SourceFile
from cytobatch.readers.csv.dialect import beginning_text
from cytobatch.readers.csv.header import parse_header

_IMAGE_GROUP = "Image"
_NUMBERED = re.compile(r"(.+)\.\d+")
"""The names that pandas gives to repeated columns: `Cells.1`."""
_COMPARTMENTS = USUAL_TABLES - {IMAGE}
_USUAL_LABELS = tuple(table_label(name) for name in sorted(_COMPARTMENTS))


@dataclass(frozen=True, slots=True)
class HeaderRows:
    """The first two rows of a CSV file; empty if they were not read."""

    first: tuple[str, ...] = ()
    second: tuple[str, ...] = ()


def header_rows(listing: Listing) -> dict[str, HeaderRows]:
    """Return the first two rows of a CSV file for each lower-case stem."""
    files, first = files_by_stem(listing.inventory), headers_by_stem(listing)
    return {stem: HeaderRows(row, _second_row(listing.heads.get(files[stem].path, b""))) for stem, row in first.items()}


def _second_row(head: bytes) -> tuple[str, ...]:
    text, delimiter = beginning_text(head)
    lines = text.splitlines()
    return parse_header(lines[1], delimiter) if len(lines) > 1 else ()


def combined_compartments(header: Collection[str]) -> tuple[str, ...]:
    """Return the compartments in the first of a combined file's two header rows, or () for any other header."""
    if _IMAGE_GROUP not in header or IMAGE_NUMBER in header:
        return ()
    return tuple(sorted(set(header) - {_IMAGE_GROUP, ""}))


def combined_stems(headers: Mapping[str, HeaderRows]) -> set[str]:
    """Return the stems of combined files: by name and first row, or under any name by both rows."""
    return {
        stem
        for stem, rows in headers.items()
        if combined_compartments(rows.first)
        and not _is_renamed(rows)
        and (stem == COMBINED or IMAGE_NUMBER in rows.second)
    }


def check_edited(root: str, files: Mapping[str, SourceFile], headers: Mapping[str, HeaderRows]) -> None:
    """Check that no file is a combined one whose first header row was changed. Raises LayoutError.

    A plate that has compartments in files of their own may have tables of any form beside them.
    """
    if len(_COMPARTMENTS & set(files)) > 1:
        return
    for stem, rows in headers.items():
        reason = _edited(rows)
        if reason:
            raise LayoutError(
                "a combined file with an edited header",
                where=f"{root}, {files[stem].path}",
                why=f"{reason}; ExportToSpreadsheet writes two header rows, the first with the name of each column's "
                "compartment: Image,Nuclei,Nuclei,Cells,…",
                remedy="export it again and leave both header rows as they are, or export a file for each compartment",
            )


def _edited(rows: HeaderRows) -> str | None:
    """Return what shows that the first row of a combined file was changed, or None."""
    if IMAGE_NUMBER not in rows.first and {IMAGE_NUMBER, OBJECT_NUMBER} <= set(rows.second):
        if not combined_compartments(rows.first):
            return f"its second row holds the names of columns, but its first row begins {','.join(rows.first[:3])!r}"
        return "its first row has the numbers that pandas gives to repeated names" if _is_renamed(rows) else None
    labels = _labels_of(rows.first)
    return f"it has columns of {' and '.join(labels)} below one header row" if len(labels) > 1 else None


def _is_renamed(rows: HeaderRows) -> bool:
    names = set(rows.first)
    return any(match[1] in names for match in map(_NUMBERED.fullmatch, names) if match)


def _labels_of(header: Iterable[str]) -> list[str]:
    """Return the usual compartments whose names begin columns of a header."""
    columns = tuple(header)
    return [label for label in _USUAL_LABELS if any(column.startswith(f"{label}_") for column in columns)]
