from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv
import pytest

from cytobatch.synthetic import (
    COMPARTMENTS,
    ImageNumbers,
    ParentNumbers,
    PlateFormat,
    RowOrder,
    SyntheticPlate,
    feature_names,
    write_plate,
    write_platemap,
    write_whole_plate,
)
from tests.support.plates import convert

PLATE = SyntheticPlate(wells=2, sites=2, cells=5, features=60)


def test_the_same_arguments_make_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_plate(PLATE, tmp_path / name)
    files = [path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.csv")]
    assert len(files) == 20
    assert all((tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes() for file in files)


def test_another_seed_makes_another_plate() -> None:
    site, other = PLATE.site_list()[0], PLATE.model_copy(update={"seed": 1}).site_list()[0]
    assert not site.compartment("Cells").equals(other.compartment("Cells"))


def test_csv_and_sqlite_of_one_plate_give_the_same_measurements(tmp_path: Path) -> None:
    tables: list[pa.Table] = []
    for kind in (PlateFormat.CSV, PlateFormat.SQLITE):
        write_plate(PLATE, tmp_path / kind, kind)
        table, report = convert(tmp_path / kind, tmp_path / f"out-{kind}", column_names="cytotable")
        assert table.num_rows == PLATE.cell_count()
        assert (report.counts.wells, report.counts.sites) == (2, 3)
        tables.append(table)
    shared = [name for name in tables[0].column_names if name.startswith(("Cells_", "Nuclei_", "Cytoplasm_"))]
    features = [name for name in shared if "Number" not in name and "Parent" not in name]
    assert len(features) == 180
    keys = ["Metadata_Well", "Metadata_Site", "Cells_Number_Object_Number"]
    one, two = (table.sort_by([(key, "ascending") for key in keys]).select(features) for table in tables)
    assert one.equals(two)


@pytest.mark.parametrize("kind", [PlateFormat.IN_CARTA, PlateFormat.DEEPPROFILER])
def test_plates_of_other_programs_have_the_same_cells(kind: PlateFormat, tmp_path: Path) -> None:
    write_plate(PLATE, tmp_path / "in", kind)
    write_platemap(PLATE, tmp_path / "platemap.txt")
    table, report = convert(tmp_path / "in", tmp_path / "out", platemap=str(tmp_path / "platemap.txt"))
    assert report.preset == kind.value
    assert table.num_rows == PLATE.cell_count()
    assert set(table["Metadata_Well"].to_pylist()) == {"A01", "A02"}
    assert set(table["Metadata_control_type"].to_pylist()) == {"negcon", "poscon"}
    assert len([name for name in table.column_names if not name.startswith("Metadata_")]) >= PLATE.features


def test_a_whole_plate_has_all_sites_rows_in_one_folder_in_any_order(tmp_path: Path) -> None:
    tables: dict[RowOrder, dict[str, pa.Table]] = {}
    for order in RowOrder:
        write_whole_plate(PLATE, tmp_path / order, order)
        tables[order] = {name: pacsv.read_csv(tmp_path / order / f"{name}.csv") for name in ("Image", *COMPARTMENTS)}
    assert tables[RowOrder.BY_IMAGE]["Image"]["ImageNumber"].to_pylist() == [1, 2, 3, 4]
    keys = [("ImageNumber", "ascending"), ("ObjectNumber", "ascending")]
    for name in COMPARTMENTS:
        sorted_rows, shuffled = (tables[order][name] for order in RowOrder)
        assert not shuffled.equals(sorted_rows)
        assert shuffled.sort_by(keys).equals(sorted_rows)


def test_a_whole_plate_gives_the_rows_of_its_site_folders(tmp_path: Path) -> None:
    plate = PLATE.model_copy(update={"image_numbers": ImageNumbers.PLATE, "parent_numbers": ParentNumbers.CROSSED})
    write_plate(plate, tmp_path / "sites")
    write_whole_plate(plate, tmp_path / "whole", RowOrder.SHUFFLED)
    one, two = (
        convert(tmp_path / name, tmp_path / f"out-{name}", add_tablenumber=False)[0] for name in ("sites", "whole")
    )
    assert one.num_rows == plate.cell_count()
    assert one.equals(two)


def test_crossed_parents_are_there_and_belong_together() -> None:
    site = PLATE.model_copy(update={"parent_numbers": ParentNumbers.CROSSED, "cells": 50}).site_list()[0]
    cells, cytoplasm, nuclei = (site.compartment(name).to_pydict() for name in ("Cells", "Cytoplasm", "Nuclei"))
    assert cytoplasm["Parent_Cells"] != cytoplasm["ObjectNumber"]
    assert cells["Parent_Nuclei"] != cells["ObjectNumber"]
    assert sorted(cytoplasm["Parent_Cells"]) == cells["ObjectNumber"]
    assert set(cells["Parent_Nuclei"]) < set(nuclei["ObjectNumber"])
    nucleus = dict(zip(cells["ObjectNumber"], cells["Parent_Nuclei"], strict=True))
    assert cytoplasm["Parent_Nuclei"] == [nucleus[cell] for cell in cytoplasm["Parent_Cells"]]


@pytest.mark.parametrize("count", [1, 8, 100, 2000])
def test_the_number_of_features_is_as_given(count: int) -> None:
    assert len(feature_names(count)) == count
