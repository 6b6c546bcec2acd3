"""A source that is one table, with and without the other tables of its export beside it."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cytobatch.config.options import PlateJob
from cytobatch.errors import LayoutError
from cytobatch.formats.detect import make_plan
from cytobatch.pipeline.plate import run_plate
from cytobatch.planning.inventory import Inventory, SourceFile
from tests.support.plates import (
    convert,
    incarta_table,
    site_tables,
    with_column,
    write_combined,
    write_incarta,
    write_site,
)

Upload = Callable[[Path, str], str]

USUAL = ("Cells", "Cytoplasm", "Image", "Nuclei")
JOB = PlateJob(source="/in/Cells.csv", destination="/out")


def site(root: Path, prefix: str = "", suffix: str = ".csv") -> Path:
    """Write a site, whose files have a prefix and a suffix, the text separated by tabs for all but CSV."""
    write_site(root, site_tables(3))
    for name in USUAL:
        path = root / f"{name}.csv"
        content = path.read_bytes() if suffix.startswith(".csv") else path.read_bytes().replace(b",", b"\t")
        path.unlink()
        (root / f"{prefix}{name}{suffix}").write_bytes(
            gzip.compress(content, mtime=0) if suffix.endswith(".gz") else content
        )
    return root


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".txt", ".tsv", ".txt.gz"])
@pytest.mark.parametrize("prefix", ["", "P1_A01_1_", "Run7"])
@pytest.mark.parametrize("name", ["Cells", "Image"])
def test_the_folder_is_asked_for(tmp_path: Path, name: str, prefix: str, suffix: str) -> None:
    folder = site(tmp_path / "in", prefix, suffix)
    with pytest.raises(LayoutError, match="one table of several") as caught:
        convert(folder / f"{prefix}{name}{suffix}", tmp_path)
    text = str(caught.value)
    assert all(f"{prefix}{other}{suffix}" in text for other in USUAL)
    assert f"give their folder as the source, {folder};" in text
    assert convert(folder, tmp_path)[0].num_rows == 3


@pytest.mark.parametrize("preset", ["auto", "cellprofiler_csv"])
@pytest.mark.parametrize("name", ["Cells.csv", "MyExpt_Cells.csv"])
def test_the_folder_in_a_bucket_is_asked_for(upload: Upload, tmp_path: Path, name: str, preset: str) -> None:
    prefix = name.removesuffix("Cells.csv")
    uri = upload(site(tmp_path / "in", prefix), "plates/P1")
    job = PlateJob.model_validate({"source": f"{uri}/{name}", "destination": str(tmp_path / "out"), "preset": preset})
    with pytest.raises(LayoutError, match=rf"{prefix}Image\.csv[^$]*as the source, {uri};"):
        run_plate(job)


def test_the_only_object_of_a_folder_in_a_bucket_is_converted(upload: Upload, tmp_path: Path) -> None:
    write_site(tmp_path / "in", {"Cells": site_tables(3)["Cells"]})
    write_site(tmp_path / "in" / "below", site_tables(3))
    uri = upload(tmp_path / "in", "plates/P1")
    job = PlateJob(source=f"{uri}/Cells.csv", destination=str(tmp_path / "out"))
    assert run_plate(job).counts.rows == 3


@pytest.mark.parametrize(
    "beside", [(), ("Cells (1).csv",), ("notes.csv", "Image.tiff"), ("Other_Image.csv", "P2.sqlite")]
)
def test_a_really_lone_table_is_converted(tmp_path: Path, beside: tuple[str, ...]) -> None:
    folder = write_site(tmp_path / "in", {"Cells": site_tables(3)["Cells"]})
    for name in beside:
        (folder / name).write_bytes((folder / "Cells.csv").read_bytes())
    table, report = convert(folder / "Cells.csv", tmp_path)
    assert table.num_rows == 3
    assert [entry.path for entry in report.ledger] == ["Cells.csv"]


def test_another_compartment_is_known_by_its_header(tmp_path: Path) -> None:
    tables = site_tables(3)
    folder = write_site(tmp_path / "in", {**tables, "Mito": tables["Nuclei"]})
    with pytest.raises(LayoutError, match="one table of several"):
        convert(folder / "Mito.csv", tmp_path)


def test_a_file_of_another_writer_is_no_table_of_an_export(tmp_path: Path) -> None:
    folder = site(tmp_path / "in")
    rows = incarta_table()
    write_incarta(folder / "Day1.csv", with_column(rows, "Plate ID", rows["Plate ID"].combine_chunks()))
    assert convert(folder / "Day1.csv", tmp_path, preset="in-carta")[0].num_rows == rows.num_rows
    assert convert(folder / "Day1.csv", tmp_path)[0].num_rows == rows.num_rows


def test_a_combined_file_needs_its_image_table(tmp_path: Path) -> None:
    folder = write_combined(tmp_path / "in", site_tables(3))
    for name, other in (("image", "object"), ("object", "image")):
        with pytest.raises(LayoutError, match=rf"one table of several[^$]*lie beside it: {other}\.csv"):
            convert(folder / f"{name}.csv", tmp_path)
    (folder / "image.csv").unlink()
    assert convert(folder / "object.csv", tmp_path)[0].num_rows == 3


def test_other_sets_in_the_folder_are_counted(tmp_path: Path) -> None:
    folder = site(site(site(tmp_path / "in", "A_"), "B_"), "C_")
    with pytest.raises(LayoutError, match=r"the 2 other sets of tables there are converted with it"):
        convert(folder / "A_Cells.csv", tmp_path)


@given(
    st.lists(st.sampled_from([*USUAL, "Mito", "notes", "Cells (1)", "A_Image", "A_Cells"]), unique=True),
    st.sampled_from(USUAL),
)
def test_a_table_is_refused_exactly_where_others_of_its_set_are_beside_it(beside: list[str], own: str) -> None:
    files = [SourceFile(f"{name}.csv", 10) for name in {*beside, own}]
    inventory = Inventory.of("/in", [SourceFile(f"{own}.csv", 10)])
    options: dict[str, Any] = {"compartments": (own,)} if own != "Image" else {}
    expected = bool((set(beside) & set(USUAL)) - {own})
    try:
        make_plan(JOB.model_copy(update=options), inventory, {}, files)
    except LayoutError as error:
        assert (error.what == "one table of several") == expected
        assert expected or own == "Image"
    else:
        assert not expected
