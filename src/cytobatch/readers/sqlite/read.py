"""SQLite tables: what is declared, and rows streamed through DuckDB, or through SQLite itself where types are mixed.

SQLite stores any value in any column. cytominer-database, for one, wrote missing measurements as the text `nan` into
columns declared as FLOAT, which DuckDB refuses to read.
"""

import io
import sqlite3
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pyarrow as pa

from cytobatch.engine import sql
from cytobatch.engine.duckdb import Engine
from cytobatch.errors import FastPathUnavailable, InvalidTableError
from cytobatch.readers.fallback import ReadStrategy
from cytobatch.readers.numbers import Repair
from cytobatch.readers.sqlite.affinity import ValueCoercer
from cytobatch.readers.sqlite.native.pages import HEADER, page_size

# What SQLite says of a damaged file may quote bytes that are no text, which Python's sqlite3 fails to make words of.
REFUSED = (sqlite3.DatabaseError, UnicodeDecodeError)
_MAGIC = b"SQLite format 3\x00"
_BATCH_BYTES = 32 * 2**20


def check_file(path: Path) -> None:
    """Raises InvalidTableError if a file is empty, no SQLite database, or shorter than its header says.

    SQLite itself reads a database whose last pages are gone until it needs one of them, and may never.
    The header's fields: https://www.sqlite.org/fileformat2.html#the_database_header
    """
    with path.open("rb") as stream:
        header = stream.read(HEADER)
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
            why=f"it has {size} of the {expected} bytes that its header tells",
            remedy="copy it again",
        )


def _size_by_header(header: bytes) -> int:
    """The size in bytes that a database's header tells; 0 where old software left that out."""
    if len(header) < HEADER:
        return HEADER
    changes, pages = header[24:28], header[28:32]
    if header[92:96] != changes:
        return 0
    return int.from_bytes(pages, "big") * page_size(header)


def list_tables(path: Path) -> list[str]:
    """The names of a database's own tables. Raises InvalidTableError if it is none."""
    check_file(path)
    try:
        with closing(connect(path)) as connection:
            return [name for (name,) in connection.execute(sql.own_sqlite_tables())]
    except REFUSED as error:
        raise _damaged(path, "database", error) from error


def approximate_rows(path: Path, table: str, columns: Iterable[str]) -> int:
    """The highest rowid of a table of these columns: its number of rows if none was ever deleted, by one look-up."""
    try:
        with closing(connect(path)) as connection:
            return int(connection.execute(sql.highest_rowid(table, columns)).fetchone()[0] or 0)
    except REFUSED as error:
        raise _damaged(path, f"table {table!r}", error) from error


def strategies(
    engine: Engine, path: Path, table: str, schema: pa.Schema, repairs: list[Repair]
) -> tuple[ReadStrategy, ...]:
    """Two ways to stream the columns of `schema`: the fast one, and the one to start anew with if types are mixed.

    The first raises FastPathUnavailable, at its end at the latest. In the second, text in a numeric column becomes null
    or its number, and is recorded in `repairs`. Both raise InvalidTableError where the file is damaged, or a key is
    not an integer.
    """
    rows = max(1, _BATCH_BYTES // (8 * len(schema)))

    def fast() -> Iterator[pa.RecordBatch]:
        declared = engine.sqlite_schema(path, table)
        # DuckDB scans by ranges of rowid, which would lose rows.
        if sql.hides_rowid(declared.names):
            raise FastPathUnavailable(f"{table} has a column called rowid")
        whole = [name for name in schema.names if pa.types.is_integer(declared.field(name).type)]
        # DuckDB cuts fractions off where a column is declared as an integer; SQLite tells whether there are any.
        with ThreadPoolExecutor(1) as beside:
            fractions = beside.submit(engine.sqlite_has_fractions, path, table, whole)
            for batch in engine.scan_sqlite(path, table, schema.names, rows):
                yield _typed(batch, schema)
            if fractions.result():
                raise FastPathUnavailable(f"{table} has fractions in columns declared as integers")

    def mixed() -> Iterator[pa.RecordBatch]:
        return _mixed(path, table, schema, rows, repairs)

    return fast, mixed


def _typed(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The batch under the schema. Raises FastPathUnavailable where a value does not fit, or text is not UTF-8."""
    try:
        for column in batch.columns:
            if pa.types.is_string(column.type):
                column.validate(full=True)
        return batch.cast(schema)
    except pa.ArrowInvalid as error:
        raise FastPathUnavailable(str(error)) from error


def connect(path: Path) -> sqlite3.Connection:
    """Opens a file to be read."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)


def _damaged(path: Path, what: str, error: Exception) -> InvalidTableError:
    return InvalidTableError(
        f"SQLite {what} cannot be read",
        where=path.name,
        why=str(error),
        remedy="check it with `PRAGMA integrity_check` or copy it again; in WAL mode its folder must be writable",
    )


@contextmanager
def _reading(path: Path, table: str) -> Iterator[sqlite3.Connection]:
    try:
        with closing(connect(path)) as connection:
            # Text that is not UTF-8 is kept as far as it can be, and told.
            connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
            yield connection
    except REFUSED as error:
        raise _damaged(path, f"table {table!r}", error) from error


def _mixed(path: Path, table: str, schema: pa.Schema, rows: int, repairs: list[Repair]) -> Iterator[pa.RecordBatch]:
    coercer = ValueCoercer(path.name)
    with _reading(path, table) as connection:
        cursor = connection.execute(sql.select(table, schema.names))
        while chunk := cursor.fetchmany(rows):
            columns = zip(*chunk, strict=True)
            arrays = [coercer.array(values, field) for values, field in zip(columns, schema, strict=True)]
            yield pa.RecordBatch.from_arrays(arrays, schema=schema)
    repairs.extend(coercer.repairs)
