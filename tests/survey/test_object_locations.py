"""Plate, well and site of objects whose export has no image table."""

from pathlib import Path

import pyarrow as pa
import pytest

from cytobatch.errors import TooManyFailedExportsError
from tests.support.plates import Tables, convert, site_tables, write_layout, write_site

PARTS = ["Metadata_Plate", "Metadata_Well", "Metadata_Site"]


def located(*, image: int = 1, well: str = "a1", tables: tuple[str, ...] = ("Cells", "Cytoplasm", "Nuclei")) -> Tables:
    result = site_tables(2, image=image)
    del result["Image"]
    for name in tables:
        for column, value in zip(PARTS, ("P1", well, "1.0"), strict=True):
            result[name] = result[name].append_column(column, pa.array([value] * result[name].num_rows))
    return result


@pytest.mark.slow
@pytest.mark.parametrize("sqlite", [False, True])
@pytest.mark.parametrize("preset", ["auto", "own"])
@pytest.mark.parametrize("tables", [("Cells", "Cytoplasm", "Nuclei"), ("Nuclei",)])
def test_locations_are_those_of_the_objects(tmp_path: Path, sqlite: bool, preset: str, tables: tuple[str, ...]) -> None:
    site = located(tables=tables)
    source = write_layout(tmp_path, site, sqlite=sqlite)
    own = "cellprofiler_sqlite" if sqlite else "cellprofiler_csv"
    table, _ = convert(source, tmp_path, preset=own if preset == "own" else "auto")
    assert table.select(PARTS).to_pylist() == [dict(zip(PARTS, ("P1", "A01", 1), strict=True))] * 2
    assert not [name for name in table.column_names if name.endswith(("Metadata_Well_1", "Metadata_Plate_1"))]


def test_a_platemap_fits_them(tmp_path: Path) -> None:
    write_site(tmp_path / "in", located())
    (tmp_path / "map.txt").write_text("well_position\tdrug\nA01\tx\n")
    table, _ = convert(tmp_path / "in", tmp_path, platemap=str(tmp_path / "map.txt"))
    assert table["Metadata_drug"].to_pylist() == ["x", "x"]


def test_an_image_with_two_wells_is_a_defect(tmp_path: Path) -> None:
    site = located()
    wells = pa.array(["A1", "B2"])
    site["Cells"] = site["Cells"].set_column(site["Cells"].column_names.index("Metadata_Well"), "Metadata_Well", wells)
    with pytest.raises(TooManyFailedExportsError, match="the objects of image 1 have two wells"):
        convert(write_site(tmp_path / "in", site), tmp_path)


def test_objects_without_metadata_are_converted_as_before(tmp_path: Path) -> None:
    table, _ = convert(write_site(tmp_path / "in" / "P1-A01-1", located(tables=())), tmp_path)
    assert set(table["Metadata_Well"].to_pylist()) == {"A01"}
