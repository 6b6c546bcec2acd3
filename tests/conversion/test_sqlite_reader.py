"""The option `sqlite_reader`: both readers give the same bytes, in memory and out of core."""

from pathlib import Path
from typing import Any

import pytest

from cytobatch.config.option_types import SqliteReader
from cytobatch.config.options import PlateJob
from cytobatch.formats.cellprofiler_sqlite import format as sqlite_format
from cytobatch.synthetic import PlateFormat, SyntheticPlate, write_plate
from tests.support.plates import convert

IN_MEMORY, OUT_OF_CORE = 2**32, 2**26
"""Memory with which the plate's file is read whole, and with which it is not."""
PLATE = SyntheticPlate(wells=3, sites=3, cells=100, features=200)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plate")
    write_plate(PLATE, folder, PlateFormat.SQLITE)
    assert (folder / f"{PLATE.name}.sqlite").stat().st_size > 4 * 2**20
    return folder


@pytest.fixture
def native_calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the page reader's functions that were called."""
    calls: list[str] = []

    def record(name: str, function: Any) -> Any:
        def call(*arguments: Any) -> Any:
            calls.append(name)
            return function(*arguments)

        return call

    for name in ("stream_pages", "find_rows"):
        monkeypatch.setattr(sqlite_format, name, record(name, getattr(sqlite_format, name)))
    return calls


@pytest.mark.usefixtures("any_memory")
@pytest.mark.parametrize(("memory", "function"), [(IN_MEMORY, "stream_pages"), (OUT_OF_CORE, "find_rows")])
def test_both_readers_of_sqlite_give_the_same_bytes(
    memory: int, function: str, source: Path, native_calls: list[str], tmp_path: Path
) -> None:
    contents = {}
    for reader in SqliteReader:
        native_calls.clear()
        table, report = convert(source, tmp_path / reader, memory=memory, workers=2, sqlite_reader=reader.value)
        assert table.num_rows == PLATE.cell_count()
        assert (function in native_calls) == (reader is SqliteReader.NATIVE)
        assert native_calls == [] or reader is SqliteReader.NATIVE
        assert report.repairs == []
        contents[reader] = (tmp_path / reader / "out.parquet").read_bytes()
    assert contents[SqliteReader.NATIVE] == contents[SqliteReader.DUCKDB]


def test_the_reader_of_sqlite_does_not_decide_the_output() -> None:
    options = [
        PlateJob(source="/in", destination="/out", sqlite_reader=reader).output_options() for reader in SqliteReader
    ]
    assert options[0] == options[1]
    assert "sqlite_reader" not in options[0]
