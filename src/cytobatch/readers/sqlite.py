"""SQLite tables: what is declared, and rows streamed through DuckDB, or through SQLite itself where types are mixed.

SQLite stores any value in any column. cytominer-database, for one, wrote missing measurements as the text `nan` into
columns declared as FLOAT, which DuckDB refuses to read.
"""

import math
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pyarrow as pa

from cytobatch import sql
from cytobatch.engine import Engine
from cytobatch.errors import UnsoundTableError
from cytobatch.readers.values import Repair, parse_number

_MAGIC = b"SQLite format 3\x00"
_BATCH_BYTES = 32 * 2**20


def check_file(path: Path) -> None:
    """Raises UnsoundTableError if a file is empty or no SQLite database."""
    with path.open("rb") as stream:
        start = stream.read(len(_MAGIC))
    if start != _MAGIC:
        raise UnsoundTableError(
            "empty file" if not start else "not a SQLite database", where=path.name,
            why="it has 0 bytes" if not start else "it does not begin as SQLite files do",
            remedy="copy it again; check that the export finished",
        )  # fmt: skip


def list_tables(path: Path) -> list[str]:
    """The names of a database's own tables. Raises UnsoundTableError if it is none."""
    check_file(path)
    try:
        with closing(_connect(path)) as connection:
            return [name for (name,) in connection.execute(sql.own_sqlite_tables())]
    except sqlite3.DatabaseError as error:
        raise _damaged(path, "database", error) from error


def approximate_rows(path: Path, table: str) -> int:
    """The highest rowid of a table: its number of rows if none was ever deleted, at the price of one look-up."""
    try:
        with closing(_connect(path)) as connection:
            return int(connection.execute(sql.highest_rowid(table)).fetchone()[0] or 0)
    except sqlite3.DatabaseError as error:
        raise _damaged(path, f"table {table!r}", error) from error


def lanes(
    engine: Engine, path: Path, table: str, schema: pa.Schema, repairs: list[Repair]
) -> tuple[Callable[[], Iterator[pa.RecordBatch]], ...]:
    """Two ways to stream the columns of `schema`: the fast one, and the one to start anew with if types are mixed.

    The first raises MixedTypesError. In the second, text in a numeric column becomes null or its number, and is told
    in `repairs`. Both raise UnsoundTableError where the file is damaged.
    """
    rows = max(1, _BATCH_BYTES // (8 * len(schema)))

    def fast() -> Iterator[pa.RecordBatch]:
        for batch in engine.scan_sqlite(path, table, schema.names, rows):
            yield batch.cast(schema)

    def mixed() -> Iterator[pa.RecordBatch]:
        return _mixed(path, table, schema, rows, repairs)

    return fast, mixed


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)


def _damaged(path: Path, what: str, error: sqlite3.DatabaseError) -> UnsoundTableError:
    return UnsoundTableError(
        f"SQLite {what} cannot be read", where=path.name, why=str(error),
        remedy="check the file with `PRAGMA integrity_check`, or copy it again",
    )  # fmt: skip


def _mixed(path: Path, table: str, schema: pa.Schema, rows: int, repairs: list[Repair]) -> Iterator[pa.RecordBatch]:
    met = Counter[tuple[str, str]]()
    try:
        with closing(_connect(path)) as connection:
            cursor = connection.execute(sql.select(table, schema.names))
            while chunk := cursor.fetchmany(rows):
                columns_of_chunk = zip(*chunk, strict=True)
                arrays = [_array(values, field, met) for values, field in zip(columns_of_chunk, schema, strict=True)]
                yield pa.RecordBatch.from_arrays(arrays, schema=schema)
    except sqlite3.DatabaseError as error:
        raise _damaged(path, f"table {table!r}", error) from error
    repairs.extend(Repair(column, text, "null", count) for (column, text), count in met.items())


def _array(values: Sequence[object], field: pa.Field, met: Counter[tuple[str, str]]) -> pa.Array:
    if pa.types.is_string(field.type):
        return pa.array([value if value is None or isinstance(value, str) else str(value) for value in values])
    try:
        return pa.array(values, field.type)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        whole = pa.types.is_integer(field.type)
        return pa.array([_number(value, whole, field.name, met) for value in values], field.type)


def _number(value: object, whole: bool, column: str, met: Counter[tuple[str, str]]) -> float | int | None:
    """A value of a mixed column as a number; text that is none, NaN and fractions in integer columns become null."""
    if value is None or isinstance(value, int):
        return value
    if isinstance(value, float):
        number: float | None = value
    else:
        try:
            number = parse_number(str(value))
        except ValueError:
            number = None
    kept = number is not None and not math.isnan(number) and (not whole or number.is_integer())
    if not kept:
        met[column, str(value)] += 1
        return None
    return int(number) if whole and number is not None else number
