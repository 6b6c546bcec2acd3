"""The wells of a report: their sites and cells, controls, and medians that are those of the profile."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from cytobatch.config.option_types import MOST_REPORT_FEATURES
from cytobatch.conversion.report_wells import fits, usual_features
from cytobatch.conversion.well_controls import well_annotations
from cytobatch.formats.image_sets import ImageSets, no_image_sets
from cytobatch.output.column_list import ColumnRole, OutputColumn
from cytobatch.planning.columns import PLATE, WELL
from cytobatch.report.model import RunReport
from cytobatch.synthetic import SyntheticPlate, write_plate, write_whole_plate
from tests.support.plates import (
    convert,
    convert_to_folder,
    site_tables,
    with_column,
    write_incarta_plate,
    write_npz_plate,
    write_site,
)

PLATE_OF_WELLS = SyntheticPlate(wells=5, sites=2, cells=12, features=20)


def by_well(report: RunReport) -> dict[str, dict[str, Any]]:
    keys = ("sites", "empty_sites", "failed_sites", "cells", "lost_cells")
    return {well.well: {key: getattr(well, key) for key in keys} for well in report.plate_wells}


@pytest.mark.parametrize("write", [write_plate, write_whole_plate], ids=["site-folders", "one-folder"])
def test_counts_and_medians_are_those_of_the_profile(write: Any, tmp_path: Path) -> None:
    write(PLATE_OF_WELLS, tmp_path / "in")
    _, report = convert_to_folder(tmp_path / "in", tmp_path / "out", report_features=("*_AreaShape_*",))
    cells = pd.read_parquet(tmp_path / "out" / "single_cells.parquet")
    assert report.report_features == [name for name in cells.columns if "_AreaShape_" in name]
    assert len(report.report_features) == 3 * 8
    groups = cells.groupby("Metadata_Well")
    assert [well.well for well in report.plate_wells] == [f"A0{n}" for n in range(1, 6)]
    assert [(well.row, well.column) for well in report.plate_wells] == [(1, n) for n in range(1, 6)]
    assert [well.cells for well in report.plate_wells] == groups.size().to_list()
    medians = groups[report.report_features].median().to_numpy()
    assert np.allclose([well.medians for well in report.plate_wells], medians, rtol=1e-5)
    # The last site has no cells.
    assert [(well.sites, well.empty_sites) for well in report.plate_wells] == [(2, 0)] * 4 + [(2, 1)]
    assert report.counts.features == 3 * 20


def test_failed_sites_and_their_cells_are_those_of_their_wells(tmp_path: Path) -> None:
    for number, (well, objects) in enumerate([("A1", 3), ("A1", 4), ("B2", 5), ("C3", 0)], 1):
        tables = site_tables(objects, well=well)
        tables["Image"] = with_column(tables["Image"], "Metadata_Site", pa.array([number]))
        write_site(tmp_path / "in" / f"s{number}", tables)
    for number in (2, 3):
        path = tmp_path / "in" / f"s{number}" / "Cells.csv"
        path.write_text(path.read_text().rstrip()[:-3])
    with_folder = tmp_path / "in" / "P1-D04-1"
    write_site(with_folder, site_tables(2, well="D4"))
    (with_folder / "Image.csv").write_text("ImageNumber\n1,2,3\n")
    _, report = convert(tmp_path / "in", tmp_path, max_failed_exports=4)
    none = {"sites": 0, "empty_sites": 0, "cells": 0}
    assert by_well(report) == {
        "A01": {"sites": 1, "empty_sites": 0, "failed_sites": 1, "cells": 3, "lost_cells": 4},
        "B02": {**none, "failed_sites": 1, "lost_cells": 5},
        "C03": {"sites": 1, "empty_sites": 1, "failed_sites": 0, "cells": 0, "lost_cells": 0},
        "D04": {**none, "failed_sites": 1, "lost_cells": None},
    }
    assert report.plate_wells[0].failed_exports == ["s2"]
    assert report.plate_wells[1].medians == [None] * len(report.report_features)


def test_a_platemap_names_controls_and_contents(tmp_path: Path) -> None:
    write_plate(PLATE_OF_WELLS, tmp_path / "in")
    rows = ["A01,DMSO,negcon", "A02,aspirin,trt", "A03,,poscon", "A04,caffeine,", "B01,none,negcon"]
    (tmp_path / "map.csv").write_text("\n".join(["well_position,compound_name,control_type", *rows]))
    _, report = convert(tmp_path / "in", tmp_path, platemap=str(tmp_path / "map.csv"))
    expected = [("negcon", "DMSO"), (None, "aspirin"), ("poscon", None), (None, "caffeine"), (None, None)]
    assert [(well.role, well.content) for well in report.plate_wells] == expected


def test_a_vehicle_is_a_control_where_no_column_names_controls() -> None:
    table = pa.table({PLATE: ["P", "P"], WELL: ["A01", "A02"], "Metadata_Gene": ["DMSO", "TP53"]})
    found = well_annotations(ImageSets(no_image_sets(), table, ("Metadata_Gene",)))
    assert [(one.role, one.content) for one in found.values()] == [("DMSO", "DMSO"), (None, "TP53")]


def test_features_that_no_option_names_are_areas_and_intensities(tmp_path: Path) -> None:
    write_plate(SyntheticPlate(wells=1, sites=1, cells=3, features=60), tmp_path / "in")
    _, report = convert(tmp_path / "in", tmp_path)
    channels = ("AGP", "DNA", "ER", "Mito", "RNA")
    areas = ["Cells_AreaShape_Area", "Nuclei_AreaShape_Area"]
    assert report.report_features == [*areas, *(f"Cells_Intensity_MeanIntensity_{name}" for name in channels)]


@pytest.mark.parametrize("kind", ["rows", "embeddings"])
def test_plates_of_other_programs_have_wells_and_features(kind: str, tmp_path: Path) -> None:
    source = write_incarta_plate(tmp_path / "in") if kind == "rows" else write_npz_plate(tmp_path / "in")
    table, report = convert(source, tmp_path)
    assert sum(well.cells for well in report.plate_wells) == table.num_rows
    assert report.report_features
    assert all(None not in well.medians for well in report.plate_wells)


def test_features_that_are_named_are_reported_and_others_warned_of(tmp_path: Path) -> None:
    write_plate(PLATE_OF_WELLS, tmp_path / "in")
    wanted = ("Cells_*", "Nuclei_AreaShape_Area", "Nuclei_*", "Cytoplasm_NoSuch")
    _, report = convert(tmp_path / "in", tmp_path, report_features=wanted)
    assert len(report.report_features) == MOST_REPORT_FEATURES
    warnings = [warning.what for warning in report.warnings]
    assert "report_features names 'Cytoplasm_NoSuch', and no feature of the profile fits it" in warnings
    assert "report_features fits 40 features; the report has the first 30" in warnings
    assert "report_features" not in report.options


def test_a_feature_without_a_finite_value_has_no_median(tmp_path: Path) -> None:
    tables = site_tables(3)
    tables["Cells"] = tables["Cells"].append_column("AreaShape_FormFactor", pa.array([float("nan")] * 3))
    _, report = convert(write_site(tmp_path / "in", tables), tmp_path, report_features=("Cells_*",))
    assert report.report_features == ["Cells_AreaShape_Area", "Cells_AreaShape_FormFactor"]
    assert report.plate_wells[0].medians == [2.0, None]


@pytest.mark.parametrize("options", [{"join": False}, {"concat": False}, {"drop_null": True}, {"sort_output": False}])
def test_wells_of_other_outputs(options: dict[str, Any], tmp_path: Path) -> None:
    write_plate(PLATE_OF_WELLS, tmp_path / "in")
    _, report = convert_to_folder(tmp_path / "in", tmp_path / "out", **options)
    assert sum(well.cells for well in report.plate_wells) == (report.counts.rows if options != {"join": False} else 0)


def test_text_types_of_the_job_do_not_change_wells(tmp_path: Path) -> None:
    write_plate(PLATE_OF_WELLS, tmp_path / "in")
    _, plain = convert(tmp_path / "in", tmp_path / "a")
    _, cast = convert(tmp_path / "in", tmp_path / "b", data_type_cast_map={"string": "large_string"})
    assert plain.plate_wells == cast.plate_wells


def test_wells_without_a_name_of_a_well_have_no_position(tmp_path: Path) -> None:
    _, report = convert(write_site(tmp_path / "in", site_tables(well="blank")), tmp_path)
    assert [(well.well, well.row, well.column, well.cells) for well in report.plate_wells] == [("blank", None, None, 3)]


def test_features_of_unknown_names_are_the_first_ones() -> None:
    columns = [OutputColumn(f"net_{n}", ColumnRole.FEATURE) for n in range(20)]
    assert usual_features(columns) == tuple(f"net_{n}" for n in range(8))


def test_a_name_may_have_the_characters_of_a_pattern() -> None:
    assert fits("Area [px]", "Area [px]")
    assert fits("Cells_Area", "cells_area") is False


def test_the_page_lies_beside_the_report(tmp_path: Path) -> None:
    write_site(tmp_path / "in", site_tables())
    _, report = convert_to_folder(tmp_path / "in", tmp_path / "out")
    assert report.page == str(tmp_path / "out" / "report.html")
    assert f"<h1>{report.plate}</h1>" in Path(report.page).read_text()
    assert report.page not in [output.path for output in report.outputs]
    _, single = convert(tmp_path / "in", tmp_path / "one")
    assert single.page is not None
    assert Path(single.page).name.endswith(".report.html")
    assert Path(single.page).is_file()
