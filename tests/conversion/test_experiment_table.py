"""What an analysis records about itself is kept: pipeline, version, time. Differences within a plate are named."""

import csv
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cytobatch.conversion.experiment_table import experiment_table
from cytobatch.conversion.pipeline_text import first_difference, settings_of
from cytobatch.formats.experiments import Experiment
from cytobatch.report.model import Outcome, RunReport
from tests.support.plates import (
    convert,
    convert_to_folder,
    per_tables,
    site_tables,
    write_incarta_plate,
    write_npz_plate,
    write_site,
    write_sites,
    write_sqlite,
)

PIPELINE = "CellProfiler Pipeline: http://www.cellprofiler.org\nVersion:5\nDateRevision:{date}\n\n{modules}"
MODULE = (
    "Identify:[module_num:1|show_window:{shown}|notes:[]|batch_state:array([], dtype=uint8)]\n    Diameter:{diameter}\n"
)


def pipeline(diameter: int = 10, *, date: int = 1, shown: bool = False) -> str:
    return PIPELINE.format(date=date, modules=MODULE.format(shown=shown, diameter=diameter))


def record(path: Path, version: str = "4.2.4", text: str = "", stamp: str = "today") -> list[tuple[str, str]]:
    """Write an Experiment.csv, and return its rows."""
    rows = [
        ("CellProfiler_Version", version),
        ("Pipeline_Pipeline", text or pipeline()),
        ("Run_Timestamp", stamp),
    ]
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([("Key", "Value"), *rows])
    return rows


def rows_of(table: pa.Table) -> list[tuple[Any, ...]]:
    return list(zip(*(table[name].to_pylist() for name in ("export", "key", "value")), strict=True))


def outcome(report: RunReport, path: str, table: str | None = None) -> tuple[Outcome, str | None]:
    (entry,) = [each for each in report.ledger if (each.path, each.table) == (path, table)]
    return entry.outcome, entry.reason


def warnings(report: RunReport, start: str) -> list[str]:
    return [each.what for each in report.warnings if each.what.startswith(start)]


@pytest.mark.parametrize("prefix", ["", "MyExpt_"])
@pytest.mark.parametrize("join", [True, False])
def test_each_exports_record_is_kept(prefix: str, join: bool, tmp_path: Path) -> None:
    source = write_sites(tmp_path / "in", 3)
    expected = []
    for folder in sorted(source.iterdir()):
        for path in list(folder.iterdir()):
            path.rename(folder / f"{prefix}{path.name}")
        rows = record(folder / f"{prefix}Experiment.csv", stamp=folder.name)
        expected += [(folder.name, key, value) for key, value in rows]
    found, report = convert_to_folder(source, tmp_path / "out", join=join)
    assert rows_of(found["experiment.parquet"]) == expected
    assert set(found["experiment.parquet"]["run"].to_pylist()) == {1}
    assert [(one.name, one.version, one.exports) for one in report.software] == [("CellProfiler", "4.2.4", 3)]
    assert outcome(report, f"P1-A01-1/{prefix}Experiment.csv") == (Outcome.CONVERTED, None)
    assert not warnings(report, "exports were measured")


def test_the_profile_keeps_its_bytes_and_the_option_turns_the_record_off(tmp_path: Path) -> None:
    source = write_sites(tmp_path / "in", 2)
    without, _ = convert(source, tmp_path / "a.parquet")
    record(source / "P1-A01-1" / "Experiment.csv")
    with_record, report = convert(source, tmp_path / "b.parquet")
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    assert with_record.equals(without)
    assert pq.read_table(tmp_path / "b.experiment.parquet").num_rows == 3
    assert report.outputs[0].path == str(tmp_path / "b.parquet")
    _, report = convert(source, tmp_path / "b.parquet", experiment=False)
    assert not (tmp_path / "b.experiment.parquet").exists()
    assert outcome(report, "P1-A01-1/Experiment.csv")[0] is Outcome.IGNORED
    assert report.software == []


def test_a_record_above_the_exports_is_that_of_its_folder(tmp_path: Path) -> None:
    source = write_sites(tmp_path / "in", 2)
    record(source / "Experiment.csv")
    found, report = convert_to_folder(source, tmp_path / "out")
    assert set(found["experiment.parquet"]["export"].to_pylist()) == {"."}
    assert outcome(report, "Experiment.csv") == (Outcome.CONVERTED, None)


@pytest.mark.parametrize("content", [b"", b"Well,Row,Column\nA01,1,1\n", b'Key,Value\nPipeline_Pipeline,"cut'])
def test_a_record_that_cannot_be_read_is_a_warning(content: bytes, tmp_path: Path) -> None:
    source = write_sites(tmp_path / "in", 2)
    (source / "P1-A01-1" / "Experiment.csv").write_bytes(content)
    record(source / "P1-A01-2" / "Experiment.csv")
    found, report = convert_to_folder(source, tmp_path / "out")
    assert found["single_cells.parquet"].num_rows == 6
    assert set(found["experiment.parquet"]["export"].to_pylist()) == {"P1-A01-2"}
    assert warnings(report, "1 record of an analysis cannot be read, such as P1-A01-1/Experiment.csv")
    found_outcome, reason = outcome(report, "P1-A01-1/Experiment.csv")
    assert found_outcome is Outcome.IGNORED
    assert (reason or "").startswith("a record of an analysis that cannot be read")


def test_a_failed_exports_record_is_left_out(tmp_path: Path) -> None:
    source = write_sites(tmp_path / "in", 3)
    for folder in source.iterdir():
        record(folder / "Experiment.csv")
    with (source / "P1-A01-2" / "Cells.csv").open("a") as stream:
        stream.write("1,1\n")
    found, report = convert_to_folder(source, tmp_path / "out", max_failed_exports=1)
    assert set(found["experiment.parquet"]["export"].to_pylist()) == {"P1-A01-1", "P1-A01-3"}
    assert outcome(report, "P1-A01-2/Experiment.csv") == (Outcome.LEFT_OUT, "another table of its export failed")
    assert [one.exports for one in report.software] == [2]


def test_several_versions_and_pipelines_of_one_plate_are_named(tmp_path: Path) -> None:
    source = write_sites(tmp_path / "in", 4)
    record(source / "P1-A01-1" / "Experiment.csv")
    record(source / "P1-A01-2" / "Experiment.csv", version="4.0.6")
    record(source / "P1-A01-3" / "Experiment.csv", text=pipeline(diameter=25))
    record(source / "P1-A01-4" / "Experiment.csv", text=pipeline(date=2, shown=True))
    _, report = convert(source, tmp_path)
    assert [(one.version, one.exports) for one in report.software] == [("4.0.6", 1), ("4.2.4", 3)]
    (versions,) = warnings(report, "exports were measured by 2 versions of CellProfiler")
    assert versions.endswith(": 4.2.4 in 3 exports, such as P1-A01-1; 4.0.6 in 1 export, such as P1-A01-2")
    (pipelines,) = warnings(report, "exports were measured by 2 different pipelines")
    assert "one in 3 exports, such as P1-A01-1; one in 1 export, such as P1-A01-3" in pipelines
    assert pipelines.endswith("the first difference is 'Diameter:10' and 'Diameter:25'")


def write_record(path: Path, table: str, runs: Sequence[tuple[str | bytes | None, ...]]) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(
            f"CREATE TABLE {table} (Pipeline_Pipeline longblob, CellProfiler_Version TEXT, Run_Timestamp TEXT)"
        )
        connection.executemany(f"INSERT INTO {table} VALUES (?, ?, ?)", runs)
        connection.commit()


def test_a_databases_record_is_kept_with_all_runs(tmp_path: Path) -> None:
    path = write_sqlite(tmp_path / "in" / "p.sqlite", per_tables(site_tables(3)))
    write_record(path, "Per_Experiment", [(pipeline(), "4.2.1", "today"), (pipeline().encode(), "4.2.5", None)])
    found, report = convert_to_folder(path, tmp_path / "out")
    table = found["experiment.parquet"]
    assert table["run"].to_pylist() == [1, 1, 1, 2, 2, 2]
    assert rows_of(table) == [
        ("p.sqlite", "Pipeline_Pipeline", pipeline()),
        ("p.sqlite", "CellProfiler_Version", "4.2.1"),
        ("p.sqlite", "Run_Timestamp", "today"),
        ("p.sqlite", "Pipeline_Pipeline", pipeline()),
        ("p.sqlite", "CellProfiler_Version", "4.2.5"),
        ("p.sqlite", "Run_Timestamp", None),
    ]
    assert outcome(report, "p.sqlite", "Per_Experiment") == (Outcome.CONVERTED, None)
    assert warnings(report, "exports were measured by 2 versions of CellProfiler")


def test_a_table_that_is_too_long_for_a_record_is_a_warning(tmp_path: Path) -> None:
    path = write_sqlite(tmp_path / "in" / "p.sqlite", per_tables(site_tables(3)))
    write_record(path, "Per_Experiment", [("x", "4", "now")] * 10_001)
    found, report = convert_to_folder(path, tmp_path / "out")
    assert list(found) == ["single_cells.parquet"]
    (warning,) = warnings(report, "1 record of an analysis cannot be read, such as p.sqlite (Per_Experiment)")
    assert warning.endswith("it has more than 10000 rows")
    assert outcome(report, "p.sqlite", "Per_Experiment")[0] is Outcome.IGNORED


def test_each_set_of_tables_has_its_own_record(tmp_path: Path) -> None:
    sets = [
        {f"{run}_{name}": table for name, table in per_tables(site_tables(2, well=well)).items()}
        for run, well in (("RunA", "A1"), ("RunB", "B2"))
    ]
    path = write_sqlite(tmp_path / "in" / "p.sqlite", *sets)
    for name, version in (("RunA_Per_Experiment", "3.1.9"), ("RunB_Per_Experiment", "4.2.4"), ("Per_Experiment", "2")):
        write_record(path, name, [(pipeline(), version, "now")])
    found, _ = convert_to_folder(path, tmp_path / "out")
    versions = [(export, value) for export, key, value in rows_of(found["experiment.parquet"]) if "Version" in key]
    assert sorted(versions) == [("p.sqlite", "2"), ("p.sqlite/RunA_Per", "3.1.9"), ("p.sqlite/RunB_Per", "4.2.4")]
    found, _ = convert_to_folder(path, tmp_path / "one", table_prefix="RunB_")
    versions = [(export, value) for export, key, value in rows_of(found["experiment.parquet"]) if "Version" in key]
    assert [value for _, value in versions] == ["4.2.4"]


def test_an_imported_file_is_a_record_and_other_tables_are_not(tmp_path: Path) -> None:
    path = write_sqlite(tmp_path / "in" / "p.sqlite", per_tables(site_tables(3)))
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            "CREATE TABLE Experiment (Key TEXT, Value TEXT);"
            "INSERT INTO Experiment VALUES ('CellProfiler_Version', '4');"
            "CREATE TABLE Per_Experiment (Pipeline_Pipeline TEXT);"
            "CREATE TABLE Experiment_Properties (experiment_id integer, field text, value text);"
            "INSERT INTO Experiment_Properties VALUES (1, 'a', 'b')"
        )
    found, report = convert_to_folder(path, tmp_path / "out")
    assert rows_of(found["experiment.parquet"]) == [("p.sqlite", "CellProfiler_Version", "4")]
    assert outcome(report, "p.sqlite", "Per_Experiment")[0] is Outcome.IGNORED
    assert outcome(report, "p.sqlite", "Experiment_Properties")[0] is Outcome.IGNORED


def test_sources_without_a_record_have_no_table(tmp_path: Path) -> None:
    for source in (
        write_site(tmp_path / "csv" / "in", site_tables(2)),
        write_sqlite(tmp_path / "sql" / "p.sqlite", per_tables(site_tables(2))),
        write_incarta_plate(tmp_path / "ic" / "in"),
        write_npz_plate(tmp_path / "npz" / "in"),
    ):
        found, report = convert_to_folder(source, source.parent / "out")
        assert list(found) == ["single_cells.parquet"]
        assert report.software == []


def test_equal_texts_are_in_the_file_once(tmp_path: Path) -> None:
    """A text is longer than the pages that Parquet would keep a dictionary for by default."""
    source = write_sites(tmp_path / "in", 8, 1)
    text = "".join(f"{number * 7919 % 100_003}\n" for number in range(300_000))
    for folder in source.iterdir():
        record(folder / "Experiment.csv", text=text)
    found, _ = convert_to_folder(source, tmp_path / "out")
    column = pq.ParquetFile(tmp_path / "out" / "experiment.parquet").metadata.row_group(0).column(4)
    assert len(text) > 2**20
    assert column.total_uncompressed_size < 2 * len(text)
    assert {value for _, key, value in rows_of(found["experiment.parquet"]) if "Pipeline" in key} == {text}


VALUES = st.none() | st.text(st.characters(codec="utf-8"), max_size=5)
RUNS = st.lists(st.lists(st.tuples(st.text(st.characters(codec="utf-8"), max_size=3), VALUES), max_size=4), max_size=3)


@given(st.lists(RUNS, max_size=4))
def test_the_table_has_every_key_of_every_run(records: list[list[list[tuple[str, str | None]]]]) -> None:
    experiments = [
        Experiment(f"e{number}", f"p{number}", None, tuple(tuple(pairs) for pairs in runs))
        for number, runs in enumerate(records)
    ]
    table = experiment_table(experiments)
    assert table.select(["export", "run", "key", "value"]).to_pylist() == [
        {"export": f"e{number}", "run": run, "key": key, "value": value}
        for number, runs in enumerate(records)
        for run, pairs in enumerate(runs, start=1)
        for key, value in pairs
    ]


def test_settings_are_compared_without_what_belongs_to_a_run() -> None:
    assert settings_of(pipeline(date=7, shown=True)) == settings_of(pipeline().replace("\n", "\r\n"))
    assert settings_of(pipeline(diameter=3)) != settings_of(pipeline())
    assert settings_of("a\nb") == "a\nb"
    assert first_difference("a\nb", "a\nb\nc") == "'' and 'c'"
    long = "x" * 200
    assert first_difference(f"{long}1", f"{long}2") == f"'{'x' * 40}1' and '{'x' * 40}2'"
