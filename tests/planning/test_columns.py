import pytest
from hypothesis import given
from hypothesis import strategies as st

from cytobatch.config.presets.catalog import PRESETS, PresetName
from cytobatch.planning.columns import ColumnKind, distinct_names, kind_of, order_key, profile_name

CSV = PRESETS[PresetName.CELLPROFILER_CSV].identifying_columns
HEALTH = PRESETS[PresetName.CELL_HEALTH].identifying_columns
PYCYTOMINER = PRESETS[PresetName.CELLPROFILER_SQLITE_PYCYTOMINER].identifying_columns


@pytest.mark.parametrize(
    ("column", "label", "identifying", "expected"),
    [
        ("AreaShape_Area", "Cells", CSV, "Cells_AreaShape_Area"),
        ("Cells_AreaShape_Area", "Cells", CSV, "Cells_AreaShape_Area"),
        ("ImageNumber", "Cells", CSV, "Metadata_ImageNumber"),
        ("ImageNumber", "Image", CSV, "Metadata_ImageNumber"),
        ("ObjectNumber", "Cytoplasm", CSV, "Metadata_ObjectNumber"),
        ("ObjectNumber", "Cytoplasm", HEALTH, "Cytoplasm_ObjectNumber"),
        ("TableNumber", "Cells", HEALTH, "Metadata_TableNumber"),
        ("Parent_Nuclei", "Cells", CSV, "Metadata_Cells_Parent_Nuclei"),
        ("Cytoplasm_Parent_Cells", "Cytoplasm", HEALTH, "Metadata_Cytoplasm_Parent_Cells"),
        ("Cells_Parent_Nuclei", "Cells", HEALTH, "Cells_Parent_Nuclei"),
        ("Cells_Number_Object_Number", "Cells", PYCYTOMINER, "Metadata_Cells_Number_Object_Number"),
        ("Metadata_Well", "Image", CSV, "Metadata_Well"),
        ("Metadata_Site", "Image", CSV, "Image_Metadata_Site"),
        ("Image_Metadata_Well", "Image", HEALTH, "Image_Metadata_Well"),
        ("FileName_OrigDNA", "Image", CSV, "Image_FileName_OrigDNA"),
    ],
)
def test_profile_names_are_cytotables(column: str, label: str, identifying: tuple[str, ...], expected: str) -> None:
    assert profile_name(column, label, identifying, ("image",)) == expected


def test_order_puts_keys_first_then_metadata_then_compartments() -> None:
    names = [
        "Nuclei_B",
        "PH3_A",
        "Cells_A",
        "Cytoplasm_Z",
        "Image_FileName_DNA",
        "Metadata_Well",
        "Metadata_ImageNumber",
        "Metadata_TableNumber",
        "Nuclei_A",
        "Image_Metadata_Site",
    ]
    assert sorted(names, key=order_key) == [
        "Metadata_TableNumber",
        "Metadata_ImageNumber",
        "Image_Metadata_Site",
        "Metadata_Well",
        "Image_FileName_DNA",
        "Cytoplasm_Z",
        "Cells_A",
        "Nuclei_A",
        "Nuclei_B",
        "PH3_A",
    ]


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        ("ImageNumber", ColumnKind.INTEGER),
        ("Cells_Number_Object_Number", ColumnKind.INTEGER),
        ("Parent_Nuclei", ColumnKind.INTEGER),
        ("Children_Cytoplasm_Count", ColumnKind.INTEGER),
        ("Neighbors_FirstClosestObjectNumber_Adjacent", ColumnKind.INTEGER),
        ("Count_Cells", ColumnKind.INTEGER),
        ("Image_Count_Cells", ColumnKind.INTEGER),
        ("FileName_OrigDNA", ColumnKind.TEXT),
        ("Image_PathName_OrigDNA", ColumnKind.TEXT),
        ("Metadata_Well", ColumnKind.UNKNOWN),
        ("AreaShape_Area", ColumnKind.MEASUREMENT),
        ("Neighbors_NumberOfNeighbors_Adjacent", ColumnKind.MEASUREMENT),
        ("Mean_Speckles_Number_Object_Number", ColumnKind.MEASUREMENT),
        ("Cells_Mean_Speckles_Parent_Nuclei", ColumnKind.MEASUREMENT),
        ("Image_Median_Cells_Children_Dots_Count", ColumnKind.MEASUREMENT),
        ("My_Cells_StDev_Dots_Neighbors_FirstClosestObjectNumber_5", ColumnKind.MEASUREMENT),
        ("Parent_Mean_Nuclei", ColumnKind.INTEGER),
        ("Children_Mean_Dots_Count", ColumnKind.INTEGER),
        ("Image_Count_Mean_Cells", ColumnKind.INTEGER),
        ("FileName_Mean_DNA", ColumnKind.TEXT),
        ("Metadata_Mean_Dose", ColumnKind.UNKNOWN),
        ("AreaShape_EulerNumber", ColumnKind.MEASUREMENT),
        ("Location_Center_X", ColumnKind.MEASUREMENT),
    ],
)
def test_kind_follows_the_name(column: str, kind: ColumnKind) -> None:
    assert kind_of(column) is kind


@given(st.lists(st.sampled_from(["x", "x_1", "x_2", "y", "x_1_1"])))
def test_distinct_names_are_distinct_and_keep_their_stem(names: list[str]) -> None:
    result = distinct_names(names)
    assert len(set(result)) == len(names)
    assert all(new == old or new.startswith(f"{old}_") for old, new in zip(names, result, strict=True))


def test_distinct_names_number_as_duckdb_does() -> None:
    assert distinct_names(["x", "x", "x"]) == ["x", "x_1", "x_2"]
