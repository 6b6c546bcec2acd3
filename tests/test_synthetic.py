from pathlib import Path

import pyarrow as pa
import pytest

from cytobatch.synthetic import PlateFormat, SyntheticPlate, feature_names, write_plate
from plates import convert

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
    for kind in PlateFormat:
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


@pytest.mark.parametrize("count", [1, 8, 100, 2000])
def test_features_are_as_many_as_asked_for(count: int) -> None:
    assert len(feature_names(count)) == count
