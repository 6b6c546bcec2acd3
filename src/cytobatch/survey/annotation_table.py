"""Text tables about wells or sites, such as platemaps: rows by key, and errors for tables that cannot be joined."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from cytobatch.errors import AnnotationError
from cytobatch.readers.csv.field_limit import field_limit_for

Key = tuple[str | None, ...]
"""The values of the key columns of a row."""


@dataclass(frozen=True, slots=True)
class AnnotationTable:
    """A table of text: its columns without those of the key, and the row of each key."""

    columns: tuple[str, ...]
    by_key: Mapping[Key, Mapping[str, str]]


def annotation_table(
    text: str, where: str, key: Sequence[str], normalise: Callable[[Key], Key] = tuple
) -> AnnotationTable:
    """Return the table in a text.

    Parameters
    ----------
    text
        The text of a file: a header and rows, separated by tabs if the header has any, else by commas.
    where
        The path or URI of the file, for errors.
    key
        The columns that identify a row.
    normalise
        A function that brings the values of a key into one spelling.

    Raises
    ------
    AnnotationError
        If the text is not such a table, or if two rows of one key differ.
    """
    by_key = rows_by_key(text, where, key, (), normalise)
    columns = dict.fromkeys(name for row in by_key.values() for name in row if name not in key)
    return AnnotationTable(tuple(columns), by_key)


def rows_by_key(
    text: str, where: str, key: Sequence[str], needed: Sequence[str], normalise: Callable[[Key], Key] = tuple
) -> dict[Key, Mapping[str, str]]:
    """Return the rows of a table by key. Raises AnnotationError if it lacks a column, or two rows of one key differ."""
    rows: dict[Key, Mapping[str, str]] = {}
    for row in _parse(text, where, (*key, *needed)):
        values = normalise(tuple(row[name].strip() for name in key))
        if rows.setdefault(values, row) != row:
            shown = ", ".join(str(value) for value in values)
            raise annotation_error("repeated key", where, f"{shown} has two rows that differ", "remove one of them")
    return rows


def annotation_error(what: str, where: str, why: str, remedy: str) -> AnnotationError:
    """Return the error for a table that cannot be joined."""
    return AnnotationError(what, where=where, why=why, remedy=remedy)


def _parse(text: str, where: str, needed: Sequence[str]) -> list[dict[str, str]]:
    """Return the rows of a table by column. Raises AnnotationError."""
    delimiter = "\t" if "\t" in text.partition("\n")[0] else ","
    try:
        with field_limit_for(text):
            header, *lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    except (csv.Error, ValueError) as error:
        raise annotation_error("unreadable table", where, str(error), "mend it or export it again") from error
    columns = [name.strip() for name in header]
    missing = [name for name in needed if name not in columns]
    if missing or len(set(columns)) < len(columns):
        why = f"it has no column {missing[0]}, but {', '.join(columns)}" if missing else "two columns have one name"
        remedy = f"it needs the columns {', '.join(needed)}"
        raise annotation_error("not the table it should be", where, why, remedy)
    ragged = next((number for number, line in enumerate(lines, 2) if line and len(line) != len(columns)), None)
    if ragged is not None:
        why = f"row {ragged} has not as many values as there are columns"
        raise annotation_error("ragged table", where, why, "mend it")
    return [dict(zip(columns, line, strict=True)) for line in lines if line]
