"""The base classes of formats: what a format has without any code of its own."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from cytobatch.config.options import PlateJob
from cytobatch.config.wells import SiteLocation
from cytobatch.errors import FastPathUnavailable, InternalError, InvalidTableError, LayoutError
from cytobatch.formats.base import OBJECTS, ConversionPlan, Export, ExportScan, Listing, SurveyedTable
from cytobatch.formats.defaults import FormatDefaults
from cytobatch.formats.single_table import (
    SingleTableFormat,
    invalid_scan,
    preset_of,
    single_table_preset,
    with_empty_entry,
)
from cytobatch.planning.inventory import Inventory, SourceFile
from cytobatch.report.model import Outcome

JOB = PlateJob(source="/in", destination="/out")
FILES = (SourceFile("a.toy", 1), SourceFile("b.toy", 2), SourceFile("b.log", 3))
INVENTORY = Inventory.of("/in", list(FILES))
TABLE = SurveyedTable(OBJECTS, "", "a.toy", pa.schema([("x", pa.float64())]), has_rows=True)
EXPORT = Export(0, "a.toy", (FILES[0],), SiteLocation())
UNUSED: Any = None
"""An argument that the function does not read."""


class Toy(SingleTableFormat[SurveyedTable]):
    name = "toy"
    preset = single_table_preset("toy", frozenset({"toy"}))


class ToyWithLocations(Toy):
    def location_of(self, listing: Listing, file: SourceFile) -> SiteLocation:
        return SiteLocation(listing.job.plate, file.stem)


def listing(**options: object) -> Listing:
    job = PlateJob.model_validate({"source": "/in", "destination": "/out", **options})
    return Listing(job, INVENTORY, {})


def test_no_file_is_probed() -> None:
    assert list(FormatDefaults[SurveyedTable]().probes(JOB, INVENTORY)) == []


def test_a_scan_reads_every_file_of_every_export_whole() -> None:
    exports = (EXPORT, Export(1, "b.toy", FILES[1:], SiteLocation()))
    plan = ConversionPlan(JOB, INVENTORY, UNUSED, None, (), exports, ())
    assert FormatDefaults[SurveyedTable]().whole_files(plan) == {"a.toy", "b.toy", "b.log"}


def test_tables_are_read_whole_and_one_by_one_and_are_not_counted() -> None:
    defaults = FormatDefaults[SurveyedTable]()
    assert defaults.concat_reader([TABLE]) is None
    assert defaults.count_rows(TABLE, Path("a.toy")) is None
    with pytest.raises(FastPathUnavailable) as caught:
        defaults.index_rows(TABLE, Path("a.toy"), TABLE.schema, TABLE.schema, UNUSED)
    assert caught.value.reason == "rows of this format are not found by number"


def test_a_format_without_image_tables_cannot_read_one() -> None:
    with pytest.raises(InternalError) as caught:
        FormatDefaults[SurveyedTable]().read_images(TABLE, Path("a.toy"), ("x",), UNUSED)
    assert caught.value.where == "a.toy"


def test_each_file_of_whole_rows_is_an_export_with_its_location() -> None:
    plan = ToyWithLocations().plan(listing(plate="P1"), FILES[:2])
    assert [(each.index, each.path, each.files) for each in plan.exports] == [
        (0, "a.toy", FILES[:1]),
        (1, "b.toy", FILES[1:2]),
    ]
    assert [each.location for each in plan.exports] == [SiteLocation("P1", "a"), SiteLocation("P1", "b")]
    assert Toy().plan(listing(), FILES[:1]).exports[0].location == SiteLocation()


def test_the_preset_of_whole_rows_keeps_names_and_joins_nothing() -> None:
    preset = Toy().plan(listing(), FILES[:1]).preset
    assert preset is not None
    assert (preset.name, preset.formats) == ("toy", frozenset({"toy"}))
    assert (preset.compartments, preset.metadata, preset.identifying_columns) == ((), (), ())


@pytest.mark.parametrize(
    ("option", "value"),
    [("compartments", ["cells"]), ("metadata", ["image"]), ("joins", "SELECT 1"), ("table_prefix", "X_")],
)
def test_an_option_for_joins_does_not_fit_whole_rows(option: str, value: object) -> None:
    with pytest.raises(LayoutError) as caught:
        Toy().plan(listing(**{option: value}), FILES[:1])
    assert caught.value.what == f"{option} does not fit this source"
    assert caught.value.where == "/in"
    assert caught.value.why == "toy files have whole rows, without tables to choose or join"
    assert caught.value.remedy == f"leave {option} out"


def test_a_plan_of_whole_rows_has_a_preset() -> None:
    plan = ConversionPlan(JOB, INVENTORY, Toy(), Toy.preset, (), (EXPORT,), ())
    assert preset_of(plan) is Toy.preset
    with pytest.raises(ValueError, match="has a preset"):
        preset_of(ConversionPlan(JOB, INVENTORY, Toy(), None, (), (EXPORT,), ()))


def test_a_file_that_cannot_be_read_is_a_defect_of_its_export() -> None:
    scan = invalid_scan(EXPORT, InvalidTableError("cut short", where="a.toy", why="the last line has no end"))
    (defect,) = scan.defects
    assert (scan.tables, defect.path, defect.outcome) == ({}, "a.toy", Outcome.FAILED)
    assert (defect.export, defect.table) == ("a.toy", OBJECTS)
    assert defect.reason == "cut short: the last line has no end"


def test_a_file_without_rows_is_recorded_as_empty() -> None:
    empty = SurveyedTable(OBJECTS, "", "a.toy", TABLE.schema, has_rows=False)
    scan = with_empty_entry(ExportScan(EXPORT, {OBJECTS: empty}))
    assert [(entry.path, entry.outcome, entry.rows) for entry in scan.empty] == [("a.toy", Outcome.EMPTY, 0)]
    for unchanged in (ExportScan(EXPORT, {OBJECTS: TABLE}), ExportScan(EXPORT, {})):
        assert with_empty_entry(unchanged) is unchanged


def test_a_table_that_becomes_invalid_leaves_the_others() -> None:
    other = SurveyedTable("cells", "Cells", "a.toy", TABLE.schema, has_rows=True, source_name="Per_Cells")
    scan = ExportScan(EXPORT, {OBJECTS: TABLE, "cells": other}).without("cells", "no rows")
    assert scan.tables == {OBJECTS: TABLE}
    assert [(entry.table, entry.reason) for entry in scan.defects] == [("Per_Cells", "no rows")]
