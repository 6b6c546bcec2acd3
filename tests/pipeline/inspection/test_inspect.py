"""What `cytobatch.inspect` finds at a path: sources, results and Parquet files, local and in a bucket."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import cytobatch
from cytobatch.pipeline.inspection.model import InspectedParquet, InspectedResult, InspectedSource
from cytobatch.synthetic import PlateFormat, SyntheticPlate, write_plate
from tests.support.plates import site_tables, write_incarta_plate, write_npz_plate, write_site, write_sites

Upload = Callable[[Path, str], str]


@pytest.fixture(scope="module")
def plate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("plate") / "in"
    write_plate(SyntheticPlate(wells=2, sites=2), root, PlateFormat.CSV)
    return root


@pytest.fixture(scope="module")
def result(plate: Path, tmp_path_factory: pytest.TempPathFactory) -> cytobatch.PlateResult:
    return cytobatch.convert(plate, tmp_path_factory.mktemp("out"), well_profiles="median", workers=1)


def folder_of(result: cytobatch.PlateResult) -> Path:
    return Path(result.report).parent


# Sources


def test_a_source_has_its_format_places_tables_columns_and_first_rows(plate: Path) -> None:
    found = cytobatch.inspect(plate, rows=2)
    assert isinstance(found, InspectedSource)
    assert (found.kind, found.layout, found.preset) == ("source", "csv", "cellprofiler_csv")
    assert (found.plates, found.wells, found.sites, found.exports) == (["BR00117035"], 2, 4, 4)
    assert (found.files, found.looked_at, found.fetched) == (16, 4, 0)
    tables = {table.name: table for table in found.tables}
    assert set(tables) == {"cells", "cytoplasm", "nuclei", "image"}
    cells = tables["cells"].columns
    assert (cells.columns, cells.features, cells.metadata, cells.compartments) == (104, 100, 4, {"Cells": 100})
    assert sum(cells.groups.values()) == 100
    assert set(cells.channels) == {"DNA", "ER", "RNA", "AGP", "Mito"}
    assert (tables["image"].columns.images, tables["image"].columns.text) == (15, 10)
    assert found.joins[0] == "one row for each object of cytoplasm"
    assert found.sample is not None
    assert found.sample.columns[:2] == ["ImageNumber", "ObjectNumber"]
    assert [row[:2] for row in found.sample.rows] == [["1", "1"], ["1", "2"]]


def test_rows_of_a_source_are_those_of_its_plan(plate: Path, tmp_path: Path) -> None:
    found = cytobatch.inspect(plate, rows=0)
    assert isinstance(found, InspectedSource)
    assert {table.name: table.rows for table in found.tables} == dict(cytobatch.plan(plate, tmp_path / "out").rows)
    assert found.sample is None


@pytest.mark.parametrize("write", [write_incarta_plate, write_npz_plate])
def test_files_of_whole_rows_have_one_table_with_features(write: Callable[[Path], Path], tmp_path: Path) -> None:
    found = cytobatch.inspect(write(tmp_path / "in"))
    assert isinstance(found, InspectedSource)
    (table,) = found.tables
    assert table.rows
    assert 0 < table.columns.features < table.columns.columns
    assert found.sample is not None
    assert 3 <= len(found.sample.rows) <= 5
    assert found.wells


def test_one_file_is_a_source(tmp_path: Path) -> None:
    write_plate(SyntheticPlate(wells=1, sites=2), tmp_path / "in", PlateFormat.SQLITE)
    (path,) = (tmp_path / "in").iterdir()
    found = cytobatch.inspect(path)
    assert isinstance(found, InspectedSource)
    assert found.layout == "sqlite"
    assert found.sample is not None


def test_an_invalid_table_of_a_source_is_named(tmp_path: Path) -> None:
    source = write_sites(tmp_path / "in", 2)
    (source / "P1-A01-2" / "Cells.csv").write_bytes(b"")
    found = cytobatch.inspect(source)
    assert isinstance(found, InspectedSource)
    (line,) = found.invalid
    assert line.startswith("P1-A01-2/Cells.csv (cells): empty file")


def test_of_a_plate_in_a_bucket_a_few_exports_are_read(upload: Upload, aws: str, tmp_path: Path) -> None:
    for site in range(1, 7):
        write_site(tmp_path / "in" / f"P1-B0{site}-1", site_tables(site))
    found = cytobatch.inspect(upload(tmp_path / "in", "in"), endpoint_url=aws)
    assert isinstance(found, InspectedSource)
    assert (found.looked_at, found.exports, found.wells, found.sites) == (3, 6, 6, 6)
    assert 0 < found.fetched < found.bytes
    assert all(table.about for table in found.tables)
    assert found.sample is not None


# Results


def test_a_result_has_provenance_verdict_columns_map_and_first_rows(result: cytobatch.PlateResult) -> None:
    found = cytobatch.inspect(folder_of(result), rows=3)
    assert isinstance(found, InspectedResult)
    assert (found.cytobatch_version, found.digest, found.source) == (
        cytobatch.__version__,
        result.digest,
        result.source,
    )
    assert found.options == result.options
    assert found.verdict == "Usable"
    assert [output.rows for output in found.outputs] == [output.rows for output in result.outputs]
    assert found.columns is not None
    assert (found.columns.columns, found.columns.features) == (result.counts.columns, result.counts.features)
    assert found.columns.compartments == {"Cells": 100, "Cytoplasm": 100, "Nuclei": 100}
    assert found.plate_map[-1].endswith("blank: no images")
    assert found.sample is not None
    first = result.cells(found.sample.columns).slice(0, 3).to_pydict()
    assert [row[1] for row in found.sample.rows] == first["Metadata_Well"]
    assert json.loads(found.to_json())["kind"] == "result"


@pytest.mark.parametrize("name", ["run-report.json", "single_cells.parquet", "profiles.parquet"])
def test_a_result_is_found_by_any_of_its_files(name: str, result: cytobatch.PlateResult) -> None:
    found = cytobatch.inspect(folder_of(result) / name, rows=0)
    assert isinstance(found, InspectedResult)
    assert found == cytobatch.inspect(folder_of(result), rows=0)


@pytest.mark.parametrize("options", [{"join": False}, {"generations": True}, {"concat": False}])
def test_results_of_other_shapes_are_inspected(options: dict[str, bool], tmp_path: Path) -> None:
    result = cytobatch.convert(write_sites(tmp_path / "in", 2), tmp_path / "out", **options)
    found = cytobatch.inspect(tmp_path / "out")
    assert isinstance(found, InspectedResult)
    assert len(found.outputs) == len(result.outputs)
    assert (found.columns is not None, found.sample is not None) == (("generations" in options),) * 2


def test_a_result_that_is_one_file_is_inspected_in_a_bucket(
    upload: Upload, s3: Any, bucket: str, aws: str, tmp_path: Path
) -> None:
    source = upload(write_sites(tmp_path / "in", 2), "in")
    cytobatch.convert(source, f"s3://{bucket}/out/P1.parquet")
    found = cytobatch.inspect(f"s3://{bucket}/out/P1.parquet", endpoint_url=aws)
    assert isinstance(found, InspectedResult)
    assert found.columns is not None
    assert found.sample is not None
    s3.delete_object(Bucket=bucket, Key="out/P1.run-report.json")
    assert cytobatch.inspect(f"s3://{bucket}/out/P1.parquet").kind == "parquet"


@pytest.mark.parametrize(
    ("name", "content", "kind", "what"),
    [
        ("single_cells.parquet", b"PAR1PAR1", cytobatch.StorageError, "output cannot be read"),
        ("single_cells.parquet", None, cytobatch.AbsentFileError, "no such file"),
        ("columns.json", b'{"columns": [1]}', cytobatch.InputDataError, "list of columns is not readable"),
        ("columns.json", b"[", cytobatch.InputDataError, "list of columns is not readable"),
        ("columns.json", None, cytobatch.AbsentFileError, "no such file"),
    ],
)
def test_a_result_that_is_not_whole_is_an_error(
    name: str, content: bytes | None, kind: type[cytobatch.CytobatchError], what: str, tmp_path: Path
) -> None:
    cytobatch.convert(write_sites(tmp_path / "in", 1), tmp_path / "out")
    path = tmp_path / "out" / name
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(kind) as caught:
        cytobatch.inspect(tmp_path / "out")
    assert caught.value.what == what


# Parquet files


def test_a_parquet_file_alone_has_its_footer_and_what_cytobatch_wrote_into_it(
    result: cytobatch.PlateResult, tmp_path: Path
) -> None:
    path = tmp_path / "alone.parquet"
    path.write_bytes(Path(result.outputs[0].path).read_bytes())
    found = cytobatch.inspect(path, rows=1)
    assert isinstance(found, InspectedParquet)
    assert (found.rows, found.columns) == (result.counts.rows, result.counts.columns)
    assert found.provenance["source"] == result.source
    assert found.sample is not None
    assert len(found.sample.rows) == 1


@pytest.mark.parametrize("rows", [0, 3])
def test_a_parquet_file_of_another_program_has_its_schema(rows: int, tmp_path: Path) -> None:
    table = pa.table({"x": [1.5, None, 2.25][:rows], "word": ["a", "b", None][:rows], "n": [1, 2, 3][:rows]})
    pq.write_table(table.cast(pa.schema([("x", "float"), ("word", "string"), ("n", "int64")])), tmp_path / "a.parquet")
    found = cytobatch.inspect(tmp_path / "a.parquet")
    assert isinstance(found, InspectedParquet)
    assert (found.rows, found.provenance, found.names) == (rows, {}, ["x", "word", "n"])
    assert found.types == {"float": 1, "string": 1, "int64": 1}
    shown = found.sample.rows if found.sample else []
    assert shown == [["1.5", "a", "1"], [None, "b", "2"], ["2.25", None, "3"]][:rows]


# Neither


@pytest.mark.parametrize(
    ("name", "content", "kind", "what"),
    [
        ("missing", None, cytobatch.SourceNotFoundError, "nothing is there"),
        ("notes.txt", b"notes", cytobatch.LayoutError, "nothing here fits preset 'auto'"),
        ("cut.parquet", b"PAR1PAR1", cytobatch.InputDataError, "no Parquet file"),
        ("missing.parquet", None, cytobatch.AbsentFileError, "no such file"),
        ("run-report.json", b"{}", cytobatch.InputDataError, "run report is not readable"),
        ("x/run-report.json", None, cytobatch.AbsentFileError, "no result of cytobatch"),
    ],
)
def test_what_is_none_of_these_is_refused(
    name: str, content: bytes | None, kind: type[cytobatch.CytobatchError], what: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(kind) as caught:
        cytobatch.inspect(tmp_path / name)
    assert caught.value.what == what
    assert caught.value.remedy


def test_a_folder_of_results_is_named_as_one(upload: Upload, bucket: str, tmp_path: Path) -> None:
    source = write_sites(tmp_path / "in", 1)
    for name in ("P1", "P10", "P2"):
        cytobatch.convert(source, tmp_path / "out" / name)
    upload(tmp_path / "out", "out")
    for folder in (tmp_path / "out", f"s3://{bucket}/out/"):
        with pytest.raises(cytobatch.InputDataError, match="a folder of results") as caught:
            cytobatch.inspect(folder)
        assert "P1, P2, P10" in caught.value.why
        assert "cytobatch collect" in caught.value.remedy


def test_fetched_files_are_removed(upload: Upload, bucket: str, tmp_path: Path) -> None:
    source = upload(write_sites(tmp_path / "in", 1), "in")
    cytobatch.convert(source, f"s3://{bucket}/out")
    for uri in (source, f"s3://{bucket}/out"):
        assert cytobatch.inspect(uri, scratch_dir=tmp_path / "scratch")
        assert list((tmp_path / "scratch").iterdir()) == []
