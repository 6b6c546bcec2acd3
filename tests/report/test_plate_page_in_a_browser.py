"""The page of a plate in Chromium: silent, alone, quick, readable, and the same values as the report."""

from collections.abc import Callable
from pathlib import Path

import pytest

from cytobatch.report.model import RunReport
from cytobatch.report.plate_page import plate_page
from tests.report.test_plate_page import DASH, hostile_report
from tests.support.browser import Page, needs_browser
from tests.support.plate_reports import plate_report
from tests.support.screenshots import DEFECTS

pytestmark = [pytest.mark.slow, needs_browser]
Open = Callable[..., Page]

READING = "document.getElementById('reading').innerText.replace(/\\s+/g, ' ')"


def written(report: RunReport, folder: Path) -> Path:
    path = folder / "report.html"
    path.write_text(plate_page(report), encoding="utf-8")
    return path


def check(page: Page, path: Path) -> None:
    """Check what holds for every page: no message, no request, no violation, nothing wider than the window."""
    assert page.requests == [path.as_uri()]
    assert page.violations() == []
    assert page.value("document.documentElement.scrollWidth <= innerWidth"), "the page is wider than its window"
    assert page.messages == []


@pytest.mark.parametrize(
    ("size", "defects", "width", "dark"),
    [
        (96, {}, 1280, True),
        (96, {}, 360, False),
        (384, DEFECTS, 1280, False),
        (384, DEFECTS, 360, True),
        (1536, {"features": 30}, 1280, False),
    ],
)
def test_a_page_is_silent_and_accessible(
    size: int, defects: dict[str, object], width: int, dark: bool, opened: Open, tmp_path: Path
) -> None:
    path = written(plate_report(size, **defects), tmp_path)
    page = opened(path, width=width, dark=dark)
    assert page.seconds < 2
    # The rules take half a minute for a table of 1,536 alike rows.
    closed = "details" if size < 1536 else ".lists:not(#all-wells) details"
    page.value(f"for (const one of document.querySelectorAll('{closed}')) one.open = true")
    page.value("new Promise((done) => setTimeout(done, 100))")
    check(page, path)


def test_hostile_names_run_nothing(opened: Open, tmp_path: Path) -> None:
    path = written(hostile_report(), tmp_path)
    page = opened(path)
    page.value("document.querySelector('#all-wells details').open = true")
    page.value("new Promise((done) => setTimeout(done, 100))")
    check(page, path)
    assert page.value("document.querySelectorAll('script').length") == 2
    assert page.value("document.querySelectorAll('#all-wells tbody td b').length") == 0


def test_the_readings_and_the_table_are_the_reports_values(opened: Open, tmp_path: Path) -> None:
    report = plate_report(384, **DEFECTS)
    page = opened(written(report, tmp_path))
    page.value("document.querySelector('#all-wells details').open = true")
    page.value("new Promise((done) => setTimeout(done, 100))")
    texts = "(row) => [...row.cells].map((cell) => cell.innerText)"
    rows = page.value(f"[...document.querySelectorAll('#all-wells tbody tr')].map({texts})")
    assert [row[:4] for row in rows] == [
        [well.well, f"{well.cells:,}", str(well.sites), str(well.failed_sites)] for well in report.plate_wells
    ]
    for row, well in zip(rows, report.plate_wells, strict=True):
        shown = row[-1].replace(",", "")
        assert shown == DASH if well.medians[0] is None else float(shown) == float(f"{well.medians[0]:.4g}")


def test_another_feature_colours_the_map_by_its_values(opened: Open, tmp_path: Path) -> None:
    report = plate_report(384, **DEFECTS)
    page = opened(written(report, tmp_path))
    # The template has drawn the first feature; the script draws it again alike.
    rects = "document.querySelectorAll('div.map')[1].querySelectorAll('rect')"
    classes = f"[...{rects}].map((rect) => rect.className.baseVal)"
    first = page.value(classes)
    choose = "(() => {{ const menu = document.getElementById('feature'); menu.value = {};"
    choose += " menu.dispatchEvent(new Event('change')); }})()"
    page.value(choose.format(3))
    other = page.value(classes)
    page.value(choose.format(0))
    again = page.value(classes)
    # Values of the page have four digits, so that one at the limit of two colours may have the next.
    near = [abs(int(a[1:]) - int(b[1:])) for a, b in zip(first, again, strict=True) if a != "n"]
    assert [a == "n" for a in first] == [a == "n" for a in again]
    assert max(near) <= 1
    assert sum(near) <= len(near) // 50
    values = [(well.medians[3], one) for well, one in zip(report.plate_wells, other, strict=True) if well.medians[3]]
    levels = [int(one[1:]) for _, one in sorted(values)]
    assert levels == sorted(levels)
    assert (levels[0], levels[-1]) == (0, 31)


def test_the_keyboard_reaches_every_well(opened: Open, tmp_path: Path) -> None:
    report = plate_report(96, missing={"A03"})
    page = opened(written(report, tmp_path))
    focused = "document.activeElement.className"
    for _ in range(30):
        page.press("Tab")
        if str(page.value(focused)).startswith("map"):
            break
    assert page.value(READING).startswith("A01")
    page.press("ArrowRight", "ArrowRight")
    assert page.value(READING).startswith("A04"), "a position without images is skipped"
    page.press("ArrowDown", "ArrowLeft")
    b03 = next(well for well in report.plate_wells if well.well == "B03")
    assert page.value(READING).startswith(f"B03 {b03.content} cells {b03.cells:,} ")
    page.press("End", "ArrowDown", "ArrowRight")
    assert page.value(READING).startswith("H12")
    assert page.value("document.querySelectorAll('.cursor.on').length") == 2
    seen = set()
    page.press("Home")
    for row in range(8):
        for _ in range(12):
            seen.add(page.value("document.querySelector('#reading b').innerText"))
            page.press("ArrowRight" if row % 2 == 0 else "ArrowLeft")
        page.press("ArrowDown")
    assert seen == {well.well for well in report.plate_wells}


def test_a_pointer_reads_a_well(opened: Open, tmp_path: Path) -> None:
    report = plate_report(384)
    page = opened(written(report, tmp_path), height=1400)
    box = page.value(
        "(() => { const box = document.querySelectorAll('.map rect')[30].getBoundingClientRect();"
        " return [box.x + box.width / 2, box.y + box.height / 2]; })()"
    )
    page.send("Input.dispatchMouseEvent", type="mouseMoved", x=box[0], y=box[1])
    assert page.value(READING).startswith(f"{report.plate_wells[30].well} ")


def test_a_printed_page_has_its_tables_open(opened: Open, tmp_path: Path) -> None:
    page = opened(written(plate_report(96), tmp_path))
    page.send("Page.printToPDF")
    assert page.value("document.querySelectorAll('#all-wells tbody tr').length") == 96
