"""Plate maps as text: a character or two for each well, and marks that need no colour."""

import pytest

from cytobatch.report.text_map import as_ascii, text_map
from tests.support.plate_reports import SIZES, plate_report
from tests.support.screenshots import DEFECTS

LOW, HIGH = "\u2591", "\u2588"


@pytest.mark.parametrize("size", list(SIZES))
def test_every_well_has_its_place(size: int) -> None:
    report = plate_report(size, failed={"C07"}, empty={"H12"}, missing={"A03"})
    rows, columns = SIZES[size]
    width = 1 if size == 1536 else 2
    ruler, *lines, legend = text_map(report)
    assert len(lines) == rows
    assert max(map(len, (ruler, *lines))) <= 80
    wells = {
        f"{line[:2].strip()}{column + 1:02d}": line[3 + column * width : 3 + (column + 1) * width]
        for line in lines
        for column in range(columns)
    }
    assert wells["C07"] == "\u00d7" * width
    assert wells["H12"] == "\u25cb" * width
    assert wells["A03"] == " " * width
    counts = {well.well: well.cells for well in report.plate_wells}
    lowest, highest = (f(counts, key=lambda name: counts[name] or 1000) for f in (min, max))
    assert (wells[lowest], wells[highest]) == (LOW * width, HIGH * width)
    assert legend.endswith("cells a well; \u00d7 all sites failed; \u25cb no cells; blank: no images")


def test_numbers_stand_above_their_columns() -> None:
    ruler, first, *_ = text_map(plate_report(384))
    for number in (1, 3, 11, 23):
        assert ruler[3 + 2 * (number - 1) :].split()[0] == str(number)
    assert len(first) == 3 + 48


def test_a_map_can_be_in_ascii() -> None:
    lines = [as_ascii(line) for line in text_map(plate_report(384, **DEFECTS))]
    assert all(line.isascii() for line in lines)
    assert any("xx" in line for line in lines)


def test_a_report_without_wells_has_no_map() -> None:
    assert text_map(plate_report(96).model_copy(update={"plate_wells": []})) == []
