"""Detection in general: the order of files does not matter, and messages name formats, files and remedies."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cytobatch.config.options import PlateJob
from cytobatch.config.presets.catalog import PRESETS, PresetName
from cytobatch.errors import LayoutError
from cytobatch.formats.base import ConversionPlan
from cytobatch.formats.detect import files_to_probe, formats_for, make_plan
from cytobatch.planning.inventory import Inventory, SourceFile

FOLDERS = ("", "1/", "2/", "10/", "P1-A01-1/", "a/b/")
NAMES = (
    "Image.csv",
    "Cells.csv",
    "cells.csv",
    "Nuclei.csv",
    "PH3.csv",
    "object.csv",
    "MyExpt_Image.csv",
    "MyExpt_Cells.csv",
    "Run7Image.csv",
    "Run7Nuclei.csv",
    "Cells (1).csv",
    "Copy of Nuclei.csv",
    "._Cells.csv",
    ".hidden/Cells.csv",
    "day 0.csv",
    "plate.sqlite",
    "plate.sqlite-wal",
    "A01_1.npz",
    "notes.txt",
)
HEADERS = (
    b"",
    b"ImageNumber,ObjectNumber,Parent_Nuclei\n",
    b"Image,Image,Cells,Nuclei\n",
    b"Image,Cells,Cells,Nuclei\nImageNumber,ObjectNumber,A,A\n",
    b"OBJECT ID,WELL LABEL,Row\n",
    b"a,b\n",
)
PATHS = st.builds("{}{}".format, st.sampled_from(FOLDERS), st.sampled_from(NAMES))
SOURCES = st.dictionaries(PATHS, st.tuples(st.sampled_from([0, 10]), st.sampled_from(HEADERS)), max_size=12)
Source = dict[str, tuple[int, bytes]]


def job(preset: PresetName = PresetName.AUTO) -> PlateJob:
    return PlateJob(source="/in", destination="/out", preset=preset)


def plan_or_error(source: Source, paths: list[str], preset: PresetName) -> ConversionPlan | tuple[str, ...]:
    """Return the plan of files that are listed in this order, or the text of the error."""
    inventory = Inventory.of("/in", [SourceFile(path, source[path][0]) for path in paths])
    heads = {file.path: source[file.path][1] for file in files_to_probe(job(preset), inventory)}
    try:
        return make_plan(job(preset), inventory, heads)
    except LayoutError as error:
        return error.what, error.where, error.why, error.remedy


@given(SOURCES, st.randoms(use_true_random=False), st.sampled_from(PresetName))
def test_the_same_files_in_any_order_give_the_same_plan(
    source: Source, dice: random.Random, preset: PresetName
) -> None:
    shuffled = list(source)
    dice.shuffle(shuffled)
    assert plan_or_error(source, shuffled, preset) == plan_or_error(source, list(source), preset)


@given(SOURCES)
def test_every_file_is_read_or_ignored_for_a_reason(source: Source) -> None:
    plan = plan_or_error(source, list(source), PresetName.AUTO)
    if isinstance(plan, ConversionPlan):
        read = {file.path for export in plan.exports for file in export.files}
        assert read | {file.path for file, _ in plan.ignored} == set(source)
        assert all(reason for _, reason in plan.ignored)
        assert [export.index for export in plan.exports] == list(range(len(plan.exports)))


@given(SOURCES)
def test_no_file_is_probed_twice_or_without_content(source: Source) -> None:
    files = files_to_probe(job(), Inventory.of("/in", [SourceFile(path, size) for path, (size, _) in source.items()]))
    assert len({file.path for file in files}) == len(files)
    assert all(file.size for file in files)


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_limits_the_formats(preset: PresetName) -> None:
    names = {each.name for each in formats_for(job(preset))}
    assert names == PRESETS[preset].formats
    assert names < {each.name for each in formats_for(job())}


def error_of(*paths: str, preset: PresetName = PresetName.AUTO) -> LayoutError:
    inventory = Inventory.of("/in", [SourceFile(path, 10) for path in paths])
    with pytest.raises(LayoutError) as caught:
        make_plan(job(preset), inventory, {})
    return caught.value


def test_an_ambiguous_source_is_an_error_that_names_each_format_with_a_file() -> None:
    error = error_of("1/Image.csv", "1/Cells.csv", "P1/A01_1.npz", "p.sqlite")
    assert (error.what, error.where) == ("ambiguous layout", "/in")
    assert error.why == "there are both csv (1/Cells.csv) and npz (P1/A01_1.npz) and sqlite (p.sqlite)"
    assert error.remedy == "name the preset of the one to convert, or point the source at it alone"


def test_a_source_without_tables_is_an_error_that_names_its_first_files_and_the_tables_of_each_format() -> None:
    error = error_of(*(f"{number}.txt" for number in range(7)))
    assert error.what == "nothing here fits preset 'auto'"
    assert error.why == "none of 7 files is a known table: 0.txt, 1.txt, 2.txt, 3.txt, 4.txt"
    assert error.remedy.startswith("check source and preset; tables are ")
    assert all(each.examples in error.remedy for each in formats_for(job()))


def test_the_error_for_a_presets_source_names_the_tables_of_its_own_format_only() -> None:
    error = error_of("Cells.csv", preset=PresetName.CELLPROFILER_SQLITE)
    assert error.what == "nothing here fits preset 'cellprofiler_sqlite'"
    assert error.remedy == "check source and preset; tables are tables in .sqlite files"


def test_companions_of_a_database_are_read_with_it_and_listed_last() -> None:
    files = [SourceFile(path, 10) for path in ("a.txt", "p.sqlite", "p.sqlite-wal", "z.txt")]
    plan = make_plan(job(), Inventory.of("/in", files), {})
    assert [(file.path, reason) for file, reason in plan.ignored] == [
        ("a.txt", "no table of this layout"),
        ("z.txt", "no table of this layout"),
        ("p.sqlite-wal", "read with p.sqlite"),
    ]
