import pytest

from cytobatch.config.options import PlateJob
from cytobatch.config.presets.catalog import FormatName, PresetName
from cytobatch.config.wells import SiteLocation
from cytobatch.errors import LayoutError
from cytobatch.formats.base import ConversionPlan
from cytobatch.formats.csv_files import files_by_stem
from cytobatch.planning.inventory import Inventory, SourceFile
from tests.support.planning import plan_by_headers

KEYS = ("ImageNumber", "ObjectNumber")
HEADERS = {"experiment": ("Key", "Value"), "object": KEYS, "ph3": (*KEYS, "Parent_Nuclei"), "summary": ("a", "b")}


def plan(*paths: str, preset: PresetName = PresetName.AUTO, root: str = "/in", **options: object) -> ConversionPlan:
    inventory = Inventory.of(root, [SourceFile(path, 10) for path in paths])
    job = PlateJob.model_validate({"source": root, "destination": "/out", "preset": preset, **options})
    headers = {stem: HEADERS.get(stem.rsplit("_", 1)[-1], ()) for stem in files_by_stem(inventory)}
    return plan_by_headers(job, inventory, headers)


def site(folder: str, *names: str) -> list[str]:
    return [f"{folder}/{name}.csv" for name in names or ("Image", "Cells", "Cytoplasm", "Nuclei")]


def test_each_folder_of_tables_is_an_export() -> None:
    found = plan(*site("P1-A01-2"), *site("P1-A01-1"), *site("P1-A01-10"), "notes.txt")
    assert [export.path for export in found.exports] == ["P1-A01-1", "P1-A01-2", "P1-A01-10"]
    assert [export.index for export in found.exports] == [0, 1, 2]
    assert found.exports[0].location == SiteLocation("P1", "A01", "1")
    assert set(found.exports[0].tables) == {"image", "cells", "cytoplasm", "nuclei"}
    assert found.format.name == FormatName.CSV
    assert [(file.path, reason) for file, reason in found.ignored] == [("notes.txt", "no table of this layout")]
    assert found.size == 120


def test_a_whole_plate_folder_is_one_export_and_named_by_the_source() -> None:
    found = plan("Image.csv", "Cells.csv", "Nuclei.csv", root="/in/P1-A01-1/")
    assert [export.path for export in found.exports] == ["."]
    assert found.exports[0].location == SiteLocation("P1", "A01", "1")
    assert found.compartments == ("cells", "nuclei")


def test_auto_takes_extra_compartments_by_their_headers() -> None:
    found = plan(*site("1"), "1/PH3.csv", "1/Experiment.csv", "1/object.csv", "1/Summary.csv")
    assert found.compartments == ("cells", "cytoplasm", "nuclei", "ph3")
    assert found.exports[0].tables["ph3"].label == "PH3"
    assert {file.stem for file, _ in found.ignored} == {"Experiment", "object", "Summary"}


def test_a_preset_takes_its_own_tables_only() -> None:
    assert plan(*site("1"), "1/PH3.csv", preset=PresetName.CELLPROFILER_CSV).compartments == (
        "cells",
        "cytoplasm",
        "nuclei",
    )


def test_the_prefix_of_an_export_is_no_part_of_its_tables_names() -> None:
    found = plan(*site("1", "MyExpt_Image", "MyExpt_Cells", "MyExpt_Nuclei"))
    assert found.compartments == ("cells", "nuclei")
    assert found.exports[0].tables["cells"].label == "Cells"


def test_a_table_that_one_export_lacks_is_missing() -> None:
    found = plan(*site("1"), *site("2", "Image", "Cells", "Nuclei"))
    assert [export.missing for export in found.exports] == [(), ("cytoplasm",)]


def test_sqlite_files_are_exports() -> None:
    found = plan("BR1/BR1.sqlite", "BR1/log.txt")
    assert (found.format.name, found.preset) == (FormatName.SQLITE, None)
    assert found.exports[0].location.plate == "BR1"


def test_the_preset_decides_between_csv_and_sqlite() -> None:
    paths = [*site("1"), "plate.sqlite"]
    assert plan(*paths, preset=PresetName.CELLPROFILER_CSV).format.name == FormatName.CSV
    assert plan(*paths, preset=PresetName.CELLPROFILER_SQLITE).format.name == FormatName.SQLITE


@pytest.mark.parametrize(
    ("paths", "options", "what"),
    [
        ([*site("1"), "plate.sqlite"], {}, "ambiguous layout"),
        ([*site("1"), "1/cells.csv"], {}, "ambiguous layout"),
        ([*site("a"), *site("a/b")], {}, "ambiguous layout"),
        (["readme.txt"], {}, "nothing here fits preset 'auto'"),
        (["plate.sqlite"], {"preset": "cellprofiler_csv"}, "nothing here fits preset 'cellprofiler_csv'"),
        (site("1", "Image", "Cells"), {"preset": "cellprofiler_csv"}, "no table for compartments nuclei, cytoplasm"),
        (site("1"), {"compartments": ["cells", "ghosts"]}, "no table for compartment ghosts"),
        (site("1", "Image"), {}, "no compartment tables"),
    ],
)
def test_a_source_of_no_layout_or_of_two_is_an_error(paths: list[str], options: dict[str, object], what: str) -> None:
    with pytest.raises(LayoutError) as caught:
        plan(*paths, **options)
    assert caught.value.what == what
    assert caught.value.remedy


def test_a_sqlite_file_is_read_with_its_write_ahead_log() -> None:
    found = plan("p.sqlite", "p.sqlite-wal", "q.sqlite", "p.sqlite-shm")
    assert [[file.path for file in export.files] for export in found.exports] == [
        ["p.sqlite", "p.sqlite-wal"],
        ["q.sqlite"],
    ]


INCARTA = ("OBJECT ID", "WELL LABEL", "Row")


def test_auto_claims_incartas_files_by_headers_and_deepprofilers_by_names() -> None:
    inventory = Inventory.of("/in", [SourceFile(path, 10) for path in ("day 0.csv", "day 1.csv", "notes.csv")])
    headers = {"day 0": INCARTA, "day 1": INCARTA, "notes": ("a", "b")}
    found = plan_by_headers(PlateJob(source="/in", destination="/out"), inventory, headers)
    assert (found.format.name, [export.path for export in found.exports]) == (
        FormatName.IN_CARTA,
        ["day 0.csv", "day 1.csv"],
    )
    assert [file.path for file, _ in found.ignored] == ["notes.csv"]
    found = plan("P1/A01_1.npz", "P1/B02/3/embedding.npz", "log.txt")
    assert found.format.name == FormatName.NPZ
    assert [export.location for export in found.exports] == [
        SiteLocation("P1", "A01", "1"),
        SiteLocation("P1", "B02", "3"),
    ]


def test_a_combined_file_has_the_compartments_of_folders_without_other_files() -> None:
    groups = ("Image", "Cells", "Cells", "Nuclei")
    headers = {"image": (), "object": groups, "cells": ()}
    paths = ["1/image.csv", "1/object.csv", "2/image.csv", "2/object.csv", "2/cells.csv"]
    inventory = Inventory.of("/in", [SourceFile(path, 10) for path in paths])
    job = PlateJob(source="/in", destination="/out")
    one, two = plan_by_headers(job, inventory, headers).exports
    assert {name: table.combined for name, table in one.tables.items()} == {
        "image": False,
        "cells": True,
        "nuclei": True,
    }
    assert [file.path for file in one.files] == ["1/image.csv", "1/object.csv"]
    assert {name: table.combined for name, table in two.tables.items()} == {"image": False, "cells": False}
    assert two.missing == ("nuclei",)
    only = PlateJob(source="/in", destination="/out", compartments=("cells",))
    assert set(plan_by_headers(only, inventory, headers).exports[0].tables) == {"image", "cells"}


def test_the_preset_decides_between_two_formats_of_one_source() -> None:
    paths = [*site("1"), "P1/A01_1.npz"]
    with pytest.raises(LayoutError, match="ambiguous layout"):
        plan(*paths)
    assert plan(*paths, preset=PresetName.DEEPPROFILER).format.name == FormatName.NPZ
