"""The result of a conversion as Python has it: the tables beside the report, and how it is opened again."""

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from cloudpathlib import S3Path
from cloudpathlib.local import LocalGSClient

import cytobatch
from cytobatch.pipeline.inspection import published
from cytobatch.pipeline.inspection.published import inspect_result
from cytobatch.pipeline.published_result import PublishedResult
from cytobatch.pipeline.result_tables import profile_rows
from cytobatch.report.model import FailedExport, RunReport
from cytobatch.storage.access import Access, open_path
from cytobatch.storage.published_files import PublishedFiles
from cytobatch.storage.ranged_object import RangedObject
from cytobatch.synthetic import PlateFormat, SyntheticPlate, write_plate
from tests.support.plates import site_tables, write_site, write_sites

AREAS = ["Cytoplasm_AreaShape_Area", "Cells_AreaShape_Area", "Nuclei_AreaShape_Area"]


@pytest.fixture(scope="module")
def plate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("plate") / "in"
    write_plate(SyntheticPlate(wells=3, sites=2), root, PlateFormat.CSV)
    return root


@pytest.fixture(scope="module")
def result(plate: Path, tmp_path_factory: pytest.TempPathFactory) -> cytobatch.PlateResult:
    """A result with several row groups, and no well-level profile."""
    return cytobatch.convert(plate, tmp_path_factory.mktemp("out"), chunk_size=100, workers=1)


def profile_of(result: RunReport) -> pa.Table:
    return pq.read_table(result.outputs[0].path)


# Cells


def test_all_columns_are_those_of_the_profile(result: cytobatch.PlateResult) -> None:
    assert result.cells().equals(profile_of(result))


@pytest.mark.parametrize(
    ("columns", "names"),
    [
        ("Metadata_Well", ["Metadata_Well"]),
        ("*_AreaShape_Area", AREAS),
        (["Cells_AreaShape_Area", "Metadata_Well", "*_AreaShape_Area"], ["Cells_AreaShape_Area", "Metadata_Well"]),
        ([], []),
    ],
)
def test_columns_are_named_or_fit_a_pattern(
    columns: str | Sequence[str], names: list[str], result: cytobatch.PlateResult
) -> None:
    table = result.cells(columns)
    assert table.column_names[: len(names)] == names
    assert set(table.column_names) <= {*names, *AREAS}
    assert table.num_rows == result.counts.rows
    assert table.equals(profile_of(result).select(table.column_names))


@pytest.mark.parametrize("wells", ["A02", "a2", ["A01", "A03"], ["A02", "P24"], "P24"])
def test_rows_are_those_of_the_wells(wells: str | list[str], result: cytobatch.PlateResult) -> None:
    named = {"a2": ["A02"]}.get(str(wells), [wells] if isinstance(wells, str) else wells)
    whole = profile_of(result)
    expected = whole.filter(pc.is_in(whole["Metadata_Well"], pa.array(named)))
    for columns in (["Cells_AreaShape_Area"], ["Metadata_Site", "Metadata_Well"]):
        assert result.cells(columns, wells=wells).equals(expected.select(columns))
    assert (expected.num_rows > 0) == (wells != "P24")


def test_a_column_that_is_not_there_is_refused_with_the_nearest_name(result: cytobatch.PlateResult) -> None:
    with pytest.raises(cytobatch.ConfigurationError, match="no column fits 'Cells_AreaShape_Aera'") as caught:
        result.cells("Cells_AreaShape_Aera")
    assert caught.value.remedy == "did you mean 'Cells_AreaShape_Area'?"
    with pytest.raises(cytobatch.ConfigurationError, match=r"no column fits 'zzz\*'"):
        result.wells("zzz*")


@pytest.mark.parametrize("options", [{"join": False}, {"concat": False}])
def test_a_result_without_a_joined_profile_has_no_cells(options: dict[str, bool], tmp_path: Path) -> None:
    result = cytobatch.convert(write_sites(tmp_path / "in", 1), tmp_path / "out", **options)
    with pytest.raises(cytobatch.InputDataError, match="result has no joined profile") as caught:
        result.cells()
    assert "pyarrow.parquet.read_table(report.outputs[0].path)" in caught.value.remedy
    assert pq.read_table(result.outputs[0].path).num_rows


# Wells


def test_without_a_well_level_profile_wells_are_counted_by_the_report(result: cytobatch.PlateResult) -> None:
    table = result.wells()
    assert table["Metadata_Well"].to_pylist() == ["A01", "A02", "A03"]
    assert sum(table["Metadata_Object_Count"].to_pylist()) == result.counts.rows
    assert table["Metadata_Site_Count"].to_pylist() == [2, 2, 2]
    assert table.column_names[-len(result.report_features) :] == result.report_features
    assert table[result.report_features[0]].to_pylist() == [well.medians[0] for well in result.plate_wells]
    assert result.wells("Metadata_W*").column_names == ["Metadata_Well"]


@pytest.mark.parametrize("destination", ["out", "one.parquet"])
def test_wells_are_the_well_level_profile_if_there_is_one(destination: str, tmp_path: Path) -> None:
    source = write_sites(tmp_path / "in", 2)
    result = cytobatch.convert(source, tmp_path / destination, well_profiles="median")
    path = next(output.path for output in result.outputs if output.path.endswith("profiles.parquet"))
    assert result.wells().equals(pq.read_table(path))
    assert result.wells(["Metadata_Object_Count"]).to_pydict() == {"Metadata_Object_Count": [result.counts.rows]}
    assert result.cells("Metadata_Well").num_rows == result.counts.rows


# Failed exports


def test_failed_exports_have_names_and_reasons(tmp_path: Path) -> None:
    write_sites(tmp_path / "in", 3)
    (tmp_path / "in" / "P1-A01-2" / "Cells.csv").write_text("ImageNumber,ObjectNumber\n1,x\n")
    result = cytobatch.convert(tmp_path / "in", tmp_path / "out", max_failed_exports=1)
    (failed,) = result.failed
    assert isinstance(failed, FailedExport)
    assert (failed.export, failed.table, failed.path) == ("P1-A01-2", "cells", "P1-A01-2/Cells.csv")
    assert failed.reason
    assert len(result.failed) == result.counts.failed_exports
    assert "P1-A01-2" in result._repr_html_()
    assert "1 of 3 exports failed" in repr(result)


# Opening


@pytest.mark.parametrize("name", ["", "/run-report.json"])
def test_a_result_is_opened_again_where_it_was_moved_to(
    name: str, result: cytobatch.PlateResult, tmp_path: Path
) -> None:
    moved = tmp_path / "moved"
    moved.mkdir()
    for output in (*(output.path for output in result.outputs), result.report):
        (moved / Path(output).name).write_bytes(Path(output).read_bytes())
    again = cytobatch.open_result(f"{moved}{name}")
    assert again == result
    assert hash(again) == hash(result)
    assert again.cells(AREAS).equals(result.cells(AREAS))
    (moved / "single_cells.parquet").unlink()
    with pytest.raises(cytobatch.AbsentFileError):
        again.cells(AREAS)


def test_a_result_stays_readable_from_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_sites(tmp_path / "in", 1)
    monkeypatch.chdir(tmp_path)
    result = cytobatch.convert("in", "out")
    again = cytobatch.open_result("out/run-report.json")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert result.cells(AREAS).equals(again.cells(AREAS))


def test_a_result_travels_between_processes(result: cytobatch.PlateResult) -> None:
    there = pickle.loads(pickle.dumps(result))
    assert there == result
    assert there.cells(AREAS).equals(result.cells(AREAS))


def test_what_is_no_result_is_refused(tmp_path: Path) -> None:
    with pytest.raises(cytobatch.AbsentFileError):
        cytobatch.open_result(tmp_path)
    (tmp_path / "run-report.json").write_text("{}")
    with pytest.raises(cytobatch.InputDataError, match="run report is not readable"):
        cytobatch.open_result(tmp_path)
    with pytest.raises(cytobatch.JobSpecError, match="unknown option 'profil'") as caught:
        cytobatch.open_result(tmp_path, profil="lab")
    assert caught.value.remedy == "did you mean 'profile'?"


def test_a_damaged_profile_is_a_storage_error(tmp_path: Path) -> None:
    result = cytobatch.convert(write_sites(tmp_path / "in", 1), tmp_path / "out")
    Path(result.outputs[0].path).write_bytes(b"PAR1 no Parquet PAR1")
    with pytest.raises(cytobatch.StorageError, match="output cannot be read") as caught:
        result.cells()
    assert "cytobatch verify" in caught.value.remedy


# Buckets


def test_of_a_profile_in_a_bucket_only_the_columns_are_fetched(
    s3: Any, bucket: str, aws: str, plate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = cytobatch.convert(plate, f"s3://{bucket}/P1", workers=1)
    opened: list[RangedObject] = []
    read = RangedObject.read

    def noted(file: RangedObject, size: int | None = -1, /) -> bytes:
        opened.append(file)
        return read(file, size)

    monkeypatch.setattr(RangedObject, "read", noted)
    again = cytobatch.open_result(f"s3://{bucket}/P1", endpoint_url=aws)
    for each in (result, again):
        opened.clear()
        table = each.cells("Cells_AreaShape_Area", wells="A02")
        assert table.num_rows == next(well.cells for well in result.plate_wells if well.well == "A02")
        assert 0 < opened[0].fetched < result.outputs[0].bytes / 2
    profile = s3.get_object(Bucket=bucket, Key="P1/single_cells.parquet")["Body"].read()
    assert again.cells().equals(pq.read_table(pa.BufferReader(profile)))


def test_an_object_that_is_replaced_while_it_is_read_is_an_error(s3: Any, bucket: str, aws: str) -> None:
    s3.put_object(Bucket=bucket, Key="x", Body=b"0123456789")
    path = open_path(f"s3://{bucket}/x", Access(endpoint_url=aws))
    assert isinstance(path, S3Path)
    file = RangedObject(path)
    assert (file.seek(-3, 2), file.read(2), file.tell(), file.seek(1, 1), file.read()) == (7, b"78", 9, 10, b"")
    file.seek(0)
    assert file.read(4) == b"0123"
    s3.put_object(Bucket=bucket, Key="x", Body=b"abcdefghij")
    with pytest.raises(cytobatch.SourceChangedError):
        file.read(4)


def test_of_another_store_a_whole_file_is_fetched(
    result: cytobatch.PlateResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By cloudpathlib's own implementation of a store on a disk."""
    folder = LocalGSClient(local_storage_dir=tmp_path / "store").CloudPath("gs://bucket/out")
    for output in (*(output.path for output in result.outputs), result.report):
        (folder / Path(output).name).upload_from(output)
    stored = PublishedResult(PublishedFiles(folder / "run-report.json", tmp_path / "fetched"), result)
    assert profile_rows(stored, AREAS, "A02").equals(result.cells(AREAS, wells="A02"))
    assert [path.name for path in (tmp_path / "fetched").iterdir()] == ["single_cells.parquet"]
    assert inspect_result(stored, 2).sample
    monkeypatch.setattr(published, "_MOST_FETCHED", 1000)
    assert inspect_result(stored, 2).sample is None


# What is shown


def test_a_result_shows_itself_in_a_line_and_as_html(result: cytobatch.PlateResult) -> None:
    line = f"{result.counts.rows:,} cells in 3 of 3 wells, {result.counts.sites} sites"
    assert line in repr(result)
    assert line in str(result)
    assert len(repr(result).splitlines()) == 1
    html = result._repr_html_()
    assert line in html
    assert "<svg" in html
    assert "<script" not in html


def test_a_second_export_is_equal_only_to_itself(result: cytobatch.PlateResult, tmp_path: Path) -> None:
    write_site(tmp_path / "in", site_tables(2))
    other = cytobatch.convert(tmp_path / "in", tmp_path / "out")
    assert other != result
    assert other == RunReport.model_validate_json(other.to_json())
    assert other != "out"
