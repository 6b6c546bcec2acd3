"""An option that cannot fit is an error before a file of the source is fetched."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from cytobatch.config.options import PlateJob
from cytobatch.errors import AnnotationError, ConfigurationError, CytobatchError, ExitCode, JoinSqlError, LayoutError
from cytobatch.pipeline.describe import describe_job
from cytobatch.pipeline.early_checks import check_apart
from cytobatch.pipeline.plate import run_plate
from cytobatch.readers.inputs import BEGINNING
from proxy import gets, proxy
from tests.support.plates import convert, per_tables, site_tables, with_column, write_site, write_sites, write_sqlite

Upload = Callable[[Path, str], str]

MAP = "well_position\tdrug\nA01\tx\n"
LOAD_DATA = "Metadata_Plate,Metadata_Well,Metadata_Site,URL_DNA\nP1,A01,1,u1\nP1,A01,2,u2\n"

FILES = {
    "map.txt": MAP,
    "wells.txt": "well\tdrug\nA01\tx\n",
    "ragged.txt": "well_position\tdrug\nA01\n",
    "load_data.csv": LOAD_DATA,
    "no_wells.csv": "Metadata_Plate,URL_DNA\nP1,u1\n",
    "batch/barcode_platemap.csv": "Assay_Plate_Barcode,Plate_Map_Name\nP1,M1\nP2,M2\n",
    "batch/platemap/M1.txt": MAP,
    "batch/platemap/M2.txt": "well\n",
    "wrong/barcode_platemap.csv": "Assay_Plate_Barcode,Plate_Map_Name\nP1,M1\n",
    "wrong/platemap/M1.txt": "well\tdrug\nA01\tx\n",
    "unlisted/barcode_platemap.csv": "Plate,Map\nP1,M1\n",
}

Invalid = tuple[dict[str, Any], type[CytobatchError], str]

INVALID: list[Invalid] = [
    ({"platemap": "{files}/wells.txt"}, AnnotationError, r"wells\.txt[^$]*no column well_position"),
    ({"platemap": "{files}/ragged.txt"}, AnnotationError, "ragged table"),
    ({"platemap": "{files}/wrong", "plate": "P1"}, AnnotationError, r"M1\.txt[^$]*no column well_position"),
    ({"platemap": "{files}/wrong"}, AnnotationError, r"M1\.txt[^$]*no column well_position"),
    ({"platemap": "{files}/unlisted"}, AnnotationError, "no column Assay_Plate_Barcode"),
    ({"load_data": "{files}/no_wells.csv"}, AnnotationError, "no column Metadata_Well"),
    ({"joins": "SELEC * FROM cells"}, JoinSqlError, "not one SELECT"),
    ({"joins": "SELECT * FROM cells; SELECT 1"}, JoinSqlError, "not one SELECT"),
    ({"joins": "SELECT * FROM ghosts"}, JoinSqlError, "names ghosts, which is no table"),
    ({"joins": "SELECT 1"}, JoinSqlError, "names no table"),
]
EXIT_CODES = {AnnotationError: ExitCode.INPUT_DATA, JoinSqlError: ExitCode.CONFIGURATION}


def write_files(folder: Path) -> Path:
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def filled(options: dict[str, Any], files: str) -> dict[str, Any]:
    return {name: value.format(files=files) for name, value in options.items()}


@pytest.mark.parametrize(("options", "error", "text"), INVALID)
def test_nothing_of_the_plate_is_fetched(
    options: dict[str, Any], error: type[CytobatchError], text: str, upload: Upload, aws: str, tmp_path: Path
) -> None:
    source = upload(write_sites(tmp_path / "in", 2), "plate")
    files = upload(write_files(tmp_path / "files"), "files")
    with proxy(aws) as (url, requests):
        job = PlateJob(source=source, destination=str(tmp_path / "out"), endpoint_url=url, **filled(options, files))
        with pytest.raises(error, match=text) as caught:
            run_plate(job)
    assert caught.value.exit_code == EXIT_CODES[error]
    assert not [one.key for one in gets(requests) if one.key.startswith("plate/")]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("options", "error", "text"), INVALID)
def test_a_plan_has_the_same_error(
    options: dict[str, Any], error: type[CytobatchError], text: str, tmp_path: Path
) -> None:
    source = write_sites(tmp_path / "in", 1)
    files = write_files(tmp_path / "files")
    job = PlateJob(source=str(source), destination=str(tmp_path / "out"), **filled(options, str(files)))
    with pytest.raises(error, match=text):
        describe_job(job)


def test_a_table_is_read_once_for_the_check_and_the_join(upload: Upload, aws: str, tmp_path: Path) -> None:
    source = upload(write_sites(tmp_path / "in", 2), "plate")
    files = upload(write_files(tmp_path / "files"), "files")
    with proxy(aws) as (url, requests):
        options = {"platemap": f"{files}/batch", "load_data": f"{files}/load_data.csv"}
        run_plate(PlateJob(source=source, destination=str(tmp_path / "out"), endpoint_url=url, **options))
    read = [one.key.rpartition("/")[2] for one in gets(requests) if one.key.startswith("files/")]
    assert sorted(read) == ["M1.txt", "barcode_platemap.csv", "load_data.csv"]


def test_platemaps_of_other_plates_are_not_read(tmp_path: Path) -> None:
    files = write_files(tmp_path / "files")
    table, _ = convert(write_sites(tmp_path / "in", 1), tmp_path, platemap=str(files / "batch"))
    assert set(table["Metadata_drug"].to_pylist()) == {"x"}


def test_tables_of_a_database_are_known_later(tmp_path: Path) -> None:
    source = write_sqlite(tmp_path / "P1.sqlite", per_tables(site_tables(3)))
    options: dict[str, Any] = {"joins": "SELECT * FROM per_cells"}
    assert convert(source, tmp_path, **options)[0].num_rows == 3
    for text, what in (("SELECT * FROM per_ghosts", "names per_ghosts"), ("SELECT 1", "names no table")):
        with pytest.raises(JoinSqlError, match=what):
            convert(source, tmp_path / "none", joins=text)


def large_plate(root: Path) -> Path:
    """Write a site without a well, whose object tables are larger than the beginnings that a survey fetches."""
    tables = site_tables(3)
    tables["Image"] = tables["Image"].drop_columns(["Metadata_Well"])
    count = BEGINNING // 4
    numbers = pa.array(range(1, count + 1), pa.int64())
    cells = {
        "ImageNumber": pa.array([1] * count),
        "ObjectNumber": numbers,
        "AreaShape_Area": numbers.cast(pa.float64()),
    }
    return write_site(root, {**tables, "Cells": pa.table(cells)})


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"well_profiles": "median"}, LayoutError, "no wells to make profiles of"),
        ({"joins": "SELECT Cells_AreaShape_Volume FROM cells"}, JoinSqlError, "Cells_AreaShape_Volume"),
    ],
)
def test_what_headers_and_image_tables_show_is_found_before_objects_are_fetched(
    options: dict[str, Any], error: type[CytobatchError], text: str, upload: Upload, aws: str, tmp_path: Path
) -> None:
    source = upload(large_plate(tmp_path / "in"), "plate")
    with proxy(aws) as (url, requests):
        job = PlateJob(source=source, destination=str(tmp_path / "out"), endpoint_url=url, **options)
        with pytest.raises(error, match=text):
            run_plate(job)
    spans = {one.span for one in gets(requests) if one.key.endswith("Cells.csv")}
    assert spans == {f"0-{BEGINNING - 1}"}


def test_a_plan_names_a_plate_without_wells(tmp_path: Path) -> None:
    tables = site_tables(3)
    image = tables["Image"].drop_columns(["Metadata_Well"])
    source = write_site(tmp_path / "in", {**tables, "Image": image})
    job = PlateJob(source=str(source), destination=str(tmp_path / "out"), well_profiles="median")
    with pytest.raises(LayoutError, match="no wells to make profiles of"):
        describe_job(job)
    with_well = {**tables, "Image": with_column(tables["Image"], "Metadata_Well", pa.array(["B02"]))}
    assert describe_job(job.model_copy(update={"source": str(write_site(tmp_path / "on", with_well))})).survey


@pytest.mark.parametrize(
    ("source", "destination"),
    [
        ("{root}/in", "{root}/in"),
        ("{root}/in/", "{root}/in/out"),
        ("{root}/in", "{root}/in/P1.parquet"),
        ("{root}/in", "{root}/x/../in/out"),
        ("{root}/link", "{root}/in/out"),
        ("s3://bucket/in", "s3://bucket/in/out"),
        ("s3://bucket/in/", "s3://bucket/in"),
        ("s3://bucket", "s3://bucket/out"),
    ],
)
def test_a_destination_in_the_source_is_refused_before_anything_is_read(
    source: str, destination: str, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "in")
    job = PlateJob(source=source.format(root=tmp_path), destination=destination.format(root=tmp_path))
    with pytest.raises(ConfigurationError, match=r"destination (lies in|is) the source"):
        run_plate(job)
    assert list((tmp_path / "in").iterdir()) == []


def test_a_destination_beside_the_source_is_taken(tmp_path: Path) -> None:
    check_apart(PlateJob(source=str(tmp_path / "in"), destination=str(tmp_path / "in-out")))
    check_apart(PlateJob(source=str(tmp_path / "in" / "P1.sqlite"), destination=str(tmp_path / "in")))
