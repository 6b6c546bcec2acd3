"""What a notebook shows of a result: small, without scripts, with every well, and hostile names as text."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from cytobatch.report.model import ReportWarning, RunReport
from cytobatch.report.notebook import result_html, result_line
from tests.support.batches import HOSTILE
from tests.support.browser import Page, needs_browser
from tests.support.html import Element, parsed_text
from tests.support.plate_reports import plate_report
from tests.support.screenshots import DEFECTS

_START = re.compile("M")
_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="color-scheme" content="light dark">
<title>Notebook</title></head>
<body><main><h1>Notebook</h1>{}</main></body></html>
"""


def shown(report: RunReport) -> Element:
    (whole,) = parsed_text(result_html(report)).inside
    return whole


def marks_of(whole: Element) -> dict[str, int]:
    """Return how many wells have each mark; those of a colour are `coloured`."""
    marks = {"coloured": 0}
    for path in whole.all("path"):
        kind = path.attributes.get("class", "coloured")
        marks[kind] = marks.get(kind, 0) + len(_START.findall(path.attributes["d"]))
    return marks


@pytest.mark.parametrize("size", [96, 384, 1536])
def test_the_map_has_every_well_with_its_state_in_less_than_30_kb(size: int) -> None:
    defects = {**DEFECTS, "missing": {"A03"}} if size != 96 else {"failed": {"C07"}, "empty": {"H12"}}
    report = plate_report(size, **defects)
    assert len(result_html(report).encode()) < 30_000
    marks = marks_of(shown(report))
    assert marks["coloured"] == sum(well.cells > 0 for well in report.plate_wells)
    assert marks["none"] == sum(well.cells == 0 for well in report.plate_wells)
    assert marks["failed"] == len(defects["failed"])
    assert marks.get("part", 0) == len(defects.get("part", ()))
    assert marks.get("gone", 0) == len(defects.get("missing", ()))
    assert marks["control"] == marks["rim"] == sum(well.role is not None for well in report.plate_wells)


def test_the_words_are_verdict_counts_failed_exports_and_warnings() -> None:
    report = plate_report(384, **DEFECTS)
    words = shown(report).words
    assert "BR00117035: \u25b2 Usable, with losses: look at 8 wells" in words
    assert f"{report.counts.rows:,} cells in 378 of 381 wells" in words
    assert f"{report.counts.failed_exports} failed exports" in words
    assert "it is cut short: 31 of 53 objects that the image table counts" in words
    assert "and 4 more: .failed has all" in words
    assert "2 warnings objects that no object of cells belongs to: 767 of nuclei" in words


def test_it_needs_no_script_and_loads_nothing() -> None:
    whole = shown(plate_report(96))
    assert not [tag for tag in ("script", "link", "img", "iframe", "object", "form") if whole.all(tag)]
    assert not re.search(r"url\(|@import|https?:|\bon\w+=", result_html(plate_report(96)))


def test_hostile_names_stay_text() -> None:
    report = plate_report(96, plate=HOSTILE, failed={"C07"})
    ledger = [entry.model_copy(update={"reason": HOSTILE, "export": HOSTILE}) for entry in report.ledger]
    update = {"ledger": ledger, "page": "javascript:alert(1)", "warnings": [ReportWarning(what=HOSTILE * 400)] * 9}
    report = report.model_copy(update=update)
    whole = shown(report)
    assert whole.all("b")[0].words == HOSTILE
    assert not whole.all("script")
    assert whole.all("a")[0].attributes["href"] == "javascript%3Aalert%281%29"
    assert len(result_html(report)) < 30_000
    assert len(result_line(report.model_copy(update={"plate": "a\nb\x1b[31m"})).splitlines()) == 1


def test_local_files_are_links_and_objects_are_not() -> None:
    report = plate_report(96)
    assert not shown(report).all("a")
    local = report.model_copy(update={"page": "out 1/report.html", "report": "/data/run-report.json"})
    links = [link.attributes["href"] for link in shown(local).all("a")]
    assert links == ["out%201/report.html", "file:///data/run-report.json"]


@pytest.mark.parametrize("wells", [False, True])
def test_a_report_without_wells_has_no_map_and_one_of_two_plates_the_first(wells: bool) -> None:
    one, other = plate_report(96, plate="P1"), plate_report(96, plate="P2")
    both = [*one.plate_wells, *other.plate_wells] if wells else []
    whole = shown(one.model_copy(update={"plate_wells": both}))
    assert len(whole.all("svg")) == wells
    assert ("the first of 2 plates" in whole.words) == wells
    assert f"{one.counts.rows:,} cells in" in result_line(one.model_copy(update={"plate_wells": both}))


@pytest.mark.slow
@needs_browser
@pytest.mark.parametrize("dark", [False, True])
def test_it_is_readable_in_a_light_and_a_dark_page(dark: bool, opened: Callable[..., Page], tmp_path: Path) -> None:
    path = tmp_path / "notebook.html"
    path.write_text(_PAGE.format(result_html(plate_report(384, **DEFECTS))), encoding="utf-8")
    page = opened(path, width=720, dark=dark)
    assert page.requests == [path.as_uri()]
    assert page.violations() == []
    assert page.messages == []
    assert page.value("document.documentElement.scrollWidth <= innerWidth")
