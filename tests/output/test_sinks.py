"""A third kind of output is one class and one entry in the registry."""

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import pyarrow as pa
import pytest

from cytobatch.errors import ConfigurationError
from cytobatch.output import registry
from cytobatch.output.row_groups import RowGroup, as_table
from cytobatch.output.sink import OutputSpec, RowGroupWriter, RowSource, SinkResources
from cytobatch.output.written_file import WrittenFile
from tests.support.parts import converted_plate
from tests.support.plates import convert_to_folder, write_sites

both = pytest.mark.parametrize("row_source", list(RowSource))


class CsvWriter:
    """Writes row groups to a CSV file."""

    def __init__(self, output: OutputSpec, stream: TextIO) -> None:
        self._output = output
        self._lines = csv.writer(stream)
        self._lines.writerow(output.schema.names)
        self._rows = 0

    def write(self, group: RowGroup) -> None:
        self._lines.writerows(row.values() for row in as_table(group).to_pylist())
        self._rows += group.num_rows

    def written(self) -> WrittenFile:
        return WrittenFile.measure(self._output.path, self._rows, len(self._output.schema))


@dataclass(frozen=True)
class CsvSink:
    """Profiles as CSV."""

    row_source: RowSource
    profiles_only: bool = True
    works: bool = True
    suffix: str = ".rows.csv"

    def check(self) -> None:
        if not self.works:
            raise ConfigurationError("CSV cannot be written here")

    @contextmanager
    def open(self, output: OutputSpec, resources: SinkResources) -> Iterator[RowGroupWriter]:
        assert (output.rows is None) == (self.row_source is RowSource.CONVERSION)
        resources.on_warning(f"{output.path.name} has {len(output.features)} feature(s)")
        with output.path.open("w", newline="") as stream:
            yield CsvWriter(output, stream)


def register(monkeypatch: pytest.MonkeyPatch, sink: CsvSink) -> None:
    monkeypatch.setattr(registry, "_FACTORIES", [*registry._FACTORIES, lambda _job: [sink]])


def values(path: Path) -> list[list[str]]:
    with path.open(newline="") as stream:
        return list(csv.reader(stream))


def expected_values(table: pa.Table) -> list[list[str]]:
    rows = [["" if value is None else str(value) for value in row.values()] for row in table.to_pylist()]
    return [table.column_names, *rows]


@both
def test_a_registered_sink_gets_the_rows_of_all_profiles(
    row_source: RowSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_sites(tmp_path / "in", 3)
    options = {"well_profiles": "median", "chunk_size": 2, "data_type_cast_map": {"integer": "int32"}}
    expected, without = convert_to_folder(source, tmp_path / "expected", **options)
    register(monkeypatch, CsvSink(row_source))
    tables, report = convert_to_folder(source, tmp_path / "out", **options)
    assert tables.keys() == expected.keys()
    for name, table in tables.items():
        assert table.equals(expected[name])
        assert values(tmp_path / "out" / name.replace(".parquet", ".rows.csv")) == expected_values(table)
    published = {Path(out.path).name: out.rows for out in report.outputs}
    assert published == {
        "single_cells.parquet": 9,
        "single_cells.rows.csv": 9,
        "profiles.parquet": 1,
        "profiles.rows.csv": 1,
        "columns.json": 0,
        "profiles.columns.json": 0,
    }
    warnings = [warning.what for warning in report.warnings]
    assert "single_cells.rows.csv has 3 feature(s)" in warnings
    assert report.counts == without.counts
    assert report.odd_values == without.odd_values


@both
def test_a_sink_of_profiles_gets_no_tables_as_they_are(
    row_source: RowSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_sites(tmp_path / "in", 2)
    register(monkeypatch, CsvSink(row_source))
    convert_to_folder(source, tmp_path / "out", join=False)
    assert not list((tmp_path / "out").rglob("*.csv"))
    monkeypatch.undo()
    register(monkeypatch, CsvSink(row_source, profiles_only=False))
    tables, _ = convert_to_folder(source, tmp_path / "all", join=False)
    found = {path.name.removesuffix(".rows.csv") for path in (tmp_path / "all").rglob("*.csv")}
    assert found == (
        {name.removesuffix(".parquet") for name in tables} if row_source is RowSource.CONVERSION else set()
    )


def test_values_are_counted_once_whatever_the_sinks_select(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write_sites(tmp_path / "in", 2)
    for cells in source.rglob("Cells.csv"):
        lines = cells.read_text().splitlines()
        cells.write_text("\n".join([lines[0], *(with_nan_area(line) for line in lines[1:]), ""]))
    _, expected = convert_to_folder(source, tmp_path / "expected", chunk_size=2)
    assert expected.odd_values
    register(monkeypatch, CsvSink(RowSource.CONVERSION))
    _, report = convert_to_folder(source, tmp_path / "out", chunk_size=2)
    assert report.odd_values == expected.odd_values


def with_nan_area(line: str) -> str:
    """A line of Cells.csv whose area is NaN."""
    image, number, _, parent = line.split(",")
    return f"{image},{number},nan,{parent}"


def test_a_sink_that_cannot_work_stops_a_run_before_anything_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(monkeypatch, CsvSink(RowSource.CONVERSION, works=False))
    with pytest.raises(ConfigurationError, match="CSV cannot be written here"):
        convert_to_folder(write_sites(tmp_path / "in", 1), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_plate_in_parts_has_the_files_of_all_sinks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write_sites(tmp_path / "in", 3)
    register(monkeypatch, CsvSink(RowSource.CONVERSION))
    whole, _ = converted_plate(source, tmp_path / "whole", in_parts=False, range_size=1)
    parted, parts = converted_plate(source, tmp_path / "parts", in_parts=True, range_size=1)
    assert parts == 3
    assert {name: file.sha256 for name, file in parted.files.items()} == {
        name: file.sha256 for name, file in whole.files.items()
    }
    assert "single_cells.rows.csv" in parted.files
