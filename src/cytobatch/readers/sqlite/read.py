"""SQLite databases: their tables, and rows streamed by DuckDB, or by SQLite itself where a column has mixed types.

SQLite stores any value in any column. cytominer-database, for one, wrote missing measurements as the text `nan` into
columns declared as FLOAT, which DuckDB refuses to read.
"""

import io
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa

from cytobatch.engine import sql
from cytobatch.engine.duckdb import Engine
from cytobatch.errors import FastPathUnavailable, InvalidTableError
from cytobatch.planning.schema import is_number_type
from cytobatch.readers.fallback import ReadStrategy
from cytobatch.readers.numbers import Repair
from cytobatch.readers.sqlite.affinity import Value, ValueCoercer
from cytobatch.readers.sqlite.guard import open_database
from cytobatch.readers.sqlite.native.pages import HEADER_BYTES, page_size
from cytobatch.readers.sqlite.record_sizes import RecordSizes, check_record_sizes, rows_at_once

_MAGIC = b"SQLite format 3\x00"
_BATCH_BYTES = 32 * 2**20
_SAMPLE_BYTES = 64
_ROWS_OF_VIEWS = 1000
_DUCKDB_ROWS, _MOST_DUCKDB_BYTES = 2048, 256 * 2**20
"""The rows of a vector of DuckDB, which it holds at once, and the most bytes that they may have."""
_SCHEMA_TABLE, _SCHEMA_ROOT = "sqlite_master", 1
_MOST_DECLARATIONS = 100_000_000
"""Tables times bytes of all their declarations: each look at a table parses those of all tables."""


@dataclass(frozen=True, slots=True)
class SqliteTable:
    """A table or view by the path of its file and its name.

    Text that is no number is an error in the columns `numbers_only`.
    """

    path: Path
    name: str
    numbers_only: frozenset[str] = frozenset()


def check_file(path: Path) -> None:
    """Raise InvalidTableError if a file is empty, not a SQLite database, or shorter than its header records.

    SQLite itself reads a database whose last pages are missing until it needs one of them, and may never need one.
    The header's fields: https://www.sqlite.org/fileformat2.html#the_database_header
    """
    with path.open("rb") as stream:
        header = stream.read(HEADER_BYTES)
        size = stream.seek(0, io.SEEK_END)
    if not header.startswith(_MAGIC):
        raise InvalidTableError(
            "empty file" if not header else "not a SQLite database",
            where=path.name,
            why="it has 0 bytes" if not header else "it does not begin as SQLite files do",
            remedy="copy it again; check that the export finished",
        )
    expected = _size_by_header(header)
    if size < expected:
        raise InvalidTableError(
            "cut short",
            where=path.name,
            why=f"it has {size} of the {expected} bytes that its header records",
            remedy="copy it again",
        )


def _size_by_header(header: bytes) -> int:
    """Return the bytes of a database by its header; 0 where old software did not record them."""
    if len(header) < HEADER_BYTES:
        return HEADER_BYTES
    changes, pages = header[24:28], header[28:32]
    if header[92:96] != changes:
        return 0
    return int.from_bytes(pages, "big") * page_size(header)


@dataclass(frozen=True, slots=True)
class TablesAndViews:
    """The names of a database's own tables, and the SQL of its views by name."""

    tables: tuple[str, ...]
    views: Mapping[str, str]


def list_tables_and_views(path: Path) -> TablesAndViews:
    """List a database. Raises InvalidTableError if the file is not a valid one, or has thousands of tables."""
    check_file(path)
    check_record_sizes(path, _SCHEMA_TABLE, _SCHEMA_ROOT)
    # One connection for both, because each one parses the declarations of thousands of columns.
    with open_database(path, "database") as connection:
        listed = connection.execute(sql.sqlite_tables_and_views()).fetchall()
    declared = sum(len(text or "") for *_, text in listed)
    if len(listed) * declared > _MOST_DECLARATIONS:
        raise InvalidTableError(
            "too many tables in one file",
            where=path.name,
            why=f"it has {len(listed)} tables and views, with {declared} characters of declarations",
            remedy="copy the tables of the plate into a file of their own",
        )
    tables = tuple(name for kind, name, _ in listed if kind == "table")
    return TablesAndViews(tables, {name: text or "" for kind, name, text in listed if kind == "view"})


def column_names(path: Path, table: str) -> list[str]:
    """Return the names of a table's columns as they are in the file. Raises InvalidTableError."""
    with _open_table(path, table) as connection:
        return [name for name, *_ in connection.execute(sql.sqlite_columns(table))]


def has_rows(path: Path, table: str) -> bool:
    """Return True if a table or view has a row. Raises InvalidTableError if SQLite cannot read it."""
    with _open_table(path, table) as connection:
        return connection.execute(sql.any_row(table)).fetchone() is not None


def first_values(path: Path, table: str, columns: Sequence[str], rows: int) -> dict[str, tuple[Value | None, ...]]:
    """Return the values of columns in a table's first rows, as SQLite stores them, by column. Long blobs are cut.

    Raises InvalidTableError if SQLite cannot read them.
    """
    with _open_table(path, table) as connection:
        _check_sizes(connection, path, table, rows)
        values = connection.execute(sql.select_first(table, columns, rows, _SAMPLE_BYTES)).fetchall()
    return dict(zip(columns, zip(*values, strict=True), strict=True)) if values else dict.fromkeys(columns, ())


def each_row(path: Path, table: str, columns: Sequence[str]) -> Iterator[tuple[Value | None, ...]]:
    """Yield the rows of a table as SQLite stores them, one at a time. Raises InvalidTableError."""
    with _open_table(path, table) as connection:
        _check_sizes(connection, path, table)
        yield from connection.execute(sql.select(table, columns))


def approximate_rows(path: Path, table: str, columns: Iterable[str]) -> int:
    """Return a table's highest row id by one look-up: its number of rows if no row was ever deleted.

    The rows of a view, and of a table without row ids, are counted. `columns` are those of the table. Raises
    InvalidTableError if SQLite cannot read it.
    """
    with open_database(path, f"table {table!r}") as connection:
        with suppress(sqlite3.OperationalError):
            highest = connection.execute(sql.highest_rowid(table, columns)).fetchone()[0]
            # Some versions of SQLite read null as the row id of a view.
            if highest is not None:
                return int(highest)
        return int(connection.execute(sql.count_rows(table)).fetchone()[0])


def strategies(
    engine: Engine, table: SqliteTable, schema: pa.Schema, repairs: list[Repair]
) -> tuple[ReadStrategy, ...]:
    """Return two strategies to stream the columns of `schema`: by DuckDB, and by SQLite for columns of mixed types.

    The first raises FastPathUnavailable, at its end at the latest, where DuckDB would lose or change values. It also
    does for views, and for other tables whose rows can only be bounded while SQLite reads them. In the second, text in
    a numeric column becomes null or its number, and is recorded in `repairs`. Both raise InvalidTableError where the
    file is damaged, or an integer column holds a fraction or too large a number, or a column of the table's
    `numbers_only` holds text that is no number.
    """
    rows = max(1, _BATCH_BYTES // (8 * len(schema)))
    by_duckdb = partial(_stream_by_duckdb, engine, table, schema, rows)
    return by_duckdb, partial(_stream_by_sqlite, table, schema, rows, repairs)


def _stream_by_duckdb(engine: Engine, table: SqliteTable, schema: pa.Schema, rows: int) -> Iterator[pa.RecordBatch]:
    path, name = table.path, table.name
    with _open_table(path, name) as connection:
        sizes = _check_sizes(connection, path, name)
    if sizes is None or rows_at_once(_DUCKDB_ROWS, sizes, _MOST_DUCKDB_BYTES) < _DUCKDB_ROWS:
        raise FastPathUnavailable("a view, a table without row ids or beside a write-ahead log, or one of large rows")
    declared = engine.sqlite_schema(path, name)
    # DuckDB scans by ranges of rowid, which would lose rows.
    if sql.hides_rowid(declared.names):
        raise FastPathUnavailable("a column is called rowid, by which DuckDB scans the table")
    if any(is_number_type(field.type) and not is_number_type(declared.field(field.name).type) for field in schema):
        raise FastPathUnavailable("a column of numbers is declared as something else, and may hold text")
    integers = [field for field in schema.names if pa.types.is_integer(declared.field(field).type)]
    # DuckDB can cut fractions off where a column is declared as an integer, though 1.5.5 refuses those of all integer
    # types. SQLite finds out whether there are any.
    with ThreadPoolExecutor(1) as other_thread:
        has_fractions = other_thread.submit(engine.sqlite_has_fractions, path, name, integers)
        for batch in engine.scan_sqlite(path, name, schema.names, rows):
            yield _cast(batch, schema)
        if has_fractions.result():
            raise FastPathUnavailable("a column declared as integer holds a fraction")


def _cast(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """Cast a batch to the schema. Raises FastPathUnavailable if a value does not fit, or text is not UTF-8."""
    try:
        for column in batch.columns:
            if pa.types.is_string(column.type):
                column.validate(full=True)
        return batch.cast(schema)
    except pa.ArrowInvalid as error:
        raise FastPathUnavailable(f"a value does not fit its column: {error}") from error


@contextmanager
def _open_table(path: Path, table: str) -> Iterator[sqlite3.Connection]:
    with open_database(path, f"table {table!r}") as connection:
        # Bytes that are not UTF-8 become U+FFFD, by which the coercer counts them.
        connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
        yield connection


def _check_sizes(connection: sqlite3.Connection, path: Path, table: str, rows: int | None = None) -> RecordSizes | None:
    """Check the records of a table as `check_record_sizes` does. Returns None, too, if it is a view."""
    roots = connection.execute(sql.sqlite_root(table)).fetchall()
    return check_record_sizes(path, table, roots[0][0], rows) if len(roots) == 1 and roots[0][0] else None


def _stream_by_sqlite(
    table: SqliteTable, schema: pa.Schema, rows: int, repairs: list[Repair]
) -> Iterator[pa.RecordBatch]:
    coercer = ValueCoercer(table.path.name, table.numbers_only)
    with _open_table(table.path, table.name) as connection:
        sizes = _check_sizes(connection, table.path, table.name)
        rows = min(rows, _ROWS_OF_VIEWS) if sizes is None else rows_at_once(rows, sizes, _BATCH_BYTES)
        cursor = connection.execute(sql.select(table.name, schema.names))
        while chunk := cursor.fetchmany(rows):
            columns = zip(*chunk, strict=True)
            arrays = [coercer.array(values, field) for values, field in zip(columns, schema, strict=True)]
            yield pa.RecordBatch.from_arrays(arrays, schema=schema)
    repairs.extend(coercer.repairs)
