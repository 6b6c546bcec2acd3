"""Hidden files and folders are ignored in every format, and named."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cytobatch.config.options import PlateJob
from cytobatch.config.presets.catalog import PresetName
from cytobatch.errors import LayoutError
from cytobatch.formats.detect import files_to_probe, make_plan
from cytobatch.formats.hidden_files import HIDDEN, is_hidden
from cytobatch.planning.inventory import Inventory, SourceFile

JOB = PlateJob(source="/in", destination="/out")
PLATES = (
    ("P1-A01-1/Image.csv", "P1-A01-1/Cells.csv", "P1-A01-1/Nuclei.csv"),
    ("P1/P1.sqlite",),
    ("P1/A01_1.npz", "P1/A01_2.npz"),
)


def inventory(*paths: str) -> Inventory:
    return Inventory.of("/in", [SourceFile(path, 10) for path in paths])


@pytest.mark.parametrize(
    ("path", "hidden"),
    [
        ("P1-A01-1/.ipynb_checkpoints/Cells-checkpoint.csv", True),
        ("__MACOSX/P1-A01-1/._Cells.csv", True),
        ("P1-A01-1/._Cells.csv", True),
        ("P1-A01-1/~$Cells.csv", True),
        (".Trash/P1.sqlite", True),
        ("P1-A01-1/Cells.csv", False),
        ("P1.A01.1/Cells.csv", False),
        ("MACOSX/Cells.csv", False),
    ],
)
def test_hidden_files_are_known_by_their_paths(path: str, hidden: bool) -> None:
    assert is_hidden(SourceFile(path, 1)) == hidden


@pytest.mark.parametrize("preset", [PresetName.AUTO, PresetName.CELLPROFILER_CSV])
def test_a_folder_of_a_notebook_server_is_ignored_and_named(preset: PresetName) -> None:
    table = "P1-A01-1/.ipynb_checkpoints/Cells.csv"
    job = PlateJob(source="/in", destination="/out", preset=preset)
    files = inventory(*(f"P1-A01-1/{name}.csv" for name in ("Image", "Cells", "Nuclei", "Cytoplasm")), table)
    plan = make_plan(job, files, {})
    assert [export.path for export in plan.exports] == ["P1-A01-1"]
    assert [(file.path, reason) for file, reason in plan.ignored] == [(table, HIDDEN)]
    assert table not in {file.path for file in files_to_probe(job, files)}


@given(st.sampled_from(PLATES), st.sampled_from([".x", "__MACOSX", "~$x", "._x", ".ipynb_checkpoints"]), st.data())
def test_a_hidden_copy_of_any_file_changes_nothing_else(plate: tuple[str, ...], name: str, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(plate))
    folder, _, file = path.rpartition("/")
    hidden = data.draw(st.sampled_from([f"{name}/{path}", f"{folder}/{name}/{file}", f"{folder}/{name}{file}"]))
    if not is_hidden(SourceFile(hidden, 1)):
        hidden = f"{name}/{path}"
    with_copy, without = make_plan(JOB, inventory(*plate, hidden), {}), make_plan(JOB, inventory(*plate), {})
    assert with_copy.exports == without.exports
    assert [(file.path, reason) for file, reason in with_copy.ignored] == [(hidden, HIDDEN)]


def test_the_only_file_of_a_source_is_read_under_a_hidden_name() -> None:
    assert [export.path for export in make_plan(JOB, inventory(".P1.sqlite"), {}).exports] == [".P1.sqlite"]


def test_a_source_of_hidden_files_alone_has_no_tables() -> None:
    with pytest.raises(LayoutError, match="nothing here fits"):
        make_plan(JOB, inventory(".a/P1.sqlite", ".a/Cells.csv"), {})
