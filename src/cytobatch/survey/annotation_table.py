"""Text tables about wells or sites, such as platemaps: rows by key, and errors for tables that cannot be joined."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from cytobatch.config.plural import plural
from cytobatch.errors import AnnotationError
from cytobatch.readers.csv.field_limit import field_limit_for

Key = tuple[str | None, ...]
"""The values of the key columns of a row."""


@dataclass(frozen=True, slots=True)
class AnnotationTable:
    """A table of text: its columns without those of the key, and the row of each key.

    `where` is the path or URI of its file. `warnings` describe what was left out: columns without a name, and rows
    without a key.
    """

    columns: tuple[str, ...]
    by_key: Mapping[Key, Mapping[str, str]]
    where: str = ""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Rows:
    """The rows of a text by column, and how many columns with values have no name."""

    rows: Sequence[Mapping[str, str]]
    unnamed: int


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
    parsed = _parse(text, where, key)
    by_key = _by_key(parsed.rows, where, key, normalise)
    columns = dict.fromkeys(name for row in by_key.values() for name in row if name not in key)
    without_key = sum(None in normalise(_key_of(row, key)) and any(row.values()) for row in parsed.rows)
    named = ", ".join(key)
    warnings = [f"{plural(parsed.unnamed, 'column')} without a name in {where} left out"] if parsed.unnamed else []
    warnings += [f"{plural(without_key, 'row')} without {named} in {where} left out"] if without_key else []
    return AnnotationTable(tuple(columns), by_key, where, tuple(warnings))


def rows_by_key(
    text: str, where: str, key: Sequence[str], needed: Sequence[str], normalise: Callable[[Key], Key] = tuple
) -> dict[Key, Mapping[str, str]]:
    """Return the rows of a table by key. Raises AnnotationError if it lacks a column, or two rows of one key differ."""
    return _by_key(_parse(text, where, (*key, *needed)).rows, where, key, normalise)


def header_of(text: str) -> list[str]:
    """Return the names of the columns of a table, without their outer blanks; an empty list if it has no header."""
    try:
        with field_limit_for(text):
            header = next(csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True), [])
    except csv.Error:
        return []
    return [name.strip() for name in header]


def _delimiter(text: str) -> str:
    return "\t" if "\t" in text.partition("\n")[0] else ","


def _key_of(row: Mapping[str, str], key: Sequence[str]) -> Key:
    return tuple(row[name].strip() for name in key)


def _by_key(
    rows: Sequence[Mapping[str, str]], where: str, key: Sequence[str], normalise: Callable[[Key], Key]
) -> dict[Key, Mapping[str, str]]:
    by_key: dict[Key, Mapping[str, str]] = {}
    for row in rows:
        values = normalise(_key_of(row, key))
        if None not in values and by_key.setdefault(values, row) != row:
            shown = ", ".join(str(value) for value in values)
            raise annotation_error("repeated key", where, f"{shown} has two rows that differ", "remove one of them")
    return by_key


def annotation_error(what: str, where: str, why: str, remedy: str) -> AnnotationError:
    """Return the error for a table that cannot be joined."""
    return AnnotationError(what, where=where, why=why, remedy=remedy)


def _without_column(missing: str, columns: Sequence[str]) -> str:
    """Describe a header without a column. Its names are shown if one of them is similar.

    Any file may be given for a table, also one with passwords.
    """
    words = missing.lower().removeprefix("metadata_").split("_")
    if any(words[0] in name.lower() for name in columns):
        return f"it has no column {missing}, but {', '.join(columns)}"
    return f"it has no column {missing} among its {len(columns)}"


def _parse(text: str, where: str, needed: Sequence[str]) -> _Rows:
    """Return the rows of a table by column, without columns that have no name. Raises AnnotationError."""
    try:
        with field_limit_for(text):
            header, *lines = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True)
    except (csv.Error, ValueError) as error:
        raise annotation_error("unreadable table", where, str(error), "mend it or export it again") from error
    columns = [name.strip() for name in header]
    missing = [name for name in needed if name not in columns]
    named = [name for name in columns if name]
    if missing or len(set(named)) < len(named):
        why = _without_column(missing[0], columns) if missing else "two columns have one name"
        remedy = f"it needs the columns {', '.join(needed)}"
        raise annotation_error("not the table it should be", where, why, remedy)
    ragged = next((number for number, line in enumerate(lines, 2) if line and len(line) != len(columns)), None)
    if ragged is not None:
        why = f"row {ragged} has not as many values as there are columns"
        raise annotation_error("ragged table", where, why, "mend it")
    rows = [dict(zip(columns, line, strict=True)) for line in lines if line]
    unnamed = [number for number, name in enumerate(columns) if not name]
    with_values = sum(any(line[number].strip() for line in lines if line) for number in unnamed)
    return _Rows([{name: value for name, value in row.items() if name} for row in rows], with_values)
