"""CSV files of two columns, keys and values, such as the one in which an analysis records its pipeline."""

import csv
import gzip
import io
import re
import zlib
from pathlib import Path

from cytobatch.config.plural import plural
from cytobatch.errors import InvalidTableError
from cytobatch.readers.csv.dialect import beginning_text
from cytobatch.readers.csv.field_limit import field_limit_for

_GZIP = b"\x1f\x8b"
_HEADER = ["key", "value"]
# A key without quotes, and a value in quotes or without any special character, as Python's csv module writes them.
_ROW = r'([^{0}"\r\n]+){0}(?:"((?:[^"]++|"")*+)"|([^{0}"\r\n]*+))(?:\r\n|\n|\r|\Z)'


def read_pairs(path: Path) -> list[tuple[str, str]]:
    """Read a file of two columns, with or without the header `Key,Value`, in any dialect.

    Raises InvalidTableError if it has no row, or a row of another number of values.
    """
    text, delimiter = beginning_text(_content(path))
    rows = simple_rows(text, delimiter) or _parsed_rows(path, text, delimiter)
    pairs = []
    for number, row in enumerate(filter(None, rows), start=1):
        if len(row) != len(_HEADER):
            why = f"row {number} has {plural(len(row), 'value')}"
            raise InvalidTableError("not a table of keys and values", where=path.name, why=why)
        if number > 1 or [value.strip().lower() for value in row] != _HEADER:
            pairs.append((row[0], row[1]))
    if not pairs:
        raise InvalidTableError("a table of keys and values without rows", where=path.name)
    return pairs


def simple_rows(text: str, delimiter: str) -> list[list[str]] | None:
    """Return the rows of a text in the usual form; None if a row has another form.

    Python's parser takes four times as long for a pipeline of a megabyte, which each of a thousand sites may have.
    """
    row = re.compile(_ROW.format(re.escape(delimiter)))
    rows, end = [], 0
    while end < len(text):
        match = row.match(text, end)
        if match is None:
            return None
        rows.append([match[1], match[3] if match[2] is None else match[2].replace('""', '"')])
        end = match.end()
    return rows


def _parsed_rows(path: Path, text: str, delimiter: str) -> list[list[str]]:
    """Parse the rows of a text. Raises InvalidTableError."""
    try:
        with field_limit_for(text):
            return list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise InvalidTableError("not a table of keys and values", where=path.name, why=str(error)) from error


def _content(path: Path) -> bytes:
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if content.startswith(_GZIP) else content
    except (OSError, EOFError, zlib.error) as error:
        raise InvalidTableError("cannot be read", where=path.name, why=str(error)) from error
