"""The same image set twice in one plate: a warning that names both, and all rows stay."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cytobatch.config.options import PlateJob
from cytobatch.pipeline.plate import run_plate
from tests.support.examples import examples
from tests.support.plates import (
    Tables,
    convert,
    convert_to_folder,
    cytominer_tables,
    incarta_table,
    npz_members,
    per_tables,
    site_tables,
    with_column,
    write_combined,
    write_incarta,
    write_npz,
    write_npz_plate,
    write_site,
    write_sites,
    write_sqlite,
)
from tests.support.program import run_program

pytestmark = pytest.mark.slow

ALIKE, SAME, ROWS = "alike byte for byte", "the same image set", "the same first rows"


def duplicates(source: Path, destination: Path, **options: Any) -> tuple[int, list[str]]:
    """Convert, and return the number of rows and the warnings for duplicates."""
    table, report = convert(source, destination, **options)
    return table.num_rows, [each.what for each in report.warnings if each.what.startswith((ALIKE, SAME, ROWS))]


def site(number: int, *, name: str = "dna.tiff", offset: float | None = None) -> Tables:
    tables = site_tables(2, offset=1000.0 * number if offset is None else offset)
    tables["Image"] = with_column(tables["Image"], "Metadata_Site", pa.array([number]))
    tables["Image"] = with_column(tables["Image"], "FileName_OrigDNA", pa.array([name]))
    return tables


@pytest.mark.parametrize("options", [{}, {"preset": "cellprofiler_csv"}, {"join": False}])
def test_a_copied_site_folder(options: dict[str, Any], tmp_path: Path) -> None:
    source = write_sites(tmp_path / "in", 2)
    shutil.copytree(source / "P1-A01-1", source / "P1-A01-1 copy")
    found, report = convert_to_folder(source, tmp_path / "out", **options)
    assert [each.what for each in report.warnings if ALIKE in each.what or SAME in each.what] == [
        f"{ALIKE}, so that the profile has the same objects twice: 'P1-A01-1' and 'P1-A01-1 copy'"
    ]
    rows = found["cells.parquet" if options.get("join") is False else "single_cells.parquet"].num_rows
    assert rows == 9


def test_a_copied_folder_of_a_combined_file(tmp_path: Path) -> None:
    source = write_combined(tmp_path / "in" / "1", site_tables(2)).parent
    shutil.copytree(source / "1", source / "2")
    rows, warnings = duplicates(source, tmp_path / "out")
    assert (rows, len(warnings)) == (4, 1)
    assert "'1' and '2'" in warnings[0]


@pytest.mark.parametrize("as_database", [per_tables, lambda tables: cytominer_tables(tables, 1)])
@pytest.mark.parametrize("preset", ["auto", None])
def test_a_copy_of_a_database(as_database: Any, preset: str | None, tmp_path: Path) -> None:
    tables = as_database(site(1))
    path = write_sqlite(tmp_path / "in" / "p.sqlite", tables)
    shutil.copy(path, path.with_name("p (1).sqlite"))
    named = "cellprofiler_sqlite" if "Per_Image" in tables else "cell-health-cellprofiler-to-cytominer-database"
    rows, warnings = duplicates(path.parent, tmp_path / "out", preset=preset or named)
    assert rows == 4
    assert warnings == [f"{ALIKE}, so that the profile has the same objects twice: 'p.sqlite' and 'p (1).sqlite'"]


def test_a_file_of_whole_rows_that_was_downloaded_twice(tmp_path: Path) -> None:
    path = write_incarta(tmp_path / "in" / "Day0.csv", incarta_table())
    shutil.copy(path, path.with_name("Day0 (1).csv"))
    write_incarta(path.with_name("Day1.csv"), with_column(incarta_table(), "Z", pa.array([2] * 12)))
    rows, warnings = duplicates(path.parent, tmp_path / "out")
    assert rows == 36
    assert warnings == [f"{ALIKE}, so that the profile has the same objects twice: 'Day0.csv' and 'Day0 (1).csv'"]


def test_a_copied_archive(tmp_path: Path) -> None:
    source = write_npz_plate(tmp_path / "in")
    shutil.copy(source / "P1" / "A01_1.npz", source / "P1" / "A01_9.npz")
    _, warnings = duplicates(source, tmp_path / "out")
    assert len(warnings) == 1
    assert "'P1/A01_1.npz' and 'P1/A01_9.npz'" in warnings[0]


@pytest.mark.parametrize("writer", ["csv", "sqlite"])
def test_one_image_set_that_was_analysed_twice(writer: str, tmp_path: Path) -> None:
    for folder, offset in (("P1-A01-1", 1.0), ("again", 2.0)):
        tables = site(1, offset=offset)
        if writer == "csv":
            write_site(tmp_path / "in" / folder, tables)
        else:
            write_sqlite(tmp_path / "in" / f"{folder}.sqlite", per_tables(tables))
    rows, warnings = duplicates(tmp_path / "in", tmp_path / "out")
    assert rows == 4
    assert len(warnings) == 1
    assert warnings[0].startswith(SAME)
    assert "P1-A01-1" in warnings[0]
    assert "again" in warnings[0]


def test_one_image_set_twice_in_one_database(tmp_path: Path) -> None:
    first, second = site(1), site_tables(2, image=2)
    second["Image"] = with_column(first["Image"], "ImageNumber", pa.array([2]))
    path = write_sqlite(tmp_path / "in" / "p.sqlite", per_tables(first), per_tables(second))
    _, warnings = duplicates(path, tmp_path / "out")
    assert len(warnings) == 1
    assert "'image 1 of p.sqlite' and 'image 2 of p.sqlite'" in warnings[0]


@pytest.mark.parametrize(
    ("folders", "column", "values"),
    [
        (("P1-A01-1-1", "P1-A01-1-2"), "Metadata_Crop", [1, 2]),
        (("P1-A01-1-1", "P1-A01-1-2"), None, [1, 2]),
        (("one", "two"), "Metadata_Timepoint", [1, 2]),
        (("one", "two"), "Frame_OrigDNA", [0, 1]),
        (("one", "two"), "Series_OrigDNA", [0, 1]),
        (("one", "two"), "FileName_OrigDNA", ["a.tiff", "b.tiff"]),
    ],
)
def test_crops_time_points_and_frames_share_plate_well_and_site(
    folders: tuple[str, str], column: str | None, values: list[Any], tmp_path: Path
) -> None:
    for folder, value in zip(folders, values, strict=True):
        tables = site(1, offset=10.0 * ord(folder[-1]))
        if column == "FileName_OrigDNA":
            tables = site(1, name=value, offset=float(ord(value[0])))
        elif column:
            tables["Image"] = tables["Image"].append_column(column, pa.array([value]))
        write_site(tmp_path / "in" / folder, tables)
    assert duplicates(tmp_path / "in", tmp_path / "out") == (4, [])


def test_sites_without_objects_are_no_copies(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        empty = site_tables(0)
        del empty["Image"]
        write_site(tmp_path / "in" / f"P1-A01-{number}", empty)
    full = site_tables(2)
    del full["Image"]
    write_site(tmp_path / "in" / "P1-A01-4", full)
    assert duplicates(tmp_path / "in", tmp_path / "out")[1] == []


def test_files_of_one_size_are_compared_to_their_ends(tmp_path: Path) -> None:
    source = tmp_path / "in"
    for number in (1, 2):
        tables = site(1, name=f"{number}.tiff")
        tables["Cells"] = with_column(tables["Cells"], "AreaShape_Area", pa.array([1.25, 1.25 + number]))
        write_site(source / f"P1-A01-{number}", tables)
    assert duplicates(source, tmp_path / "out") == (4, [])


def test_image_tables_whose_file_names_cannot_be_read_are_no_defect(tmp_path: Path) -> None:
    for number in (1, 2):
        folder = write_site(tmp_path / "in" / f"P1-A01-{number}", site(1, offset=float(number)))
        image = folder / "Image.csv"
        # A later row is read only with the column of file names. Its bytes are neither UTF-8 nor of another encoding.
        image.write_bytes(image.read_bytes() + b"0,0,\xc3\xa9\xb5.tiff,2,P1,1,A1\n")
    assert duplicates(tmp_path / "in", tmp_path / "out", image_columns="Metadata_.*") == (4, [])


@settings(max_examples=examples(15))
@given(st.lists(st.integers(1, 3), min_size=1, max_size=3), st.text("ab -", min_size=1, max_size=4))
def test_every_copy_is_named_and_no_other_site(
    tmp_path_factory: pytest.TempPathFactory, copied: list[int], suffix: str
) -> None:
    folder = tmp_path_factory.mktemp("plate")
    source = write_sites(folder / "in", 3)
    for index, number in enumerate(copied):
        shutil.copytree(source / f"P1-A01-{number}", source / f"copy {index}{suffix}x")
    rows, warnings = duplicates(source, folder / "out")
    assert rows == 3 * (3 + len(copied))
    assert len(warnings) == 1
    for number in (1, 2, 3):
        assert (f"'P1-A01-{number}'" in warnings[0]) == (number in copied)
    assert warnings[0].count("x'") == len(copied)


@pytest.mark.slow
def test_the_warning_is_on_the_terminal(tmp_path: Path) -> None:
    source = write_sites(tmp_path / "in", 1)
    shutil.copytree(source / "P1-A01-1", source / "P1-A01-1 copy")
    flags = ["--source", str(source), "--destination", str(tmp_path / "out"), "--orchestrator", "none"]
    done = run_program("run", *flags, folder=tmp_path)
    assert "'P1-A01-1' and 'P1-A01-1 copy'" in " ".join((done.stdout + done.stderr).split())


def test_two_sets_of_tables_in_one_file_are_no_copies_but_those_of_a_copied_file_are(tmp_path: Path) -> None:
    runs = {}
    for number, run in enumerate(("RunA", "RunB"), start=1):
        tables = site_tables(3, image=number, offset=1000.0 * number, well=f"A{number}")
        runs |= {f"{run}_{name}": table for name, table in per_tables(tables).items()}
    path = write_sqlite(tmp_path / "in" / "runs.sqlite", runs)
    assert not [warning for warning in convert(path, tmp_path)[1].warnings if "alike" in warning.what]
    shutil.copyfile(path, path.with_name("runs copy.sqlite"))
    warnings = [each.what for each in convert(path.parent, tmp_path)[1].warnings if "alike" in each.what]
    assert len(warnings) == 1
    assert "'runs.sqlite/RunA_Per' and 'runs copy.sqlite/RunA_Per'; 'runs.sqlite/RunB_Per' and" in warnings[0]


def test_a_table_that_was_saved_again_in_another_dialect(tmp_path: Path) -> None:
    path = write_incarta(tmp_path / "in" / "Day0.csv", incarta_table())
    header, *rows = path.read_text().replace('"', "").splitlines()
    columns = [line.split(",")[::-1] for line in (header, *rows)]
    (path.parent / "Export.csv").write_text("".join(";".join(row) + "\r\n" for row in columns))
    other = incarta_table(wells=("E - 5",))
    write_incarta(path.parent / "Day1.csv", other)
    rows_written, warnings = duplicates(path.parent, tmp_path)
    assert rows_written == 2 * len(rows) + other.num_rows
    assert [warning.startswith(f"{ROWS} of the same wells and sites") for warning in warnings] == [True]
    assert "'Day0.csv' and 'Export.csv'" in warnings[0]


def test_tables_of_the_same_wells_with_other_values_are_no_copies(tmp_path: Path) -> None:
    table = incarta_table()
    write_incarta(tmp_path / "in" / "Day0.csv", table)
    area = pa.array([1.5] * table.num_rows)
    write_incarta(tmp_path / "in" / "Day0 b.csv", with_column(table, "Primary Target Area wv1", area))
    assert duplicates(tmp_path / "in", tmp_path)[1] == []


def test_an_archive_that_was_packed_again(tmp_path: Path) -> None:
    members = npz_members(5)
    write_npz(tmp_path / "in" / "P1" / "A01_1.npz", members)
    np.savez(tmp_path / "in" / "P1" / "A01_1 again.npz", **members)
    write_npz(tmp_path / "in" / "P1" / "A01_2.npz", npz_members(5, Metadata_Site=2))
    count, warnings = duplicates(tmp_path / "in", tmp_path)
    assert count == 15
    assert len(warnings) == 1
    assert "'P1/A01_1.npz' and 'P1/A01_1 again.npz'" in warnings[0]


@pytest.mark.parametrize("differs", [False, True])
def test_a_copy_in_a_bucket_that_was_uploaded_in_parts(differs: bool, s3: Any, bucket: str, tmp_path: Path) -> None:
    folder = write_site(tmp_path / "in", site(1))
    large = {**site(1), "Cells": cells_of(400_000)}
    write_site(folder, large)
    for name in ("Image", "Cells", "Cytoplasm", "Nuclei"):
        content = (folder / f"{name}.csv").read_bytes()
        s3.put_object(Bucket=bucket, Key=f"p/s1/{name}.csv", Body=content)
        if differs and name == "Cells":
            content = content[:-2] + b"8\n"
        upload_in_parts(s3, bucket, f"p/s1 copy/{name}.csv", content)
    report = run_plate(PlateJob(source=f"s3://{bucket}/p", destination=str(tmp_path / "out")))
    etags = {entry.etag for entry in report.ledger if entry.table == "cells"}
    assert len(etags) == 2
    warnings = [each.what for each in report.warnings if each.what.startswith((ALIKE, SAME))]
    assert len(warnings) == 1
    assert warnings[0].startswith(SAME if differs else ALIKE)


def cells_of(objects: int) -> pa.Table:
    numbers = pa.array(range(1, objects + 1), pa.int64())
    return pa.table(
        {
            "ImageNumber": pa.array([1] * objects, pa.int64()),
            "ObjectNumber": numbers,
            "Parent_Nuclei": pa.array([1] * objects, pa.int64()),
            "AreaShape_Area": pa.array([1.5] * objects),
        }
    )


def upload_in_parts(s3: Any, bucket: str, key: str, content: bytes) -> None:
    """Upload an object in parts, the least of which but the last has five MiB."""
    upload = s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    least, parts = 5 * 2**20, []
    for number, start in enumerate(range(0, len(content), least), start=1):
        options = {"Bucket": bucket, "Key": key, "UploadId": upload, "PartNumber": number}
        etag = s3.upload_part(**options, Body=content[start : start + least])["ETag"]
        parts.append({"ETag": etag, "PartNumber": number})
    s3.complete_multipart_upload(Bucket=bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": parts})
