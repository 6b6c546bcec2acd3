import pyarrow as pa
import pytest

from cytobatch.config.presets.catalog import PRESETS, PresetName
from cytobatch.config.wells import SiteLocation
from cytobatch.errors import LayoutError
from cytobatch.formats.image_sets import location_table
from cytobatch.planning.key_columns import EXPORT, IMAGE, ROW
from cytobatch.survey import image_table as images
from cytobatch.survey import location_columns

CSV = PRESETS[PresetName.CELLPROFILER_CSV]


def image_rows(columns: dict[str, list[object]], owners: list[int]) -> images.ImageRows:
    return images.ImageRows(pa.chunked_array([pa.array(owners, pa.int64())]), pa.table(columns))


def test_only_columns_that_a_profile_needs_are_read() -> None:
    columns = [
        "ImageNumber",
        "Count_Cells",
        "ExecutionTime_01",
        "FileName_DNA",
        "PathName_DNA",
        "Metadata_Well",
        "Metadata_Site",
    ]
    assert images.needed_columns(columns, CSV) == (
        "ImageNumber",
        "Count_Cells",
        "FileName_DNA",
        "Metadata_Well",
        "Metadata_Site",
    )


def test_counts_add_up_over_images() -> None:
    table = pa.table({"Count_Cells": ["3.0", "4"], "Image_Count_Nuclei": [1.0, None], "Count_PH3": ["", "?"]})
    assert images.object_counts(table) == {"cells": 7, "nuclei": 1, "ph3": 0}


def test_locations_are_read_under_all_their_names_and_gaps_filled() -> None:
    table = pa.table({"Image_Metadata_Plate": ["001", None], "Metadata_Row": ["1", "2"], "Metadata_Col": ["3", "12"]})
    found = location_columns.locations(table, [SiteLocation("x", "H12", "9")] * 2)
    assert found == [SiteLocation("001", "A03", "9"), SiteLocation("x", "B12", "9")]


def test_sites_are_integers_where_all_are() -> None:
    table = location_table(
        [SiteLocation("P", "A01", "s1"), SiteLocation("P", None, None), SiteLocation("P", "A01", "02")]
    )
    assert table["Metadata_Site"].to_pylist() == [1, None, 2]
    assert location_table([SiteLocation(site="top"), SiteLocation(site="1")])["Metadata_Site"].to_pylist() == [
        "top",
        "1",
    ]
    assert location_table([SiteLocation()]).column_names == []


def test_types_are_those_of_all_rows_but_names_stay_text() -> None:
    raw = {
        "a": ["1", "2"],
        "Metadata_b": ["1", "x"],
        "FileName_DNA": ["1", "2"],
        "Count_Cells": ["1.0", "2.0"],
        "c": ["0,5", "-nan(ind)"],
        "d": ["x", "y"],
    }
    table = images.convert_text_columns(image_rows(raw, [0, 1]), {}, {}).table
    assert table.schema.types == [
        pa.int64(),
        pa.string(),
        pa.string(),
        pa.int64(),
        pa.float64(),
        pa.string(),
    ]


def test_image_sets_keep_leading_zeros_of_a_plate() -> None:
    raw = image_rows({"ImageNumber": ["1"], "Metadata_Plate": ["001"], "FileName_DNA": ["d"]}, [0])
    sets = images.image_sets(raw, images.convert_text_columns(raw, {}, {0: "."}), CSV, [SiteLocation()])
    assert sets.locations["Metadata_Plate"].to_pylist() == ["001", None]
    assert sets.columns == ("Image_FileName_DNA",)
    assert sets.keys.to_pylist() == [{EXPORT: 0, IMAGE: 1, ROW: 0}]


def test_text_and_numbers_in_one_column_are_an_error_that_names_both_exports() -> None:
    rows = image_rows({"ImageQuality": ["1.5", "2", "low"]}, [0, 0, 1])
    with pytest.raises(LayoutError) as caught:
        images.convert_text_columns(rows, {}, {0: "site1", 1: "site2"})
    assert caught.value.where == "site2 and site1"
    assert "column_types ImageQuality=text" in caught.value.remedy
    numbers = images.convert_text_columns(rows, {"ImageQuality": pa.float64()}, {}).table
    assert numbers["ImageQuality"].to_pylist() == [1.5, 2.0, None]
    words = images.convert_text_columns(rows, {"ImageQuality": pa.string()}, {}).table
    assert words["ImageQuality"].to_pylist() == ["1.5", "2", "low"]


def test_counts_are_metadata() -> None:
    raw = image_rows({"ImageNumber": [1], "Image_Count_Cells": [7.0], "Count_Cells": [8]}, [0])
    table = images.image_sets(raw, raw, CSV, [SiteLocation()]).table
    assert table["Metadata_Count_Cells"].to_pylist() == [7]
    assert table["Metadata_Count_Cells_1"].to_pylist() == [8]
    assert table.schema.field("Metadata_Count_Cells").type == pa.int64()


def test_a_count_that_is_text_in_one_export_is_refused_as_a_measurement_is() -> None:
    rows = image_rows({"ImageNumber": [1, 1], "Count_Cells": ["5", "="]}, [0, 1])
    with pytest.raises(LayoutError, match="column 'Count_Cells' of the image tables has two types"):
        images.convert_text_columns(rows, {}, {0: "site1", 1: "site2"})


def test_counts_in_other_spellings_stay_counts() -> None:
    rows = image_rows({"ImageNumber": [1, 1], "Count_Cells": ["5", "6,0"]}, [0, 1])
    counts = images.convert_text_columns(rows, {}, {0: "site1", 1: "site2"}).table["Count_Cells"]
    assert counts.to_pylist() == [5, 6]
    assert counts.type == pa.int64()
