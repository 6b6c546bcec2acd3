"""DuckDB for cytobatch's own queries: its threads, memory, spill folder and SQLite extension."""

import itertools
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import duckdb
import duckdb_extension_sqlite_scanner
import pyarrow as pa

from cytobatch.engine import sql
from cytobatch.engine.registered_tables import registered_tables
from cytobatch.errors import ConfigurationError, FastPathUnavailable, InternalError, InvalidTableError


def _extension() -> Path:
    folder = Path(duckdb_extension_sqlite_scanner.__file__).parent / "extensions"
    extensions = sorted(folder.rglob("*.duckdb_extension"))
    if not extensions:
        raise InternalError("DuckDB's SQLite extension is not installed", where=str(folder), remedy="install it again")
    return extensions[-1]


class Session:
    """cytobatch's own queries over some Arrow tables, apart from those of other threads."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection

    def query(self, text: str) -> pa.Table:
        """Return the result of one of cytobatch's own queries."""
        return self._connection.execute(text).to_arrow_table()


@dataclass(frozen=True, slots=True)
class EngineLimits:
    """The folder, the bytes of memory and the threads that an engine may take."""

    spill: Path
    memory: int
    workers: int


class Engine:
    """A DuckDB in memory, which spills to `spill` and downloads nothing. A context manager.

    Several threads may use it at once.
    """

    def __init__(self, *, spill: Path, memory: int, workers: int) -> None:
        config: dict[str, str | bool | int | float | list[str]] = {
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "memory_limit": f"{memory // 2**20}MiB",
            "temp_directory": str(spill),
            "threads": workers,
        }
        self._connection = duckdb.connect(config=config)
        self.limits = EngineLimits(spill, memory, workers)
        self._reads_sqlite = False
        self._loading = threading.Lock()
        self._scans = itertools.count(1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    @contextmanager
    def tables(self, tables: Mapping[str, pa.Table]) -> Iterator[Session]:
        """Yield a session in which Arrow tables can be queried under their names."""
        with registered_tables(self._connection, tables) as cursor:
            yield Session(cursor)

    def _load_sqlite(self) -> None:
        # Loading takes longer than converting a small plate, and most plates have no SQLite.
        with self._loading:
            if not self._reads_sqlite:
                self._connection.load_extension(str(_extension()))
                self._reads_sqlite = True

    def sqlite_schema(self, path: Path, table: str) -> pa.Schema:
        """Return the columns of a SQLite table, typed as declared. Raises InvalidTableError."""
        self._load_sqlite()
        with _sqlite_errors(path, table), self._connection.cursor() as cursor:
            # A table without rows takes as long to make as the query, for thousands of columns.
            return cursor.execute(sql.describe_sqlite(str(path), table)).to_arrow_reader(1).schema

    def scan_sqlite(self, path: Path, table: str, columns: list[str], rows: int) -> Iterator[pa.RecordBatch]:
        """Stream columns of a SQLite table in batches of about `rows` rows.

        Raises FastPathUnavailable if a value is not of its column's declared type, InvalidTableError if the file cannot
        be read.
        """
        self._load_sqlite()
        with _sqlite_errors(path, table), self._connection.cursor() as cursor:
            yield from cursor.execute(sql.scan_sqlite(str(path), table, columns)).to_arrow_reader(rows)

    def sqlite_has_fractions(self, path: Path, table: str, columns: list[str]) -> bool:
        """Whether one of these columns, declared as integers, holds a fraction. It may run during a scan.

        The query goes to SQLite within DuckDB: a second SQLite in one process must not open the same write-ahead log.
        Raises InvalidTableError if the file cannot be read.
        """
        if not columns:
            return False
        self._load_sqlite()
        with _sqlite_errors(path, table), self._connection.cursor() as cursor:
            # All threads share the names of attached files.
            name = f"beside scan {next(self._scans)}"
            cursor.execute(sql.attach_sqlite(str(path), name))
            try:
                return cursor.execute(sql.through_sqlite(name, sql.any_real(table, columns))).fetchone() is not None
            finally:
                cursor.execute(sql.detach_sqlite(name))


@contextmanager
def _sqlite_errors(path: Path, table: str) -> Iterator[None]:
    try:
        yield
    except (duckdb.TypeMismatchException, UnicodeDecodeError, OSError) as error:
        # DuckDB quotes the value that it refuses, which may not be text. After the first batch the error is Arrow's.
        raise FastPathUnavailable("a value is not of its column's declared type") from error
    except duckdb.OutOfMemoryException as error:
        raise ConfigurationError(
            "too little memory", where=path.name, why=str(error).splitlines()[0], remedy="raise CYTOBATCH_MEMORY"
        ) from error
    except duckdb.Error as error:
        raise InvalidTableError(
            f"SQLite table {table!r} cannot be read",
            where=path.name,
            why=str(error).splitlines()[0],
            remedy="check it with `PRAGMA integrity_check` or copy it again; in WAL mode its folder must be writable",
        ) from error
