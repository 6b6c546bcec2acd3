"""Prefixes of file names, copies of files, combined files under any name, and two sets in one folder."""

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from cytobatch.config.options import PlateJob
from cytobatch.config.wells import SiteLocation
from cytobatch.errors import LayoutError
from cytobatch.formats.base import ConversionPlan
from cytobatch.formats.cellprofiler_csv.copies import copied_name
from cytobatch.formats.csv_files import files_of_unknown_stems
from cytobatch.formats.csv_names import table_files
from cytobatch.formats.detect import files_to_probe, make_plan
from cytobatch.pipeline.plate import run_plate
from cytobatch.planning.inventory import Inventory, SourceFile
from tests.support.plates import convert, site_tables, write_site

USUAL = ("Image", "Cells", "Cytoplasm", "Nuclei")
PREFIXES = st.text(st.sampled_from("aZ0_- .+()é"), min_size=1, max_size=8).filter(
    lambda prefix: not prefix.startswith(".") and prefix.strip()
)


def listed(*paths: str, sizes: dict[str, int] | None = None) -> Inventory:
    return Inventory.of("/in", [SourceFile(path, (sizes or {}).get(path, 10)) for path in paths])


def site(folder: str, prefix: str = "", *names: str) -> list[str]:
    return [f"{folder}/{prefix}{name}.csv" for name in names or USUAL]


def plan(inventory: Inventory, heads: dict[str, bytes] | None = None, **options: object) -> ConversionPlan:
    job = PlateJob.model_validate({"source": "/in", "destination": "/out", **options})
    return make_plan(job, inventory, heads or {})


def named(*paths: str) -> dict[str, tuple[str, str]]:
    return {path: (each.prefix, each.stem) for path, each in table_files(listed(*paths)).items()}


@given(PREFIXES, st.sampled_from(["auto", "cellprofiler_csv"]))
def test_a_prefix_of_any_form_is_no_part_of_names(prefix: str, preset: str) -> None:
    found = plan(listed(*site("P1-A01-1", prefix), *site("P1-A01-2", prefix)), preset=preset)
    plain = plan(listed(*site("P1-A01-1"), *site("P1-A01-2")), preset=preset)
    assert found.compartments == plain.compartments
    assert [export.path for export in found.exports] == [export.path for export in plain.exports]
    assert [list(export.tables) for export in found.exports] == [list(export.tables) for export in plain.exports]
    assert {table.label for export in found.exports for table in export.tables.values()} == set(USUAL)


@given(st.lists(PREFIXES | st.just(""), min_size=1, max_size=4, unique_by=str.lower), st.booleans())
def test_each_prefix_is_an_export_in_one_folder_or_in_several(prefixes: list[str], one_folder: bool) -> None:
    lower = [prefix.lower() for prefix in prefixes]
    assume(not any(other.startswith(each) for each in lower for other in lower if each and each != other))
    paths = [site("a" if one_folder else f"{number}", prefix) for number, prefix in enumerate(prefixes)]
    found = plan(listed(*(path for each in paths for path in each)))
    assert sorted(sorted(file.path for file in export.files) for export in found.exports) == sorted(map(sorted, paths))
    assert len({export.path for export in found.exports}) == len(prefixes)
    assert all(set(export.tables) == {"image", "cells", "cytoplasm", "nuclei"} for export in found.exports)


def test_a_prefix_with_a_well_and_site_locates_its_export() -> None:
    found = plan(listed(*site("all", "P1_A01_1_"), *site("all", "P1_A01_10_"), *site("all", "P1_B02_s2-")))
    assert [(export.path, export.location) for export in found.exports] == [
        ("all/P1_A01_1_", SiteLocation("P1", "A01", "1")),
        ("all/P1_A01_10_", SiteLocation("P1", "A01", "10")),
        ("all/P1_B02_s2-", SiteLocation("P1", "B02", "2")),
    ]


def test_the_usual_tables_of_a_prefix_are_not_read_to_be_known() -> None:
    job = PlateJob(source="/in", destination="/out")
    files = listed(*(path for number in range(9) for path in site("a", f"P1_A01_{number}_", *USUAL, "PH3")))
    assert [file.path for file in files_of_unknown_stems(job, files)] == ["a/P1_A01_0_PH3.csv"]


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["a/Run7Image.csv", "a/Run7Soma.csv"], [("Run7", "image"), ("Run7", "soma")]),
        (["a/X_Image.csv", "b/X_Cells.csv"], [("X_", "image"), ("X_", "cells")]),
        (["X_Image.csv", "b/X_Cells.csv", "b/X_Soma.csv"], [("X_", "image"), ("X_", "cells"), ("X_", "soma")]),
        (["a/x_Image.csv", "a/X_cells.csv"], [("x_", "image"), ("X_", "cells")]),
        # Names of objects that end or begin like an image table are no prefixes.
        (["a/Image.csv", "a/CellImage.csv", "a/Cells.csv"], [("", "image"), ("", "cellimage"), ("", "cells")]),
        (["a/CellImage.csv", "a/Cells.csv"], [("", "cellimage"), ("", "cells")]),
        (["a/Image.csv", "a/FilteredNuclei.csv"], [("", "image"), ("", "filterednuclei")]),
        (
            ["a/Image.csv", "a/Soma.csv", "a/B_Image.csv", "a/B_Soma.csv"],
            [("", "image"), ("", "soma"), ("B_", "image"), ("B_", "soma")],
        ),
    ],
)
def test_prefixes_are_those_of_image_tables(paths: list[str], expected: list[tuple[str, str]]) -> None:
    assert list(named(*paths).values()) == [dict(zip(paths, expected, strict=True))[path] for path in named(*paths)]


COPIES = (
    "Cells (1)",
    "Cells(1)",
    "Cells - Copy",
    "Cells - Copy (2)",
    "Cells copy",
    "Cells copy 2",
    "Cells (copy)",
    "Cells (another copy)",
    "Cells (3rd copy)",
    "Cells (Ann's conflicted copy 2024-01-31)",
    "Copy of Cells",
    "Cells - Kopie",
    "Kopie von Cells",
    "Cells - copia",
    "Cells - Copie (2)",
)


@pytest.mark.parametrize("name", COPIES)
def test_names_that_only_copies_have(name: str) -> None:
    assert copied_name(name) == "Cells"


@given(st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,12}", fullmatch=True))
def test_a_name_of_cellprofiler_is_no_name_of_a_copy(name: str) -> None:
    assert copied_name(name) is None


@pytest.mark.parametrize("prefix", ["", "MyExpt_"])
@pytest.mark.parametrize("name", [*COPIES, "Cells 2", "Cells-1", "Cells-checkpoint"])
def test_a_copy_beside_its_table_is_ignored_and_named(name: str, prefix: str) -> None:
    copy = f"1/{prefix}{name}.csv"
    if name.startswith(("Copy", "Kopie")) and prefix:
        copy = f"1/{name.replace('Cells', f'{prefix}Cells')}.csv"
    files = listed(*site("1", prefix), *site("2", prefix), copy)
    heads = dict.fromkeys((copy, f"1/{prefix}Cells.csv"), b"ImageNumber,ObjectNumber\n")
    found = plan(files, heads)
    assert [(file.path, reason) for file, reason in found.ignored] == [
        (copy, f"a copy of 1/{prefix}Cells.csv, which is read")
    ]
    assert found.exports == plan(listed(*site("1", prefix), *site("2", prefix))).exports


def test_a_copy_of_another_size_is_refused() -> None:
    files = listed(*site("1"), "1/Cells (1).csv", sizes={"1/Cells (1).csv": 11})
    with pytest.raises(LayoutError) as caught:
        plan(files)
    assert "1/Cells (1).csv is named as a copy of 1/Cells.csv, but has 11 bytes and not 10" in str(caught.value)


def test_a_copy_of_other_content_is_refused() -> None:
    files = listed(*site("1"), "1/Cells (1).csv")
    job = PlateJob(source="/in", destination="/out")
    assert {"1/Cells (1).csv", "1/Cells.csv"} <= {file.path for file in files_to_probe(job, files)}
    with pytest.raises(LayoutError, match="has other content"):
        plan(files, {"1/Cells (1).csv": b"a\n1\n", "1/Cells.csv": b"a\n2\n"})


def test_a_copy_without_its_original_is_refused() -> None:
    files = listed(*site("1", "", "Image", "Nuclei", "Cytoplasm"), "1/Cells (1).csv")
    with pytest.raises(LayoutError, match=r"rename it to Cells\.csv"):
        plan(files, {"1/Cells (1).csv": b"ImageNumber,ObjectNumber\n"})


COMBINED_HEAD = b"Image,Cells,Cells,Nuclei\nImageNumber,ObjectNumber,A,B\n1,1,2,3\n"


@pytest.mark.parametrize("name", ["object", "X_object", "AllMeasurements", "Nuclei", "Cells", "X_Cells", "all data"])
@pytest.mark.parametrize("preset", ["auto", "cellprofiler_csv"])
def test_a_combined_file_is_known_under_any_name(name: str, preset: str) -> None:
    image = "1/X_Image.csv" if name.startswith("X_") else "1/Image.csv"
    path = f"1/{name}.csv"
    options = {"compartments": ["cells", "nuclei"]} if preset != "auto" else {}
    found = plan(listed(image, path), {path: COMBINED_HEAD}, preset=preset, **options)
    (export,) = found.exports
    assert {table: each.combined for table, each in export.tables.items()} == {
        "image": False,
        "cells": True,
        "nuclei": True,
    }


@pytest.mark.parametrize(
    ("head", "why"),
    [
        (b"Sheet1,Cells,Cells,Nuclei\nImageNumber,ObjectNumber,A,B\n", "its first row begins 'Sheet1,Cells,Cells'"),
        (b"Image,Cells,Cells.1,Nuclei\nImageNumber,ObjectNumber,A,B\n", "the numbers that pandas gives"),
        (b"ImageNumber,ObjectNumber,Cells_A,Nuclei_B\n1,1,2,3\n", "columns of Cells and Nuclei below one header row"),
    ],
)
@pytest.mark.parametrize("name", ["object", "AllMeasurements", "Nuclei"])
def test_a_combined_file_with_an_edited_header_is_an_error_that_names_it(head: bytes, why: str, name: str) -> None:
    path = f"1/{name}.csv"
    with pytest.raises(LayoutError) as caught:
        plan(listed("1/Image.csv", path), {path: head})
    assert caught.value.what == "a combined file with an edited header"
    assert path in caught.value.where
    assert why in caught.value.why
    assert "two header rows" in caught.value.why


def test_a_table_of_several_compartments_beside_the_usual_ones_is_no_error() -> None:
    merged = {"1/Merged.csv": b"ImageNumber,Cells_A,Nuclei_B\n1,2,3\n"}
    assert plan(listed(*site("1"), *merged), merged).compartments == ("cells", "cytoplasm", "nuclei")


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ({"FileName_A": ["1"]}, {"FileName_A": ["1"]}, True),
        ({"FileName_A": ["1"]}, {"FileName_A": ["2"]}, False),
        ({"FileName_A": ["1"], "PathName_A": ["p"]}, {"FileName_A": ["1"], "PathName_A": ["q"]}, False),
        (
            {"FileName_A": ["1"], "PathName_A": ["p"], "Metadata_Well": ["A01"]},
            {"FileName_A": ["1"], "PathName_A": ["q"], "Metadata_Well": ["A01"]},
            True,
        ),
        ({"Metadata_Site": ["1"]}, {"Metadata_Site": ["2"]}, False),
        ({"ImageNumber": [1, 2]}, {"ImageNumber": [3, 2]}, True),
        ({"ImageNumber": [1]}, {"ImageNumber": [2]}, False),
    ],
)
def test_two_sets_over_the_same_images_are_refused(
    tmp_path: Path, first: dict[str, list[object]], second: dict[str, list[object]], same: bool
) -> None:
    for prefix, images in (("", first), ("MyExpt_", second)):
        tables = site_tables()
        image = {"ImageNumber": list(range(1, 1 + len(next(iter(images.values()))))), **images}
        tables["Image"] = pa.table(image)
        numbers = pa.array([image["ImageNumber"][0]] * 3, pa.int64())
        for name in ("Cells", "Cytoplasm", "Nuclei"):
            tables[name] = tables[name].slice(0, 3).set_column(0, "ImageNumber", numbers)
        write_site(tmp_path / "in", {f"{prefix}{name}": table for name, table in tables.items()})
    job = PlateJob(source=str(tmp_path / "in"), destination=str(tmp_path / "out"))
    if not same:
        assert run_plate(job).counts.rows == 6
        return
    with pytest.raises(LayoutError) as caught:
        run_plate(job)
    assert caught.value.what == "two sets of tables over the same images"
    assert "Image.csv and MyExpt_Image.csv" in caught.value.why


def two_runs(root: Path) -> Path:
    for number, prefix in enumerate(("RunA_", "RunB_", ""), start=1):
        folder = write_site(root / prefix, site_tables(2, offset=1000.0 * number))
        for path in list(folder.glob("*.csv")):
            path.rename(root / f"{prefix}{path.name}")
    return root


@pytest.mark.parametrize(
    ("prefix", "first"), [("RunA_", 1001.0), ("RunA", 1001.0), ("runb_", 2001.0), ("RunB", 2001.0), ("", 3001.0)]
)
def test_a_job_takes_one_set_of_a_folder(tmp_path: Path, prefix: str, first: float) -> None:
    source = two_runs(tmp_path / "in")
    table, report = convert(source, tmp_path, table_prefix=prefix)
    assert table["Cells_AreaShape_Area"].to_pylist() == [first, first + 1]
    others = {entry.path for entry in report.ledger if "table_prefix takes one" in (entry.reason or "")}
    assert len(others) == 8
    with pytest.raises(
        LayoutError, match=r"--table-prefix (RunA_ or --table-prefix RunB_|''|RunA_ or --table-prefix '')"
    ):
        convert(source, tmp_path)


@pytest.mark.parametrize("prefix", ["RunC", "Run", "RunA_Per"])
def test_a_prefix_that_no_file_has_is_refused(tmp_path: Path, prefix: str) -> None:
    with pytest.raises(LayoutError, match=r"no tables with the prefix[^$]*'', 'RunA_', 'RunB_'"):
        convert(two_runs(tmp_path / "in"), tmp_path, table_prefix=prefix)
