"""The field limit of Python's `csv` module belongs to the caller's process: reading raises and restores it."""

import csv
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cytobatch.errors import InvalidTableError
from cytobatch.readers.csv.field_limit import LONGEST_FIELD, field_limit_for
from cytobatch.readers.csv.header import parse_header, read_head
from tests.support.plates import cells_file

DEFAULT_LIMIT = 131_072
LONG = "x" * (DEFAULT_LIMIT + 1)


@pytest.fixture(autouse=True)
def limit() -> Iterator[int]:
    """A limit that differs from the default one: what is restored is the caller's limit."""
    caller = csv.field_size_limit(100_000)
    yield 100_000
    csv.field_size_limit(caller)


def test_importing_the_package_leaves_the_limit_of_the_process(tmp_path: Path) -> None:
    path = cells_file(tmp_path, f'ImageNumber,Pipeline\n1,"{LONG}"\n'.encode())
    program = f"""
import csv, pathlib
import cytobatch, cytobatch.cli.app, cytobatch.conversion.convert
from cytobatch.readers.csv.header import read_head
before = csv.field_size_limit()
head = read_head(pathlib.Path({str(path)!r}))
print(before, len(head.first_row()["Pipeline"]), csv.field_size_limit())
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.split() == [str(DEFAULT_LIMIT), str(len(LONG)), str(DEFAULT_LIMIT)]


def test_fields_beyond_the_limit_are_read_and_the_limit_is_restored(tmp_path: Path, limit: int) -> None:
    head = read_head(cells_file(tmp_path, f'ImageNumber,{LONG}\n1,"a {LONG}"\n'.encode()))
    assert head.shape.columns == ("ImageNumber", LONG)
    assert head.first_row()[LONG] == f"a {LONG}"
    assert csv.field_size_limit() == limit


def test_the_limit_is_restored_after_a_line_that_cannot_be_parsed(tmp_path: Path, limit: int) -> None:
    with pytest.raises(InvalidTableError):
        read_head(cells_file(tmp_path, f'ImageNumber,Pipeline\n1,"{LONG}"\r2\n'.encode()))
    assert csv.field_size_limit() == limit


def test_a_text_within_the_limit_does_not_change_it(limit: int) -> None:
    with field_limit_for("a short line"):
        assert csv.field_size_limit() == limit


def test_a_limit_that_the_caller_raised_higher_is_kept() -> None:
    csv.field_size_limit(2 * LONGEST_FIELD)
    with field_limit_for("x" * (2 * LONGEST_FIELD + 1)):
        assert csv.field_size_limit() == 2 * LONGEST_FIELD
    assert csv.field_size_limit() == 2 * LONGEST_FIELD


def test_a_limit_that_other_code_sets_meanwhile_is_kept() -> None:
    with field_limit_for(LONG):
        csv.field_size_limit(7)
    assert csv.field_size_limit() == 7


def test_threads_that_parse_at_once_neither_fail_nor_leave_the_limit_raised(limit: int) -> None:
    start = threading.Barrier(4)

    def parse(thread: int) -> int:
        start.wait()
        return sum(len(parse_header(f"{thread}-{number},{LONG}")) for number in range(50))

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(parse, range(4))) == [100] * 4
    assert csv.field_size_limit() == limit
