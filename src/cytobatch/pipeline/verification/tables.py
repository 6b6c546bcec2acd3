"""Source tables, read by the standard library: `csv` and `sqlite3`, a row at a time. No code of the readers is used.

It is slow on purpose: what the fast readers do in a thousand lines must be plain here to be believed.
"""

import csv
import gzip
import io
import itertools
import sqlite3
import zlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from cytobatch.pipeline.verification.values import PLAIN, Notation, Raw
from cytobatch.readers.csv.field_limit import field_limit_for

ImageKey = tuple[str | None, int]
"""The TableNumber as text, if the table has any, and the ImageNumber."""

IMAGE_NUMBER, OBJECT_NUMBER, TABLE_NUMBER = "ImageNumber", "ObjectNumber", "TableNumber"
_BOMS = ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"), (b"\xef\xbb\xbf", "utf-8-sig"))
_DELIMITERS = ",;\t"
_OF_SQLITE = Notation(keeps_nan=False)
_GZIP_MAGIC = b"\x1f\x8b"
_SQLITE_MAGIC = b"SQLite format 3\0"


class UnreadableTableError(Exception):
    """A table is none that this reader can read. The message has the reason."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a source. All rows of a table share the positions of its columns."""

    positions: Mapping[str, int]
    values: Sequence[Raw]

    def get(self, column: str) -> Raw:
        """Return the value of a column; None if the table has no such column, or the row ends before it."""
        position = self.positions.get(column)
        return None if position is None or position >= len(self.values) else self.values[position]


@dataclass(frozen=True, slots=True)
class SourceTable:
    """Rows of a table, by image. `notation` is how they write values."""

    columns: tuple[str, ...]
    rows: Mapping[ImageKey, list[Row]]
    notation: Notation = PLAIN


def read_table(path: Path, table: str, images: Collection[ImageKey]) -> SourceTable:
    """Read the rows of some images from a file.

    Parameters
    ----------
    path
        A CSV file, also compressed by gzip, or a SQLite file.
    table
        The name of the table in a SQLite file.
    images
        The images whose rows are returned. Those of a table without TableNumber have the ImageNumber alone.

    Raises
    ------
    UnreadableTableError
        If the file has no ImageNumber, or is not readable as text or as a database.
    """
    if _is_database(path):
        return _grouped(*_sqlite_rows(path, table, images), _OF_SQLITE, images)
    try:
        return _csv_table(path, table, images)
    except (csv.Error, StopIteration, EOFError, zlib.error) as error:
        raise UnreadableTableError(f"{path.name} is not readable as CSV: {error}") from error


def count_rows(path: Path, table: str) -> int | None:
    """Return the number of rows of a table that are not blank. Raises UnreadableTableError.

    None for a file of all objects, whose rows are as many as the objects of the table that has most.
    """
    if _is_database(path):
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as database:
            name = table.replace('"', '""')
            try:
                return int(database.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0])
            except sqlite3.Error as error:
                raise UnreadableTableError(f"table {table} of {path.name} is not readable: {error}") from error
    text = _text(path)
    try:
        with field_limit_for(text):
            rows, _ = _csv_rows(text)
            columns, own = _columns(rows, table)
            if len(own) < len(columns):
                return None
            return sum(_has_value(values, own) for values in rows)
    except (csv.Error, StopIteration, EOFError, zlib.error) as error:
        raise UnreadableTableError(f"{path.name} is not readable as CSV: {error}") from error


def _is_database(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(len(_SQLITE_MAGIC)) == _SQLITE_MAGIC


def _has_value(values: Sequence[str], positions: Iterable[int]) -> bool:
    return any(values[position].strip() for position in positions if position < len(values))


@dataclass(frozen=True, slots=True)
class WholeTable:
    """The rows of a file with whole rows, in its order."""

    rows: Sequence[Row]
    notation: Notation = PLAIN


def read_rows(path: Path) -> WholeTable:
    """Read all rows of a CSV file. Raises UnreadableTableError."""
    text = _text(path)
    try:
        with field_limit_for(text):
            rows, notation = _csv_rows(text)
            header = _names(next(rows))
            positions = {name: position for position, name in reversed(list(enumerate(header)))}
            present = [Row(positions, values) for values in rows if any(value.strip() for value in values)]
    except (csv.Error, StopIteration, EOFError, zlib.error) as error:
        raise UnreadableTableError(f"{path.name} is not readable as CSV: {error}") from error
    return WholeTable(present, notation)


def _csv_table(path: Path, table: str, images: Collection[ImageKey]) -> SourceTable:
    text = _text(path)
    with field_limit_for(text):
        return _table_of_text(text, table, images)


def _csv_rows(text: str) -> tuple[Iterator[list[str]], Notation]:
    """Return the rows of a text, header first."""
    # Unlike `splitlines`, this ends lines only where CSV does: a value may hold U+2028.
    lines = iter(io.StringIO(text, newline=""))
    first = next(lines)
    delimiter = max(_DELIMITERS, key=first.count)
    if first.lower().startswith("sep="):
        delimiter, first = first[len("sep=")], next(lines)
    rows = csv.reader(itertools.chain([first], lines), delimiter=delimiter)
    return rows, Notation("," if delimiter == ";" else ".")


def _table_of_text(text: str, table: str, images: Collection[ImageKey]) -> SourceTable:
    rows, notation = _csv_rows(text)
    columns, own = _columns(rows, table)
    present = (Row(columns, values) for values in rows if _has_value(values, own))
    return _grouped(tuple(columns), present, notation, images)


def _text(path: Path) -> str:
    """Return a file's text: in the encoding of its mark, else in UTF-8, in that of Windows, or in Latin-1."""
    content = path.read_bytes()
    if content.startswith(_GZIP_MAGIC):
        content = gzip.decompress(content)
    encoding = next((name for bom, name in _BOMS if content.startswith(bom)), "utf-8")
    for each in (encoding, "cp1252"):
        with suppress(UnicodeDecodeError):
            return content.decode(each)
    # Any bytes are Latin-1.
    return content.decode("latin-1")


def _names(header: Sequence[str]) -> list[str]:
    """Return the names in a header. Blanks around one belong to it, unless all separators have a blank behind them."""
    separated = all(name.startswith(" ") for name in header[1:])
    return [name.strip() if separated else name for name in header]


def _columns(rows: Iterator[list[str]], table: str) -> tuple[Mapping[str, int], Sequence[int]]:
    """Return the position of each column of a table, and those of which one has a value in each of its rows.

    A file of all objects has the tables' names in a row above. What it has about images, and the numbers of objects,
    are those of all its tables.
    """
    header = _names(next(rows))
    if IMAGE_NUMBER in header:
        return {name: position for position, name in reversed(list(enumerate(header)))}, range(len(header))
    names = _names(next(rows))
    both = list(enumerate(zip((name.lower() for name in header), names, strict=False)))
    own = {name: position for position, (owner, name) in both if owner == table.lower()}
    shared = {name: n for n, (owner, name) in reversed(both) if owner == "image" or name == OBJECT_NUMBER}
    return shared | own, [position for name, position in own.items() if name not in shared]


def _sqlite_rows(path: Path, table: str, images: Collection[ImageKey]) -> tuple[tuple[str, ...], Iterator[Row]]:
    with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as database:
        # A run has U+FFFD for bytes that are not UTF-8, too.
        database.text_factory = lambda raw: raw.decode("utf-8", "replace")
        name = table.replace('"', '""')
        try:
            names = {column[1] for column in database.execute(f'PRAGMA table_info("{name}")')}
            condition, values = _condition(images, by_number=TABLE_NUMBER in names)
            cursor = database.execute(f'SELECT * FROM "{name}" WHERE {condition}', values)
            values_of_rows = cursor.fetchall()
        except sqlite3.Error as error:
            raise UnreadableTableError(f"table {table} of {path.name} is not readable: {error}") from error
        columns = tuple(column[0] for column in cursor.description)
        positions = {name: position for position, name in enumerate(columns)}
        return columns, iter([Row(positions, values) for values in values_of_rows])


def _condition(images: Collection[ImageKey], *, by_number: bool) -> tuple[str, list[str | int]]:
    """Return a condition for the rows of some images, which may let others pass, and its values."""
    numbers = sorted({number for number, _ in images if number is not None})
    of_images = sorted({image for _, image in images})
    condition = f"{IMAGE_NUMBER} IN ({','.join('?' * len(of_images))})"
    if not by_number or not numbers:
        return condition, [*of_images]
    # Thousands of exports in one database all number their images from 1.
    own = f"CAST({TABLE_NUMBER} AS TEXT) IN ({','.join('?' * len(numbers))})"
    return f"{condition} AND ({own} OR {TABLE_NUMBER} IS NULL)", [*of_images, *numbers]


def _grouped(
    columns: tuple[str, ...], rows: Iterator[Row], notation: Notation, images: Collection[ImageKey]
) -> SourceTable:
    if IMAGE_NUMBER not in columns:
        raise UnreadableTableError("it has no column ImageNumber")
    wanted = {image for _, image in images}
    found: dict[ImageKey, list[Row]] = defaultdict(list)
    for row in rows:
        image = whole_number(row.get(IMAGE_NUMBER))
        if image in wanted:
            number = row.get(TABLE_NUMBER)
            # The number may be a blob in a database. The profile has text.
            text = number.decode("utf-8", "replace") if isinstance(number, bytes) else str(number)
            found[None if number is None else text, image].append(row)
    return SourceTable(columns, dict(found), notation)


def whole_number(value: Raw) -> int | None:
    """Return a key as an integer; None for text that is none."""
    with suppress(ValueError):
        if isinstance(value, int | str):
            # Arrow takes hexadecimal whole numbers of a CSV file for numbers.
            return int(value, 16) if isinstance(value, str) and value[:2] in ("0x", "0X") else int(value)
    with suppress(ValueError):
        number = float(value or "nan")
        return int(number) if number.is_integer() else None
    return None
