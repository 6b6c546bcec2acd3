"""A DuckDB for a user's own `joins` SQL, which may come from a stranger.

It holds the plate's tables and nothing else. It reads and writes no file but those that it spills, its settings are
locked, and it is apart from the DuckDB of cytobatch's own queries, so that whatever a join does ends with it.
"""

import json
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import duckdb
import pyarrow as pa

from cytobatch.engine import sql
from cytobatch.engine.join_tree import JoinUse, parsed, use_of, with_tables_for_files
from cytobatch.engine.registered_tables import registered_tables
from cytobatch.errors import JoinSqlError

MOST_CHARACTERS, MOST_COLUMNS = 1_000_000, 50_000
_MOST_SECONDS = 3600.0
_SECONDS_TO_NEXT_INTERRUPTION = 0.1
_SPILL_FOLDER = "joins"
_MOST_GROWTH = 100
_SHOWN = 10

# The order matters: DuckDB finds a path for its spilled files only while it has external access, and nothing can be
# set after the lock.
_LOCKS = (
    "SET python_enable_replacements = false",
    "SET enable_external_access = false",
    "SET lock_configuration = true",
)


@dataclass(frozen=True, slots=True)
class JoinLimits:
    """What a user's join may take.

    Attributes
    ----------
    memory
        Bytes of DuckDB's memory.
    workers
        DuckDB's threads.
    spill
        The folder that takes what does not fit in memory. None spills nothing.
    spill_bytes
        The most that is spilled. None stands for half of what is free on the disk.
    seconds
        The time that DuckDB may take for the tables of one export.
    result_bytes
        The most bytes of the result of one export, beside a hundred times the bytes of its tables.
    """

    memory: int
    workers: int
    spill: Path | None = None
    spill_bytes: int | None = None
    seconds: float = _MOST_SECONDS
    result_bytes: int = 2**30


class JoinSession:
    """A user's join over the tables of one export."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, seconds: float, most_bytes: int) -> None:
        self._connection = connection
        self._most_seconds = self._seconds = seconds
        self._most_bytes = most_bytes

    def check_columns(self, text: str) -> None:
        """Check that the columns of a join exist, and that they are not too many. Raises JoinSqlError."""
        # DESCRIBE has no memory for values: those of 100,000 columns take gigabytes, also without a row.
        with self._running():
            row = self._connection.execute(sql.count_columns(text)).fetchone()
        count = int(row[0]) if row else 0
        if count > MOST_COLUMNS:
            raise JoinSqlError(
                "joins has too many columns",
                where="joins",
                why=f"they are {count}, more than {MOST_COLUMNS}",
                remedy="select fewer columns",
            )

    def join_schema(self, text: str) -> pa.Schema:
        """Return the columns of a checked join. Raises JoinSqlError."""
        with self._running():
            return self._connection.execute(f"{sql.without_repeats(text)} LIMIT 0").to_arrow_table().schema

    def run_join(self, text: str, rows: int) -> Iterator[pa.RecordBatch]:
        """Stream the result of a checked join. Raises JoinSqlError."""
        with self._running():
            reader = self._connection.execute(sql.without_repeats(text)).to_arrow_reader(rows)
        size = 0
        while True:
            with self._running():
                batch = next(reader, None)
            if batch is None:
                return
            size += batch.nbytes
            if size > self._most_bytes:
                raise self._too_large()
            yield batch

    @contextmanager
    def _running(self) -> Iterator[None]:
        """Let DuckDB run until its time is over. The time that others take between two batches does not count."""
        ended = threading.Event()
        guard = threading.Thread(target=self._interrupt, args=(max(0.0, self._seconds), ended), daemon=True)
        began = time.monotonic()
        guard.start()
        try:
            yield
        except duckdb.InterruptException as error:
            raise self._too_long() from error
        except (duckdb.Error, pa.ArrowException, OSError) as error:
            # Arrow's reader hands on DuckDB's errors as its own.
            if time.monotonic() - began >= self._seconds:
                raise self._too_long() from error
            raise _failed(error) from error
        finally:
            ended.set()
            # An interruption after the end would be that of the next query.
            guard.join()
            self._seconds -= time.monotonic() - began

    def _interrupt(self, seconds: float, ended: threading.Event) -> None:
        """Interrupt the query when its time is over, and again, because one before its beginning has no effect."""
        wait = seconds
        while not ended.wait(wait):
            self._connection.interrupt()
            wait = _SECONDS_TO_NEXT_INTERRUPTION

    def _too_large(self) -> JoinSqlError:
        return JoinSqlError(
            "joins has too large a result",
            where="joins",
            why=f"the result for the tables of one export has more than {self._most_bytes} bytes",
            remedy="join by keys, so that rows are not multiplied",
        )

    def _too_long(self) -> JoinSqlError:
        return JoinSqlError(
            "joins takes too long",
            where="joins",
            why=f"DuckDB took more than {self._most_seconds:g} s for the tables of one export",
            remedy="join by keys, or select fewer rows",
        )


class JoinEngine:
    """A DuckDB in memory for a user's join. A context manager."""

    def __init__(self, limits: JoinLimits) -> None:
        self._limits = limits
        self._connection = _connect(limits)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def check_join(self, text: str, tables: set[str]) -> str:
        """Return a user's join, ready to run: the table `cells` replaces CytoTable's `read_parquet('cells.parquet')`.

        Raises JoinSqlError if the join does not parse, uses what a join may not use, reads no table of `tables`, or
        reads one that does not exist.
        """
        tree = self._checked_tree(_checked_text(text), tables)
        changed = json.dumps(with_tables_for_files(tree))
        ready = self._scalar("SELECT json_deserialize_sql(?::JSON)", changed)
        # What runs is this text, so that it is checked, too: DuckDB may print a tree as the text of another one.
        self._checked_tree(ready, tables)
        return ready

    @contextmanager
    def tables(self, tables: Mapping[str, pa.Table]) -> Iterator[JoinSession]:
        """Yield a session in which Arrow tables can be queried under their names."""
        most_bytes = _MOST_GROWTH * sum(table.nbytes for table in tables.values()) + self._limits.result_bytes
        with registered_tables(self._connection, tables) as cursor:
            yield JoinSession(cursor, self._limits.seconds, most_bytes)

    def _checked_tree(self, text: str, tables: set[str]) -> object:
        tree = parsed(self._scalar("SELECT json_serialize_sql(?::VARCHAR)", text))
        use = use_of(tree)
        _check_use(use)
        _check_tables(use.tables, tables)
        return tree

    def _scalar(self, query: str, argument: str) -> str:
        try:
            row = self._connection.execute(query, [argument]).fetchone()
        except duckdb.Error as error:
            raise _failed(error) from error
        return str(row[0]) if row else ""


def check_join_text(text: str, tables: set[str]) -> None:
    """Check a user's join, and that it reads tables of `tables` alone, unless these are not known yet.

    Raises JoinSqlError.
    """
    with JoinEngine(JoinLimits(memory=2**28, workers=1)) as engine:
        engine.check_join(text, tables)


def _connect(limits: JoinLimits) -> duckdb.DuckDBPyConnection:
    config: dict[str, str | bool | int | float | list[str]] = {
        "allow_community_extensions": "false",
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "memory_limit": f"{limits.memory // 2**20}MiB",
        "temp_directory": "",
        "threads": limits.workers,
    }
    if limits.spill is not None:
        # A folder of its own, because DuckDB may read what is in its folder for spilled files.
        config["temp_directory"] = str(limits.spill / _SPILL_FOLDER)
    connection = duckdb.connect(config=config)
    if limits.spill is not None:
        most = shutil.disk_usage(limits.spill).free // 2 if limits.spill_bytes is None else limits.spill_bytes
        # As an argument of `connect` it has no effect.
        connection.execute(f"SET max_temp_directory_size = {sql.literal(f'{most}B')}")
    for lock in _LOCKS:
        connection.execute(lock)
    return connection


def _checked_text(text: str) -> str:
    """Return the text of a join. Raises JoinSqlError if it is too long, or cannot be encoded."""
    why = ""
    if len(text) > MOST_CHARACTERS:
        why = f"it has {len(text)} characters, more than {MOST_CHARACTERS}"
    else:
        try:
            text.encode()
        except UnicodeEncodeError as error:
            why = f"character {error.start} is half of a character"
    if why:
        raise JoinSqlError("joins is no text for SQL", where="joins", why=why, remedy="write one SELECT in UTF-8")
    return text


def _check_use(use: JoinUse) -> None:
    if use.refused:
        raise JoinSqlError(
            f"joins may not use {use.refused[0]}",
            where="joins",
            why="a join reads the plate's tables and its own values alone",
            remedy="leave it out; rows come from tables, range(), generate_series() and unnest()",
        )


def _check_tables(names: set[str], tables: set[str]) -> None:
    unknown = sorted(names - tables) if tables else []
    if unknown or not names:
        shown = ", ".join(unknown[:_SHOWN])
        raise JoinSqlError(
            f"joins names {shown}, which is no table" if unknown else "joins names no table",
            where="joins",
            why=f"the plate's tables are {', '.join(sorted(tables))}" if tables else "it reads no table at all",
            remedy="name the tables as they are listed here" if tables else "name the tables that it joins",
        )


def _failed(error: Exception) -> JoinSqlError:
    why = next(iter(str(error).splitlines()), type(error).__name__)
    if isinstance(error, duckdb.OutOfMemoryException):
        return JoinSqlError(
            "joins needs too much memory or disk",
            where="joins",
            why=why,
            remedy="raise CYTOBATCH_MEMORY, or join by keys",
        )
    return JoinSqlError("joins failed", where="joins", why=why, remedy="mend the SQL")
