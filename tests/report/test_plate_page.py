"""The page of a plate: its words, its maps, and that hostile names stay text."""

import base64
import hashlib
import json
import re
from typing import Any

import pytest

from cytobatch.report.model import Outcome, RunReport
from cytobatch.report.plate_page import plate_page
from cytobatch.report.wells import PlateWell
from tests.support.batches import HOSTILE
from tests.support.html import Element, parsed_text
from tests.support.plate_reports import plate_report
from tests.support.screenshots import DEFECTS

DASH = "\u2013"


def page_of(report: RunReport) -> Element:
    return parsed_text(plate_page(report))


def data_of(page: Element) -> dict[str, Any]:
    return json.loads(page.all("script")[0].text)


def maps_of(page: Element) -> list[Element]:
    return [element for element in page.all("div") if element.attributes.get("class", "").startswith("map ")]


@pytest.mark.parametrize(("size", "most"), [(96, 150_000), (384, 150_000), (1536, 500_000)])
def test_a_page_is_small_with_all_features(size: int, most: int) -> None:
    assert len(plate_page(plate_report(size, features=30)).encode()) < most


def test_the_same_report_gives_the_same_page() -> None:
    assert plate_page(plate_report(96)) == plate_page(plate_report(96))


def test_a_good_plate_is_usable() -> None:
    page = page_of(plate_report(96, seed=2))
    assert page.all("h2")[0].words == "Usable"
    (verdict, *_) = page.all("ul")[1:2]
    assert verdict.all("li")[0].words.startswith("All 96 wells have cells; ")
    assert "Wells to look at" not in page.words
    assert "16 controls: 8 negcon, 8 poscon." in page.words


def test_losses_are_named_with_what_to_do() -> None:
    page = page_of(plate_report(384, **DEFECTS))
    assert page.all("h2")[0].words.startswith("Usable, with losses: look at ")
    sentences = [item.words for item in page.all("ul")[1].all("li")]
    assert "10 of 1,524 exports failed and were left out, 10 sites of known wells." in sentences
    assert "All sites were left out in C07, P24." in sentences
    assert "No cells in H12." in sentences
    (body, *_) = [table.all("tbody")[0] for table in page.all("table")]
    first = [cell.words for cell in body.all("tr")[0].inside]
    assert first == [
        "C07",
        "4 of 4 sites left out",
        "it is cut short: 31 of 53 objects that the image table counts",
        "BR00117035-C07-1/Cells.csv",
        "mend or copy the file again, then run again",
    ]


def test_a_plate_without_cells_in_most_wells_is_not_usable() -> None:
    report = plate_report(96)
    wells = [well.model_copy(update={"cells": 0}) if well.row != 1 else well for well in report.plate_wells]
    assert page_of(report.model_copy(update={"plate_wells": wells})).all("h2")[0].words == "Not usable as it is"


@pytest.mark.parametrize("size", [96, 384, 1536])
def test_the_maps_have_every_well_once_and_marks_for_those_that_differ(size: int) -> None:
    defects = {**DEFECTS, "missing": {"A03"}} if size != 96 else {"failed": {"C07"}, "empty": {"H12"}}
    report = plate_report(size, **defects)
    cells, feature = maps_of(page_of(report))
    for one in (cells, feature):
        assert len(one.all("rect")) == len(report.plate_wells)
    kinds = [path.attributes["class"] for path in cells.all("path")]
    assert kinds.count("x") == len(defects["failed"])
    assert kinds.count("z") == len(defects["empty"])
    assert kinds.count("p") == len(defects.get("part", ()))
    assert kinds.count("gone") == ("missing" in defects)
    assert len(cells.all("circle")) == sum(well.role is not None for well in report.plate_wells)
    coloured = [rect.attributes["class"] != "n" for rect in cells.all("rect")]
    assert coloured == [well.cells > 0 for well in report.plate_wells]


def test_figures_are_those_of_the_report() -> None:
    report = plate_report(384, **DEFECTS)
    (figures,) = page_of(report).all("dl")[:1]
    shown = {item.all("dt")[0].words: item.all("dd")[0].words for item in figures.inside}
    assert shown["Cells"].startswith(f"{report.counts.rows:,} ")
    assert shown["Wells with cells"] == "378 of 381 with images"
    assert shown["Features"] == "4,130 4,210 columns in all"
    assert shown["Cells lost"].startswith("0.7 % 3,000 cells of failed exports")


def test_lost_cells_that_nothing_counts_are_no_number() -> None:
    report = plate_report(96, failed={"C07"})
    wells = [well.model_copy(update={"lost_cells": None}) if well.failed_sites else well for well in report.plate_wells]
    figures = page_of(report.model_copy(update={"plate_wells": wells})).all("dl")[0]
    assert [item.all("dd")[0].words for item in figures.inside][-1] == "unknown 4 failed exports"


def test_every_table_of_the_source_has_its_files_by_outcome() -> None:
    report = plate_report(384, **DEFECTS)
    table = next(table for table in page_of(report).all("table") if table.all("th")[0].words == "Table")
    rows = {row.inside[0].words: [cell.words for cell in row.inside[1:]] for row in table.all("tbody")[0].all("tr")}
    objects = f"{report.counts.rows:,}"
    assert rows["Cells"] == ["11", objects, DASH, "10", DASH, DASH]
    assert rows["Nuclei"] == ["11", objects, DASH, DASH, "10", "767"]
    assert rows["other files"] == ["1", DASH, DASH, DASH, DASH, DASH]


def hostile_report() -> RunReport:
    report = plate_report(96, plate=HOSTILE, failed={"C07"})
    wells = [well.model_copy(update={"content": HOSTILE, "role": "</script>"}) for well in report.plate_wells]
    wells.append(PlateWell(plate=HOSTILE, well="</script><b>", sites=1, cells=3, medians=[1.0] * 7))
    ledger = [entry.model_copy(update={"reason": HOSTILE, "path": HOSTILE}) for entry in report.ledger]
    update = {"plate_wells": wells, "ledger": ledger, "source": HOSTILE, "report_features": [HOSTILE] * 7}
    return report.model_copy(update=update)


def test_hostile_names_stay_text() -> None:
    page = page_of(hostile_report())
    assert page.all("h1")[0].words == HOSTILE
    assert [script.attributes.get("type", "") for script in page.all("script")] == ["application/json", ""]
    assert data_of(page)["content"][0] == HOSTILE
    assert "alert" not in page.all("script")[1].text
    assert not page.all("b")


def test_nothing_is_requested_and_no_other_script_may_run() -> None:
    page = page_of(plate_report(96))
    assert not [tag for tag in ("link", "img", "iframe", "object", "form", "base") if page.all(tag)]
    assert not re.search(r"url\(|@import|https?:", plate_page(plate_report(96)))
    (policy,) = [meta.attributes["content"] for meta in page.all("meta") if "http-equiv" in meta.attributes]
    digest = base64.b64encode(hashlib.sha256(page.all("script")[-1].text.encode()).digest()).decode()
    assert policy.startswith("default-src 'none';")
    assert f"script-src 'sha256-{digest}';" in policy


def test_a_report_of_an_earlier_version_has_a_page_without_maps() -> None:
    report = plate_report(96).model_copy(
        update={"plate_wells": [], "report_features": [], "seconds": {}, "outputs": []}
    )
    page = page_of(report)
    assert "The wells of this profile are not known" in page.words
    assert not maps_of(page)


def test_long_lists_are_cut_and_counted() -> None:
    report = plate_report(96)
    failed = report.ledger[0].model_copy(update={"outcome": Outcome.FAILED, "reason": "torn"})
    page = page_of(report.model_copy(update={"ledger": [failed] * 3000}))
    assert "and 2,975 more in run-report.json" in page.words
    assert len(plate_page(report.model_copy(update={"ledger": [failed] * 3000}))) < 150_000


def test_several_plates_have_maps_of_their_own() -> None:
    one, other = plate_report(96, plate="P1"), plate_report(384, plate="P2")
    page = page_of(one.model_copy(update={"plate_wells": [*one.plate_wells, *other.plate_wells]}))
    assert [len(element.all("rect")) for element in maps_of(page)] == [96, 96, 384, 384]
    assert data_of(page)["name"][0] == "P1 A01"


def test_the_lines_that_read_the_result_are_python() -> None:
    report = plate_report(96)
    outputs = [report.outputs[0].model_copy(update={"path": """/a 'b' "c"/ü.parquet"""})]
    for code in page_of(report.model_copy(update={"outputs": outputs})).all("pre"):
        compile(code.text, "page", "exec")
