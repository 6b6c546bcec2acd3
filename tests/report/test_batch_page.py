"""The page of a batch: its content and links, and that names of plates cannot inject anything."""

import base64
import hashlib
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from cytobatch.batch.collect import gather, plate_row, publish
from cytobatch.config.options import PlateJob
from cytobatch.report.batch_page import render_page
from cytobatch.report.batch_table import BatchTable
from cytobatch.report.charts import HEIGHT, WIDTH, bar_chart
from cytobatch.report.model import LedgerEntry, Outcome, ReportWarning, RunReport
from cytobatch.report.numbers import duration, measure, share, size
from cytobatch.report.relative_links import relative_link
from cytobatch.storage.access import Access
from cytobatch.storage.report_files import StoredReport
from tests.support.batches import HOSTILE, converted, job_of, report_of, with_report
from tests.support.browser import Page, needs_browser
from tests.support.html import Element, parsed, parsed_text
from tests.support.plate_batches import DEAD, batch_of

Open = Callable[..., Page]


def page_of(table: BatchTable, folder: Path) -> Element:
    publish(table, str(folder), Access())
    return parsed(folder / "index.html")


def table_rows(page: Element) -> list[list[str]]:
    (body,) = page.all("tbody")
    return [[cell.words for cell in row.inside] for row in body.all("tr")]


@pytest.fixture
def mixed(tmp_path: Path) -> list[PlateJob]:
    return [
        converted(tmp_path, "P10", sites=3),
        converted(tmp_path, "P9", sites=4, broken=1),
        job_of(tmp_path, "P8"),
        with_report(tmp_path, "P7", "[]"),
    ]


def test_the_table_and_the_figures(mixed: list[PlateJob], tmp_path: Path) -> None:
    page = page_of(gather(mixed), tmp_path / "out")
    heads = [cell.words for cell in page.all("thead")[0].all("th")]
    rows = [dict(zip(heads, row, strict=True)) for row in table_rows(page)]
    assert [(row["Plate"], row["State"], row["Rows"], row["Failed"], row["Sites"]) for row in rows] == [
        ("P7", "unreadable", "", "", ""),
        ("P8", "missing", "", "", ""),
        ("P9", "done with losses", "9", "1", "3"),
        ("P10", "done", "9", "0", "3"),
    ]
    figures = {item.all("dt")[0].words: item.all("dd")[0].words for item in page.all("dl")[0].inside}
    assert figures["Plates done"] == "2 of 4"
    assert figures["Profile rows"] == "18 9 a plate"
    assert figures["Failed exports"] == "1 of 7"
    assert figures["Wells"] == "2 6 sites"
    assert [item.words for item in page.all("ul")[0].all("li")] == [
        "1 done",
        "1 done with losses",
        "1 missing",
        "1 unreadable",
    ]


def test_headers_have_a_scope_and_charts_a_name(mixed: list[PlateJob], tmp_path: Path) -> None:
    page = page_of(gather(mixed), tmp_path / "out")
    assert {head.attributes["scope"] for head in page.all("thead")[0].all("th")} == {"col"}
    assert {head.attributes["scope"] for head in page.all("tbody")[0].all("th")} == {"row"}
    assert [chart.attributes["aria-label"] for chart in page.all("svg") if "aria-label" in chart.attributes] == [
        "Cells a well of each plate; the batch has 9; 1 plate marked",
        "Failed exports per plate, at most 1",
    ]
    strip, failed = (chart for chart in page.all("svg") if "aria-label" in chart.attributes)
    assert [title.words for title in strip.all("title")] == ["P9: 9 cells a well, done with losses"]
    assert [title.words for title in failed.all("title")] == ["P10: 0", "P9: 1", "P8: missing", "P7: unreadable"]
    assert [text.words for text in strip.all("text")][-3:] == ["P10", "P7", "cells a well"]


def test_the_page_requests_nothing_outside_itself(mixed: list[PlateJob], tmp_path: Path) -> None:
    page = page_of(gather(mixed), tmp_path / "out")
    assert not [tag for tag in ("link", "img", "iframe", "object", "form", "base") if page.all(tag)]
    assert not [
        element
        for tag in ("script", "svg", "use", "image")
        for element in page.all(tag)
        if {"src", "href", "xlink:href"} & element.attributes.keys()
    ]
    assert not re.search(r"url\(|@import|https?:", (tmp_path / "out" / "index.html").read_text())


def test_links_lead_to_the_plates_pages(mixed: list[PlateJob], tmp_path: Path) -> None:
    page = page_of(gather(mixed), tmp_path / "out")
    links = {link.words: link.attributes["href"] for link in page.all("table")[0].all("a")}
    assert links == {"P10": "P10/report.html", "P9": "P9/report.html", "P7": "P7/run-report.json"}
    for href in ("batch.parquet", "batch.csv", *links.values()):
        assert (tmp_path / "out" / href).is_file()


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    jobs = [converted(tmp_path, HOSTILE, broken=1), job_of(tmp_path, f'"><img src=x onerror=alert(1)>{HOSTILE}')]
    page = page_of(gather(jobs), tmp_path / "page")
    assert sorted(row[0] for row in table_rows(page)) == sorted(str(job.plate) for job in jobs)
    (script,) = page.all("script")
    assert "alert" not in script.text
    assert not page.all("img")
    assert {
        name
        for tag in ("a", "th", "td", "rect", "g")
        for element in page.all(tag)
        for name in element.attributes
        if name.startswith("on")
    } == set()
    assert page.all("title")[1].words.startswith(HOSTILE)


def test_only_the_pages_own_script_may_run(tmp_path: Path) -> None:
    page = page_of(gather([job_of(tmp_path, "P1")]), tmp_path / "page")
    (policy,) = [meta.attributes["content"] for meta in page.all("meta") if "http-equiv" in meta.attributes]
    digest = base64.b64encode(hashlib.sha256(page.all("script")[0].text.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}';" in policy
    assert policy.startswith("default-src 'none';")


def test_problems_have_the_ledgers_reasons(mixed: list[PlateJob], tmp_path: Path) -> None:
    page = page_of(gather(mixed), tmp_path / "out")
    articles = {article.all("h3")[0].words: article.words for article in page.all("article")}
    assert list(articles)[:3] == ["P7 unreadable", "P8 missing", "P9 done with losses"]
    report = RunReport.model_validate_json(report_of(mixed[1]).read_bytes())
    (failed,) = [entry for entry in report.ledger if entry.outcome is Outcome.FAILED]
    assert failed.reason
    assert failed.reason in articles["P9 done with losses"]
    assert failed.path in articles["P9 done with losses"]
    assert "1 of 4 exports failed; 3 valid files left out with them." in articles["P9 done with losses"]
    assert "no report is there" in articles["P8 missing"]
    assert "it is no run report" in articles["P7 unreadable"]


def changed(job: PlateJob, **changes: object) -> StoredReport:
    """A plate's report as it would be with other contents."""
    report = RunReport.model_validate_json(report_of(job).read_bytes()).model_copy(update=changes)
    return StoredReport(report.report, report.to_json().encode())


def test_equal_reasons_are_one_problem_and_long_lists_count_the_rest(tmp_path: Path) -> None:
    job = converted(tmp_path, "P1")
    alike = [
        LedgerEntry(path=f"s{n}/Cells.csv", outcome=Outcome.FAILED, table="cells", reason="torn") for n in range(50)
    ]
    others = [LedgerEntry(path="x", outcome=Outcome.FAILED, reason=f"reason {n}") for n in range(9)]
    warnings = [ReportWarning(what=f"warning {n}", count=3, table="nuclei", first_exports=["s1"]) for n in range(4)]
    row = plate_row(job, changed(job, ledger=[*alike, *others], warnings=warnings))
    assert row.run is not None
    (article,) = page_of(BatchTable.of([row]), tmp_path / "page").all("article")
    items = [item.words for item in article.all("li")]
    assert items[0] == "failed cells: torn, 50 files, the first in s0/Cells.csv"
    assert items[1] == "failed reason 0, in x"
    assert len(items) == 8
    assert "And 6 more in its report." in article.words


def test_of_many_plates_with_problems_some_are_shown_and_the_rest_counted(tmp_path: Path) -> None:
    page = page_of(gather([job_of(tmp_path, f"P{n}") for n in range(1234)]), tmp_path / "page")
    assert len(table_rows(page)) == 1234
    assert len(page.all("article")) == 200
    assert "And 1,034 more plates" in page.words


def test_a_batch_without_plates_and_one_without_runs_have_pages(tmp_path: Path) -> None:
    assert "Batch of 0 plates" in page_of(gather([]), tmp_path / "a").words
    page = page_of(gather([job_of(tmp_path, "P1")]), tmp_path / "b")
    assert "No plate is done yet." in page.words
    assert not page.all("svg")
    assert not page.all("canvas")


@pytest.mark.parametrize(
    ("uri", "folder", "link"),
    [
        ("/data/out/P1/run-report.json", "/data/out", "P1/run-report.json"),
        ("/data/out/P1.run-report.json", "/data/page/", "../out/P1.run-report.json"),
        ("/data/a b/ü#?%.json", "/data", "a%20b/%C3%BC%23%3F%25.json"),
        ("/data/javascript:alert(1)/r.json", "/data", "javascript%3Aalert%281%29/r.json"),
        ("/data/a b.json", "s3://b/page", "file:///data/a%20b.json"),
        ("s3://b/out/P1/r.json", "s3://b/out", "P1/r.json"),
        ("s3://b/out/P1/r.json", "s3://b/page/x/", "../../out/P1/r.json"),
        ("s3://b/out/P1/r.json", "s3://b", "out/P1/r.json"),
        ("s3://b/out/P1/r.json", "s3://other/out", "s3://b/out/P1/r.json"),
        ("s3://b/a b/ü.json", "/data", "s3://b/a%20b/%C3%BC.json"),
        ("s3://b/out/../P1/r.json", "s3://b/out", "s3://b/out/../P1/r.json"),
        ("s3://b/out//P1/r.json", "s3://b/out", "s3://b/out//P1/r.json"),
    ],
)
def test_links(uri: str, folder: str, link: str) -> None:
    assert relative_link(uri, folder) == link


def test_links_of_relative_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert relative_link("out/P1/r.json", "out") == "P1/r.json"
    assert relative_link(str(tmp_path / "out/P1/r.json"), "page") == "../out/P1/r.json"


@pytest.mark.parametrize("plates", [1, 7, 240, 241, 10_000])
def test_bars_stay_within_the_chart_and_many_plates_share_one(plates: int, tmp_path: Path) -> None:
    job = converted(tmp_path, "P1")
    (row,) = gather([job]).rows
    chart = bar_chart("rows", [row] * plates, lambda run: run.rows)
    assert len(chart.bars) <= 240
    assert len(chart.bars) * chart.plates_of_a_bar >= plates
    assert chart.top == 6
    assert all(bar.x >= 0 and bar.x + bar.width <= WIDTH for bar in chart.bars)
    assert all((bar.y, bar.height) == (0, HEIGHT) for bar in chart.bars)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0.0 s"), (59.94, "59.9 s"), (60, "1 min 00 s"), (3599.6, "1 h 00 min"), (4_000_000, "1,111 h 06 min")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_numbers_are_as_people_read_them() -> None:
    assert [size(n) for n in (1, 999, 1000, 990_800, 12_345_678_900)] == [
        "1 byte",
        "999 bytes",
        "1.0 kB",
        "990.8 kB",
        "12.3 GB",
    ]
    assert [measure(value) for value in (0, 0.01234, 3.14159, 2345.6, 1e9)] == [
        "0",
        "0.0123",
        "3.14",
        "2,346",
        "1.00e+09",
    ]
    assert [share(*parts) for parts in ((0, 9), (1, 9999), (1, 30), (1, 4), (4, 4), (0, 0))] == [
        "0 %",
        "< 0.1 %",
        "3.3 %",
        "25 %",
        "100 %",
        "0 %",
    ]


@pytest.mark.slow
@needs_browser
@pytest.mark.parametrize(
    ("address", "order", "sort"),
    [
        ("", ["P7", "P8", "P9", "P10", HOSTILE], None),
        ("#sort=plate", [HOSTILE, "P7", "P8", "P9", "P10"], ("plate", "ascending")),
        ("#sort=sites", [HOSTILE, "P9", "P10", "P7", "P8"], ("sites", "ascending")),
        ("#sort=-exports", ["P9", "P10", HOSTILE, "P7", "P8"], ("exports", "descending")),
        ("#sort=nonsense", ["P7", "P8", "P9", "P10", HOSTILE], None),
    ],
)
def test_the_table_sorts_in_a_browser_without_an_error(
    address: str, order: list[str], sort: tuple[str, str] | None, mixed: list[PlateJob], opened: Open, tmp_path: Path
) -> None:
    publish(gather([*mixed, converted(tmp_path, HOSTILE)]), str(tmp_path / "page"), Access())
    shown = opened(tmp_path / "page" / "index.html", address=address)
    assert shown.messages == []
    page = parsed_text(shown.value("document.documentElement.outerHTML"))
    assert [row[0] for row in table_rows(page)] == order
    heads = page.all("thead")[0].all("th")
    sorted_by = [
        (head.attributes["data-name"], head.attributes["aria-sort"]) for head in heads if "aria-sort" in head.attributes
    ]
    assert sorted_by == ([sort] if sort else [])
    assert len(page.all("thead")[0].all("button")) == len(heads) - 1, "all but the maps' column"
    assert "hidden" not in next(e for e in page.all("div") if e.attributes.get("id") == "filters").attributes


@pytest.mark.slow
@needs_browser
def test_a_script_that_is_not_the_pages_own_does_not_run_in_a_browser(opened: Open, tmp_path: Path) -> None:
    publish(gather([job_of(tmp_path, "P1")]), str(tmp_path / "page"), Access())
    path = tmp_path / "page" / "index.html"
    path.write_text(path.read_text().replace("</body>", "<script>document.title = 'run'</script></body>"))
    page = opened(path)
    assert page.value("document.title") != "run"
    assert "Content Security Policy" in str(page.messages)


def written(plates: int, folder: Path) -> Path:
    path = folder / "index.html"
    path.write_text("".join(render_page(batch_of(plates), "s3://profiles")), encoding="utf-8")
    return path


def gallery(page: Element) -> Element:
    return next(items for items in page.all("ul") if items.attributes.get("id") == "maps")


def test_a_dead_plate_is_the_first_of_many_and_has_a_mark_and_a_name(tmp_path: Path) -> None:
    page = parsed(written(300, tmp_path))
    first = table_rows(page)[0]
    assert (first[0], first[3]) == (DEAD, "47 cells a well, the batch has 1,178")
    strip = page.all("svg")[0]
    assert len([path for path in strip.all("path") if path.attributes["class"] == "mark-0"]) == 1
    assert DEAD in [text.words for text in strip.all("text")]
    others = next(path.attributes["d"] for path in strip.all("path") if path.attributes["class"] == "others")
    marks = [path for path in strip.all("path") if path.attributes["class"].startswith("mark")]
    assert others.count("M") + len(marks) == 300 - 4, "each plate that is done has a mark of its own"
    assert gallery(page).all("li")[0].all("a")[0].words == DEAD


def test_maps_have_the_same_colour_for_the_same_number_of_cells(tmp_path: Path) -> None:
    page = parsed(written(5, tmp_path))
    maps = {item.all("a")[0].words: item.all("canvas")[0].attributes for item in gallery(page).all("li")}
    assert {attributes["data-columns"] for attributes in maps.values()} == {"24"}
    assert {len(attributes["data-map"]) for attributes in maps.values()} == {384}
    assert max(maps[DEAD]["data-map"]) <= "1"
    with_losses = maps["BR0000003"]["data-map"]
    assert [with_losses[2 * 24 + 6], with_losses[15 * 24 + 23]] == ["-", "-"]


@pytest.mark.slow
@needs_browser
@pytest.mark.parametrize(
    ("plates", "width", "dark"),
    [(5, 1280, False), (5, 360, True), (100, 1280, True), (100, 360, False), (2000, 1280, False)],
)
def test_a_page_is_silent_quick_and_accessible(
    plates: int, width: int, dark: bool, opened: Open, tmp_path: Path
) -> None:
    path = written(plates, tmp_path)
    seconds = min(opened(path, width=width, dark=dark).seconds for _ in range(2))
    page = opened(path, width=width, dark=dark)
    assert page.requests == [path.as_uri()]
    assert page.value("document.documentElement.scrollWidth <= innerWidth")
    # The rules take minutes for thousands of rows, which are all alike.
    assert plates > 100 or page.violations() == []
    milliseconds = page.value(SORT)
    first = page.value("document.querySelector('#plates tbody tr:not(:has(td:nth-child(5):empty)) th').innerText")
    assert first != DEAD, "the plate with the most cells comes first"
    page.value("document.querySelector('#maps canvas').scrollIntoView()")
    page.value("new Promise((done) => setTimeout(done, 200))")
    pixel = "[...document.querySelector('#maps canvas').getContext('2d').getImageData(0, 0, 1, 1).data].join()"
    assert page.value(pixel) == "68,1,84,255", "the first map is that of the dead plate, in the first colour"
    assert page.messages == []
    assert min(seconds, page.seconds) < 2
    assert milliseconds < 500


SORT = """
(() => {
  const start = performance.now();
  return new Promise((done) => {
    addEventListener("hashchange", () => requestAnimationFrame(() => done(performance.now() - start)), { once: true });
    document.querySelector("th[data-name=median_cells] button").click();
  });
})()
"""
