"""The list of columns beside each output: `columns.json`."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cytobatch.conversion.column_lists import ColumnDescriber, ColumnLists, KnownColumns
from tests.support.column_lists import Column, assert_describes, columns_of, features_of
from tests.support.examples import examples
from tests.support.plates import (
    convert,
    convert_to_folder,
    cytominer_tables,
    site_tables,
    write_combined,
    write_incarta_plate,
    write_layout,
    write_npz_plate,
    write_site,
    write_sites,
    write_sqlite,
)

both = pytest.mark.parametrize("sqlite", [False, True], ids=["csv", "sqlite"])


def measured_tables(plate: str = "P1", well: str = "A1") -> dict[str, pa.Table]:
    """The tables of a site with measurements of several categories and images."""
    tables = site_tables(2, plate=plate, well=well)
    tables["Image"] = tables["Image"].append_column("Metadata_Dose", pa.array([2.5]))
    for name, values in (
        ("Intensity_MeanIntensity_DNA", [0.5, 0.25]),
        ("Intensity_MeanIntensity_ER", [0.5, 0.25]),
        ("Texture_Contrast_DNA_3_00_256", [1.5, 2.5]),
        ("Correlation_K_DNA_ER", [0.1, 0.2]),
        ("Location_Center_X", [10.0, 20.0]),
        ("Children_Spots_Count", [1, 2]),
    ):
        tables["Cells"] = tables["Cells"].append_column(name, pa.array(values))
    return tables


def by_name(path: Path) -> dict[str, Column]:
    return {column["name"]: column for column in columns_of(path)}


def entry(column: Column) -> tuple[Any, ...]:
    return tuple(tuple(value) if isinstance(value, list) else value for value in list(column.values())[1:])


@both
def test_each_column_has_its_role_parts_source_and_type(tmp_path: Path, sqlite: bool) -> None:
    source = write_layout(tmp_path, measured_tables(), sqlite=sqlite)
    convert_to_folder(source, tmp_path / "out")
    found = by_name(tmp_path / "out" / "columns.json")
    assert_describes(tmp_path / "out" / "columns.json", tmp_path / "out" / "single_cells.parquet")

    def of(label: str, name: str) -> str:
        """A column's name at the source."""
        return f"{label}_{name}" if sqlite else name

    number = "Cells_Number_Object_Number" if sqlite else "ObjectNumber"
    expected = {
        "Metadata_Plate": ("metadata", "string", None, None, (), None, None),
        "Metadata_Well": ("metadata", "string", None, None, (), None, None),
        "Metadata_Dose": ("metadata", "double", None, None, (), "image", of("Image", "Metadata_Dose")),
        "Metadata_Count_Cells": ("metadata", "int64", None, "Count", (), "image", of("Image", "Count_Cells")),
        "Metadata_ImageNumber": ("metadata", "int64", "Cytoplasm", None, (), "cytoplasm", "ImageNumber"),
        "Metadata_Cells_Parent_Nuclei": (
            *("metadata", "int64", "Cells", "Parent", (), "cells"),
            of("Cells", "Parent_Nuclei"),
        ),
        "Metadata_Cells_Children_Spots_Count": (
            *("metadata", "int64", "Cells", "Children", (), "cells"),
            of("Cells", "Children_Spots_Count"),
        ),
        "Image_FileName_OrigDNA": (
            *("image", "string", "Image", "FileName", ("DNA",), "image"),
            of("Image", "FileName_OrigDNA"),
        ),
        "Cells_AreaShape_Area": (
            *("feature", "double", "Cells", "AreaShape", (), "cells"),
            of("Cells", "AreaShape_Area"),
        ),
        "Cells_Texture_Contrast_DNA_3_00_256": (
            *("feature", "double", "Cells", "Texture", ("DNA",), "cells"),
            of("Cells", "Texture_Contrast_DNA_3_00_256"),
        ),
        "Cells_Correlation_K_DNA_ER": (
            *("feature", "double", "Cells", "Correlation", ("DNA", "ER"), "cells"),
            of("Cells", "Correlation_K_DNA_ER"),
        ),
    }
    if sqlite:
        expected["Metadata_Cells_Number_Object_Number"] = (
            *("metadata", "int64", "Cells", "Number", (), "cells"),
            number,
        )
    assert {name: entry(found[name]) for name in expected} == expected
    assert list(found["Metadata_Plate"]) == [
        "name",
        "role",
        "type",
        "compartment",
        "feature_group",
        "channels",
        "source_table",
        "source_column",
    ]


def test_a_plate_of_another_name_and_content_has_the_same_bytes(tmp_path: Path) -> None:
    for plate, well in (("P1", "A1"), ("Other", "H12")):
        write_site(tmp_path / plate / "site", measured_tables(plate, well))
        convert_to_folder(tmp_path / plate, tmp_path / "out" / plate)
    one, other = ((tmp_path / "out" / plate / "columns.json").read_bytes() for plate in ("P1", "Other"))
    assert one == other


def test_profiles_have_their_own_list_with_the_same_features(tmp_path: Path) -> None:
    convert_to_folder(write_sites(tmp_path / "in", 2), tmp_path / "out", well_profiles="median")
    cells, wells = (tmp_path / "out" / name for name in ("columns.json", "profiles.columns.json"))
    assert_describes(wells, tmp_path / "out" / "profiles.parquet")
    assert features_of(cells) == [f"{label}_AreaShape_Area" for label in ("Cytoplasm", "Cells", "Nuclei")]
    of_cells, of_wells = by_name(cells), by_name(wells)
    assert {name: of_wells[name] for name in features_of(wells)} == {
        name: of_cells[name] for name in features_of(cells)
    }
    assert entry(of_wells["Metadata_Object_Count"]) == ("metadata", "int64", None, None, (), None, None)


def test_beside_a_single_file_lists_begin_with_its_name_and_the_report_names_them(tmp_path: Path) -> None:
    source = write_sites(tmp_path / "in", 2)
    _, report = convert(source, tmp_path / "out" / "plate.parquet", well_profiles="mean")
    listed = {Path(out.path).name: out for out in report.outputs if out.path.endswith(".json")}
    assert set(listed) == {"plate.columns.json", "plate.profiles.columns.json"}
    for name, out in listed.items():
        content = (tmp_path / "out" / name).read_bytes()
        assert (out.bytes, out.sha256) == (len(content), hashlib.sha256(content).hexdigest())
        assert (out.rows, out.columns) == (0, len(json.loads(content)["columns"]))
    assert_describes(tmp_path / "out" / "plate.columns.json", tmp_path / "out" / "plate.parquet")
    assert_describes(tmp_path / "out" / "plate.profiles.columns.json", tmp_path / "out" / "plate.profiles.parquet")
    convert(source, tmp_path / "out" / "plate.parquet")
    assert not (tmp_path / "out" / "plate.profiles.columns.json").exists()


@both
def test_each_table_has_a_list(tmp_path: Path, sqlite: bool) -> None:
    source = write_layout(tmp_path, measured_tables(), sqlite=sqlite)
    tables, _ = convert_to_folder(source, tmp_path / "out", join=False)
    for name in tables:
        stem = name.removesuffix(".parquet")
        assert_describes(tmp_path / "out" / f"{stem}.columns.json", tmp_path / "out" / name)
    assert "Cells_Texture_Contrast_DNA_3_00_256" in features_of(tmp_path / "out" / "cells.columns.json")
    images = by_name(tmp_path / "out" / "image.columns.json")
    assert {column["role"] for column in images.values()} == {"image", "metadata"}
    assert images["Image_FileName_OrigDNA"]["channels"] == ["DNA"]
    assert {column["source_table"] for column in images.values()} == {"image"}


def test_exports_of_one_schema_share_a_list(tmp_path: Path) -> None:
    source = write_sites(tmp_path / "in", 3)
    tables, report = convert_to_folder(source, tmp_path / "joined", concat=False)
    lists = [path for path in (tmp_path / "joined").rglob("*.json") if path.name != "run-report.json"]
    assert (len(tables), [path.name for path in lists]) == (3, ["columns.json"])
    for name in tables:
        assert_describes(lists[0], tmp_path / "joined" / name)
    assert len(report.outputs) == 4
    tables, _ = convert_to_folder(source, tmp_path / "tables", join=False, concat=False)
    for name in tables:
        assert_describes(tmp_path / "tables" / f"{Path(name).parent}.columns.json", tmp_path / "tables" / name)


def test_columns_of_a_users_sql_are_described_by_their_names(tmp_path: Path) -> None:
    write_site(tmp_path / "in", measured_tables())
    sql = """SELECT cells.*, Nuclei_AreaShape_Area, Cells_AreaShape_Area / 2 AS Cells_Half_Area, 'x' AS Cells_Text
        FROM cells JOIN nuclei USING (Metadata_ImageNumber, Metadata_ObjectNumber)"""
    convert_to_folder(tmp_path / "in", tmp_path / "out", joins=sql, well_profiles="mean")
    assert_describes(tmp_path / "out" / "columns.json", tmp_path / "out" / "single_cells.parquet")
    assert_describes(tmp_path / "out" / "profiles.columns.json", tmp_path / "out" / "profiles.parquet")
    found = by_name(tmp_path / "out" / "columns.json")
    assert {column["source_table"] for column in found.values()} == {None}
    assert entry(found["Cells_Correlation_K_DNA_ER"])[:5] == (
        "feature",
        "double",
        "Cells",
        "Correlation",
        ("DNA", "ER"),
    )
    assert entry(found["Nuclei_AreaShape_Area"])[:4] == ("feature", "double", "Nuclei", "AreaShape")
    assert entry(found["Cells_Half_Area"])[:4] == ("feature", "double", "Cells", "Half")
    assert found["Cells_Text"]["role"] == "metadata"


@pytest.mark.parametrize("layout", ["combined", "cytominer", "incarta", "npz"])
def test_other_layouts_have_a_list_too(tmp_path: Path, layout: str) -> None:
    if layout == "combined":
        write_combined(tmp_path / "in", measured_tables())
    elif layout == "cytominer":
        write_sqlite(tmp_path / "in" / "p.sqlite", cytominer_tables(measured_tables(), 7))
    elif layout == "incarta":
        write_incarta_plate(tmp_path / "in", 2)
    else:
        write_npz_plate(tmp_path / "in")
    tables, _ = convert_to_folder(tmp_path / "in", tmp_path / "out", well_profiles="mean")
    assert_describes(tmp_path / "out" / "columns.json", tmp_path / "out" / "single_cells.parquet")
    assert features_of(tmp_path / "out" / "columns.json") == features_of(tmp_path / "out" / "profiles.columns.json")
    own = {"combined": "Cells_Texture_Contrast_DNA_3_00_256", "cytominer": "Nuclei_AreaShape_Area"}
    own |= {"incarta": "Primary Target Area wv1", "npz": "net_1"}
    assert own[layout] in features_of(tmp_path / "out" / "columns.json")
    assert tables


def test_measurements_of_whole_rows_have_groups_and_channels(tmp_path: Path) -> None:
    convert_to_folder(write_incarta_plate(tmp_path / "in", 1), tmp_path / "out")
    found = by_name(tmp_path / "out" / "columns.json")
    assert entry(found["F Actin Intensity/Global Bckg wv2"]) == (
        *("feature", "double", "Cells", "Intensity", ("wv2",), "objects"),
        "F Actin Intensity/Global Bckg wv2",
    )
    assert entry(found["WELL LABEL"]) == ("metadata", "string", None, None, (), "objects", "WELL LABEL")
    convert_to_folder(write_npz_plate(tmp_path / "npz"), tmp_path / "cells")
    found = by_name(tmp_path / "cells" / "columns.json")
    assert entry(found["net_1"]) == ("feature", "double", "Cells", "net", (), "objects", "net_1")
    assert found["Location_Center_X"]["role"] == found["Treatment"]["role"] == "metadata"


def test_metadata_of_objects_without_an_image_table_has_no_source(tmp_path: Path) -> None:
    tables = site_tables(2)
    del tables["Image"]
    for name, value in (("Metadata_Well", "B2"), ("Metadata_Dose", "7")):
        for label in tables:
            tables[label] = tables[label].append_column(name, pa.array([value] * tables[label].num_rows))
    write_site(tmp_path / "in", tables)
    convert_to_folder(tmp_path / "in", tmp_path / "out")
    assert_describes(tmp_path / "out" / "columns.json", tmp_path / "out" / "single_cells.parquet")
    assert by_name(tmp_path / "out" / "columns.json")["Metadata_Well"]["source_column"] is None


def test_types_are_those_after_a_cast(tmp_path: Path) -> None:
    options = {"data_type_cast_map": {"float": "float32"}, "well_profiles": "mean"}
    convert_to_folder(write_sites(tmp_path / "in", 1), tmp_path / "out", **options)
    assert by_name(tmp_path / "out" / "columns.json")["Cells_AreaShape_Area"]["type"] == "float"
    assert_describes(tmp_path / "out" / "columns.json", tmp_path / "out" / "single_cells.parquet")
    assert_describes(tmp_path / "out" / "profiles.columns.json", tmp_path / "out" / "profiles.parquet")


def test_a_platemaps_column_in_place_of_the_image_tables_has_no_source(tmp_path: Path) -> None:
    write_site(tmp_path / "in", measured_tables())
    (tmp_path / "map.txt").write_text("well_position\tDose\tDrug\nA01\t3\tDMSO\n")
    convert_to_folder(tmp_path / "in", tmp_path / "out", platemap=str(tmp_path / "map.txt"))
    found = by_name(tmp_path / "out" / "columns.json")
    for name in ("Metadata_Dose", "Metadata_Drug"):
        assert (found[name]["source_table"], found[name]["source_column"]) == (None, None)


NAMES = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=12)


@settings(max_examples=examples(60))
@given(st.lists(st.lists(NAMES, unique=True, max_size=5), min_size=1, max_size=6))
def test_outputs_share_a_list_only_if_their_columns_are_the_same(outputs: list[list[str]]) -> None:
    lists = ColumnLists(ColumnDescriber())
    schemas = [pa.schema([(name, pa.int64()) for name in names]) for names in outputs]
    found = [lists.list_of("any", schema, (), KnownColumns(list_name="columns")) for schema in schemas]
    for names, one in zip(outputs, found, strict=True):
        assert [column["name"] for column in json.loads(one.content)["columns"]] == names
        assert {other.name for other, own in zip(found, outputs, strict=True) if own == names} == {one.name}
    assert len({one.name for one in found}) == len({tuple(names) for names in outputs}) == len(list(lists))
    assert found[0].name == "columns.json"
