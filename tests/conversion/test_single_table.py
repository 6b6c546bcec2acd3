"""Files of whole rows: IN Carta's CSV and DeepProfiler's NPZ."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from cytobatch.errors import ConfigurationError, LayoutError, TooManyFailedExportsError
from cytobatch.report.model import Outcome
from tests.support.plates import (
    convert,
    convert_to_folder,
    incarta_table,
    npz_members,
    with_column,
    write_incarta,
    write_incarta_plate,
    write_npz,
    write_npz_plate,
)


def test_rows_of_incarta_files_follow_one_another_under_the_files_own_column_names(tmp_path: Path) -> None:
    table, report = convert(write_incarta_plate(tmp_path / "in", 3), tmp_path)
    assert table.num_rows == 36
    own = incarta_table()
    assert [name for name in table.column_names if not name.startswith("Metadata_")] == own.column_names
    for name in own.column_names:
        if own[name].null_count < 12 and name != "Slice Indicator":
            assert sorted(table[name].to_pylist()) == sorted(own[name].to_pylist() * 3)
    assert set(table["Slice Indicator"].to_pylist()) == {True}
    assert (report.counts.plates, report.counts.wells, report.counts.objects) == (1, 2, {"objects": 36})
    assert len(set(table["Metadata_TableNumber"].to_pylist())) == 3


def test_incartas_locations_become_plate_well_and_site(tmp_path: Path) -> None:
    table, _ = convert(write_incarta_plate(tmp_path / "in", 1), tmp_path)
    for row in table.to_pylist():
        assert row["Metadata_Plate"] == "2023 DAY0"
        assert row["Metadata_Well"] == f"{row['Row']}{row['Column']:02d}"
        assert row["Metadata_Site"] == row["FOV"]


def test_class_columns_have_one_type_though_they_are_empty_in_most_files(tmp_path: Path) -> None:
    write_incarta_plate(tmp_path / "in", 2)
    classed = with_column(incarta_table(), "Class Name", pa.array(["mitotic"] * 12))
    counted = with_column(classed, "Primary Target Neighbor Count (SOI) wv1", pa.array([0.5] * 12))
    write_incarta(tmp_path / "in" / "Test 9.csv", counted)
    table, _ = convert(tmp_path / "in", tmp_path)
    for name in ("Class Name", "Class Color", "Ancestry Path"):
        assert table.schema.field(name).type == pa.string()
    assert table["Class Name"].null_count == 24
    assert table.schema.field("Primary Target Neighbor Count (SOI) wv1").type == pa.float64()


def test_rows_are_sorted_by_location_and_object_unless_sort_output_is_off(tmp_path: Path) -> None:
    shuffled = incarta_table().take(pa.array([5, 3, 11, 0, 1, 2, 4, 6, 7, 8, 9, 10]))
    write_incarta(tmp_path / "in" / "a.csv", shuffled)
    keys = ["Row", "Column", "FOV", "OBJECT ID"]
    table, _ = convert(tmp_path / "in", tmp_path)
    assert table.select(keys).equals(incarta_table().select(keys).cast(table.select(keys).schema))
    table, _ = convert(tmp_path / "in", tmp_path, sort_output=False)
    assert table["Primary Target Area wv1"].to_pylist() == shuffled["Primary Target Area wv1"].to_pylist()


def test_a_column_that_one_file_lacks_is_null_there_and_reported(tmp_path: Path) -> None:
    write_incarta(tmp_path / "in" / "a.csv", incarta_table())
    write_incarta(tmp_path / "in" / "b.csv", incarta_table().drop_columns(["Cells Area wv3"]))
    table, report = convert(tmp_path / "in", tmp_path)
    assert table["Cells Area wv3"].null_count == 12
    assert [(d.export, d.column) for d in report.schema_differences] == [("b.csv", "Cells Area wv3")]


def test_other_csv_files_under_the_preset_are_reported(tmp_path: Path) -> None:
    write_incarta_plate(tmp_path / "in", 1)
    (tmp_path / "in" / "summary.csv").write_text("a,b\n1,2\n")
    with pytest.raises(TooManyFailedExportsError, match="no OBJECT ID, WELL LABEL column"):
        convert(tmp_path / "in", tmp_path, preset="in-carta")
    table, report = convert(tmp_path / "in", tmp_path)
    assert table.num_rows == 12
    assert [e.path for e in report.ledger if e.outcome is Outcome.IGNORED] == ["summary.csv"]


def test_a_word_that_is_neither_yes_nor_no_is_reported(tmp_path: Path) -> None:
    write_incarta(tmp_path / "in" / "a.csv", with_column(incarta_table(), "Slice Indicator", pa.array(["Maybe"] * 12)))
    with pytest.raises(TooManyFailedExportsError, match="neither yes nor no in column 'Slice Indicator'"):
        convert(tmp_path / "in", tmp_path)


def test_deepprofilers_files_have_cytotables_columns(tmp_path: Path) -> None:
    table, report = convert(write_npz_plate(tmp_path / "in"), tmp_path)
    assert table.column_names == [
        "Metadata_TableNumber",
        "Metadata_Plate",
        "Metadata_Well",
        "Metadata_Site",
        "Metadata_NPZSource",
        "Treatment",
        "Metadata_Model",
        "Location_Center_X",
        "Location_Center_Y",
        "net_1",
        "net_2",
        "net_3",
        "net_4",
    ]
    assert table.num_rows == 3 + 4 + 5
    assert table["Metadata_TableNumber"].null_count == 12
    assert table["Metadata_Site"].to_pylist() == [1] * 3 + [2] * 4 + [3] * 5
    assert (report.layout, report.preset, report.counts.sites) == ("npz", "deepprofiler", 3)
    numbered, _ = convert(tmp_path / "in", tmp_path / "numbered", add_tablenumber=True)
    assert len(set(numbered["Metadata_TableNumber"].to_pylist())) == 3


@pytest.mark.parametrize(
    "path", ["P7/B02_3.npz", "P7/B02/3.npz", "P7/B02/3/embedding.npz", "P7/B02-3/embedding.npz", "P7-B02-3/x.npz"]
)
def test_locations_that_metadata_lacks_come_from_the_path(path: str, tmp_path: Path) -> None:
    members = npz_members()
    members["metadata"] = np.array({"Metadata_Model": "net"}, dtype=object)
    write_npz(tmp_path / "net" / "batch" / path, members)
    table, _ = convert(tmp_path / "net" / "batch", tmp_path / "out")
    names = ["Metadata_Plate", "Metadata_Well", "Metadata_Site"]
    assert list(table.select(names).to_pylist()[0].values()) == ["P7", "B02", 3]


def test_a_missing_member_that_other_files_have_is_reported(tmp_path: Path) -> None:
    write_npz_plate(tmp_path / "in", 2)
    lacking = npz_members()
    del lacking["locations"]
    write_npz(tmp_path / "in" / "P1" / "A01_9.npz", lacking)
    with pytest.raises(TooManyFailedExportsError, match="missing member locations"):
        convert(tmp_path / "in", tmp_path)
    table, _ = convert(tmp_path / "in", tmp_path, max_failed_exports=1)
    assert table.num_rows == 7


def test_files_without_any_metadata_are_converted(tmp_path: Path) -> None:
    for site in (1, 2):
        write_npz(tmp_path / "in" / "P1" / f"A01_{site}.npz", {"features": npz_members()["features"]})
    table, _ = convert(tmp_path / "in", tmp_path)
    assert table["Metadata_Site"].to_pylist() == [1, 1, 1, 2, 2, 2]
    assert "DP_1" in table.column_names


def test_metadata_that_is_text_in_one_file_and_a_number_in_another_needs_a_type(tmp_path: Path) -> None:
    write_npz(tmp_path / "in" / "P1" / "A01_1.npz", npz_members(Concentration=5.0, Metadata_Site=1))
    write_npz(tmp_path / "in" / "P1" / "A01_2.npz", npz_members(Concentration="low", Metadata_Site=2))
    with pytest.raises(LayoutError) as caught:
        convert(tmp_path / "in", tmp_path)
    assert caught.value.where == "P1/A01_1.npz and P1/A01_2.npz"
    table, _ = convert(tmp_path / "in", tmp_path, column_types={"Concentration": "text"})
    assert table["Concentration"].to_pylist() == ["5"] * 3 + ["low"] * 3
    table, report = convert(tmp_path / "in", tmp_path, column_types={"Concentration": "number"})
    assert table["Concentration"].to_pylist() == [5.0] * 3 + [None] * 3
    assert [(r.text, r.became, r.count) for r in report.repairs] == [("low", "null", 3)]


def test_a_file_without_objects_is_valid(tmp_path: Path) -> None:
    write_npz_plate(tmp_path / "in", 2)
    write_npz(tmp_path / "in" / "P1" / "A01_9.npz", npz_members(0))
    table, report = convert(tmp_path / "in", tmp_path)
    assert table.num_rows == 7
    assert [(e.path, e.outcome) for e in report.ledger if e.rows == 0] == [("P1/A01_9.npz", Outcome.EMPTY)]


def test_concat_off_writes_a_file_for_each(tmp_path: Path) -> None:
    outputs, _ = convert_to_folder(write_npz_plate(tmp_path / "in", 2), tmp_path / "out", concat=False)
    assert {name: table.num_rows for name, table in outputs.items()} == {
        "P1-A01_1.npz.parquet": 3,
        "P1-A01_2.npz.parquet": 4,
    }


@pytest.mark.parametrize("option", [{"joins": "SELECT 1"}, {"compartments": ("cells",)}, {"metadata": ("image",)}])
def test_options_about_compartments_do_not_fit(option: dict[str, object], tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match="does not fit this source"):
        convert(write_npz_plate(tmp_path / "in", 1), tmp_path, **option)


def test_identifying_columns_go_under_metadata_and_are_no_features(tmp_path: Path) -> None:
    write_npz_plate(tmp_path / "in", 2)
    outputs, _ = convert_to_folder(
        tmp_path / "in", tmp_path / "out", identifying_columns=("net_1", "Treatment"), well_profiles="mean"
    )
    assert {"Metadata_net_1", "Metadata_Treatment"} <= set(outputs["single_cells.parquet"].column_names)
    features = [name for name in outputs["profiles.parquet"].column_names if not name.startswith("Metadata_")]
    assert features == ["net_2", "net_3", "net_4"]


def test_values_are_those_of_the_arrays_whatever_their_order(tmp_path: Path) -> None:
    members = npz_members(5, 7)
    members["features"] = np.asfortranarray(members["features"])
    write_npz(tmp_path / "in" / "P1" / "A01_1.npz", members)
    table, _ = convert(tmp_path / "in", tmp_path)
    matrix = np.column_stack([table[f"net_{n}"].to_numpy() for n in range(1, 8)])
    assert np.array_equal(matrix, members["features"].astype(np.float64))
    assert pc.all(pc.equal(table["Location_Center_Y"], pc.add(table["Location_Center_X"], 1.0))).as_py()


def test_a_key_cannot_be_text(tmp_path: Path) -> None:
    members = npz_members(ImageNumber=1)
    write_npz(tmp_path / "in" / "P1" / "A01_1.npz", members)
    with pytest.raises(ConfigurationError, match="'ImageNumber' of table 'objects' cannot be text"):
        convert(tmp_path / "in", tmp_path, column_types={"ImageNumber": "text"})


def test_a_location_that_differs_by_object_is_refused(tmp_path: Path) -> None:
    write_npz(tmp_path / "in" / "P1" / "A01_1.npz", npz_members(2, 3, Metadata_Well=["A01", "B02"]))
    with pytest.raises(TooManyFailedExportsError, match="Metadata_Well differs by object"):
        convert(tmp_path / "in", tmp_path)
