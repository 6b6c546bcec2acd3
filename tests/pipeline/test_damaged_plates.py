"""Plates with damage of any sort fail with a message, or are converted to what a second, naive reader finds.

`make test` converts 300 damaged plates and reads 5,000 damaged tables, the same in each run; `make torture` ten times
and three times as many.
"""

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from cytobatch.engine.duckdb import Engine
from cytobatch.errors import CytobatchError, FastPathUnavailable, InternalError
from cytobatch.planning.schema import schema_by_names
from cytobatch.readers.csv import read as csv
from cytobatch.readers.csv.header import read_head
from cytobatch.readers.fallback import read_with_fallback
from cytobatch.readers.npz import read as npz
from cytobatch.readers.sqlite import read as sqlite
from tests.support.fuzzing import KINDS, Fuzzer, bounded_time, damage

CONVERSIONS, READINGS = 100, 2500
"""Those of one test, of which there are three and two."""
MANY_CONVERSIONS, MANY_READINGS = 3000, 17_000
FIRST = int(os.environ.get("FUZZ_SEED", "0"))
"""The first seed: `FUZZ_SEED=7000 make torture` damages other plates."""
# pyarrow decodes a ragged row for its handler, and prints an error if the row is not UTF-8; reading goes on.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::DeprecationWarning")


@pytest.fixture
def fuzzer(tmp_path: Path) -> Fuzzer:
    return Fuzzer(tmp_path)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with Engine(spill=tmp_path, memory=2**28, workers=1) as engine:
        yield engine


def check_conversions(fuzzer: Fuzzer, count: int, part: int = 0) -> None:
    first = FIRST + part * count
    faults = [fault for seed in range(first, first + count) if (fault := fuzzer.fault(seed))]
    assert not faults, "\n".join(faults)


def read_table(path: Path, engine: Engine) -> None:
    """Read a file by the readers alone."""
    if path.suffix == ".npz":
        head = npz.read_head(path)
        assert [batch.num_rows for batch in npz.stream(path, head.schema, [])] == [head.rows]
        return
    if path.suffix != ".sqlite":
        head_of_csv = read_head(path, path.stat().st_size)
        schema = schema_by_names(head_of_csv.shape.names, {})
        for batch in csv.stream(path, head_of_csv.shape, schema, []):
            batch.validate(full=True)
        return
    for table in sqlite.list_tables_and_views(path).tables:
        schema = pa.schema([(name, pa.string()) for name in sqlite.column_names(path, table) if name])
        strategies = sqlite.strategies(engine, sqlite.SqliteTable(path, table), schema, [])
        read_with_fallback(strategies, [], lambda strategy: [batch.validate(full=True) for batch in strategy()])


def check_readings(fuzzer: Fuzzer, engine: Engine, count: int, part: int = 0) -> None:
    """Damage one table again and again; each reading ends with rows, or with an error of its table."""
    faults, first = [], FIRST + part * count
    for seed in range(first, first + count):
        dice = random.Random(-seed - 1)
        kind = list(KINDS)[seed % len(KINDS)]
        source = dice.choice(sorted(path for path in fuzzer.source(kind).rglob("*") if path.is_file()))
        path = fuzzer.root / f"damaged{source.suffix}"
        path.write_bytes(source.read_bytes())
        damage(path, dice)
        try:
            with bounded_time():
                read_table(path, engine)
        except InternalError as error:
            faults.append(f"seed {seed}, {kind}: {error}")
        except (CytobatchError, FastPathUnavailable):
            continue
        except BaseException as error:  # noqa: BLE001  all that is no error of the table is a fault
            faults.append(f"seed {seed}, {kind}, {source.name}: {type(error).__name__}: {str(error)[:300]}")
    assert not faults, "\n".join(faults)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(3))
def test_damaged_plates_fail_with_a_message_or_are_converted_right(part: int, fuzzer: Fuzzer) -> None:
    check_conversions(fuzzer, CONVERSIONS, part)


@pytest.mark.parametrize("seed", [1132, 2729, 31_288, 700_421, 800_649, 800_677, 800_758, 801_177, 900_583, 901_362])
def test_plates_that_a_reader_once_misjudged_are_right(seed: int, fuzzer: Fuzzer) -> None:
    """Numbers in texts, an open quote, blanks around a name, repaired keys, bytes of Windows, keys of NPZ, blobs."""
    assert fuzzer.fault(seed) is None


@pytest.mark.slow
@pytest.mark.parametrize("part", range(2))
def test_damaged_tables_are_read_or_refused(part: int, fuzzer: Fuzzer, engine: Engine) -> None:
    check_readings(fuzzer, engine, READINGS, part)


@pytest.mark.long
@pytest.mark.torture
def test_many_damaged_plates(fuzzer: Fuzzer) -> None:
    check_conversions(fuzzer, MANY_CONVERSIONS)


@pytest.mark.long
@pytest.mark.torture
def test_many_damaged_tables(fuzzer: Fuzzer, engine: Engine) -> None:
    check_readings(fuzzer, engine, MANY_READINGS)
