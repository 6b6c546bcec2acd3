"""SQLite opened for files from strangers: without trust in their schema, with bounds on values, statements and time.

A view may recurse without an end, and a few kilobytes may claim records of gigabytes. What SQLite's authors advise for
such files: https://www.sqlite.org/security.html
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from cytobatch.errors import InvalidTableError

SQLITE_ERRORS = (sqlite3.DatabaseError, UnicodeDecodeError)
"""Errors for a damaged file: SQLite's message may quote bytes that Python's sqlite3 cannot decode."""
LARGEST_RECORD = 64 * 2**20
"""Bytes of the largest row that is read. Rows of measurements have kilobytes, and one with a pipeline megabytes."""

_MIB = 2**20
_STEPS_AT_ONCE = 100_000
# SQLite takes some ten steps for each value, and a value is a byte of the file at least.
_STEPS, _STEPS_PER_BYTE = 50_000_000, 100
_SECONDS, _SECONDS_PER_MIB = 5, 2


class EndlessQueryError(InvalidTableError):
    """SQLite takes more steps or time for a query than any file of its size needs."""


class _Budget:
    """Counts the steps and the CPU seconds that the queries of one connection take. SQLite calls it."""

    def __init__(self, file_bytes: int) -> None:
        self._steps = (_STEPS + _STEPS_PER_BYTE * file_bytes) // _STEPS_AT_ONCE
        # Other programs on the machine do not count.
        self._end = time.thread_time() + _SECONDS + _SECONDS_PER_MIB * file_bytes / _MIB
        self.exhausted = False

    def __call__(self) -> bool:
        self._steps -= 1
        self.exhausted = self._steps < 0 or time.thread_time() > self._end
        return self.exhausted


@contextmanager
def open_database(path: Path, what: str) -> Iterator[sqlite3.Connection]:
    """Open a database read-only for the queries of one thread.

    Raises
    ------
    EndlessQueryError
        If the queries of the block take more steps or time than a file of this size needs.
    InvalidTableError
        If SQLite finds a defect, or a value is larger than `LARGEST_RECORD`. `what` names what is read.
    """
    budget = _Budget(_bytes_of(path))
    try:
        with closing(connect(path)) as connection:
            connection.set_progress_handler(budget, _STEPS_AT_ONCE)
            yield connection
    except SQLITE_ERRORS as error:
        if budget.exhausted:
            raise EndlessQueryError(
                f"SQLite {what} cannot be read",
                where=path.name,
                why="SQLite takes longer for it than for any table of the file's size: a view may recurse, or pages "
                "form a circle",
                remedy="remove the view, or copy the file again",
            ) from error
        raise damaged(path, what, error) from error


def connect(path: Path) -> sqlite3.Connection:
    """Open a database read-only, without trust in its schema. The largest value is `LARGEST_RECORD`."""
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LARGEST_RECORD)
    connection.execute("PRAGMA trusted_schema = OFF")
    return connection


def damaged(path: Path, what: str, error: Exception) -> InvalidTableError:
    """Return the error for a database that SQLite cannot read."""
    return InvalidTableError(
        f"SQLite {what} cannot be read",
        where=path.name,
        why=str(error),
        remedy="check it with `PRAGMA integrity_check` or copy it again; in WAL mode its folder must be writable",
    )


def _bytes_of(path: Path) -> int:
    log = path.with_name(f"{path.name}-wal")
    return path.stat().st_size + (log.stat().st_size if log.exists() else 0)
