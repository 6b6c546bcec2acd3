"""The page of a batch: its content and links, and that names of plates cannot inject anything."""

import base64
import hashlib
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import pytest

from cytobatch.batch.collect import gather, plate_row, publish
from cytobatch.config.options import PlateJob
from cytobatch.report.batch_page import duration
from cytobatch.report.batch_table import BatchTable
from cytobatch.report.charts import HEIGHT, WIDTH, bar_chart
from cytobatch.report.model import LedgerEntry, Outcome, ReportWarning, RunReport
from cytobatch.report.relative_links import relative_link
from cytobatch.storage.access import Access
from cytobatch.storage.report_files import StoredReport
from tests.support.batches import HOSTILE, converted, job_of, report_of, with_report

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
_VOID = {"meta", "link", "input", "br"}


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    text: str = ""
    inside: list["Element"] = field(default_factory=list)

    def all(self, tag: str) -> list["Element"]:
        """Every element of a kind within this one."""
        return [found for child in self.inside for found in ([child] if child.tag == tag else []) + child.all(tag)]

    @property
    def words(self) -> str:
        """The visible text, runs of blanks as one."""
        return " ".join(self.text.split())


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open = [Element("", {})]

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].inside.append(element)
        if tag not in _VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.open[-1].inside.append(Element(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        for element in self.open:
            element.text += data


def parsed(path: Path) -> Element:
    parser = _Parser()
    parser.feed(path.read_text(encoding="utf-8"))
    assert len(parser.open) == 1, "an element is not closed"
    return parser.open[0]


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
        ("P10", "done", "9", "0", "3"),
        ("P9", "done", "9", "1", "3"),
        ("P8", "missing", "", "", ""),
        ("P7", "unreadable", "", "", ""),
    ]
    figures = {item.all("dt")[0].words: item.all("dd")[0].words for item in page.all("dl")[0].inside}
    assert figures["Plates done"] == "2 of 4"
    assert figures["Profile rows"] == "18 9 a plate"
    assert figures["Failed exports"] == "1 of 7"
    assert figures["Wells"] == "2 6 sites"
    assert [item.words for item in page.all("ul")[0].all("li")] == ["2 done", "1 missing", "1 unreadable"]


def test_headers_have_a_scope_and_charts_a_name(mixed: list[PlateJob], tmp_path: Path) -> None:
    page = page_of(gather(mixed), tmp_path / "out")
    assert {head.attributes["scope"] for head in page.all("thead")[0].all("th")} == {"col"}
    assert {head.attributes["scope"] for head in page.all("tbody")[0].all("th")} == {"row"}
    assert [chart.attributes["aria-label"] for chart in page.all("svg")] == [
        "Profile rows per plate, at most 9",
        "Failed exports per plate, at most 1",
    ]
    assert [title.words for title in page.all("svg")[0].all("title")] == [
        "P10: 9",
        "P9: 9",
        "P8: missing",
        "P7: unreadable",
    ]


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


def test_links_lead_to_the_reports(mixed: list[PlateJob], tmp_path: Path) -> None:
    page = page_of(gather(mixed), tmp_path / "out")
    links = {link.words: link.attributes["href"] for link in page.all("table")[0].all("a")}
    assert links == {name: f"{name}/run-report.json" for name in ("P10", "P9", "P7")}
    for href in ("batch.parquet", "batch.csv", *links.values()):
        assert (tmp_path / "out" / href).is_file()


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    jobs = [converted(tmp_path, HOSTILE, broken=1), job_of(tmp_path, f'"><img src=x onerror=alert(1)>{HOSTILE}')]
    page = page_of(gather(jobs), tmp_path / "page")
    assert [row[0] for row in table_rows(page)] == [job.plate for job in jobs]
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
    assert page.all("svg")[0].all("title")[0].words.startswith(HOSTILE)


def test_only_the_pages_own_script_may_run(tmp_path: Path) -> None:
    page = page_of(gather([job_of(tmp_path, "P1")]), tmp_path / "page")
    (policy,) = [meta.attributes["content"] for meta in page.all("meta") if "http-equiv" in meta.attributes]
    digest = base64.b64encode(hashlib.sha256(page.all("script")[0].text.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}';" in policy
    assert policy.startswith("default-src 'none';")


def test_problems_have_the_ledgers_reasons(mixed: list[PlateJob], tmp_path: Path) -> None:
    page = page_of(gather(mixed), tmp_path / "out")
    articles = {article.all("h3")[0].words: article.words for article in page.all("article")}
    assert list(articles)[:3] == ["P9 done", "P8 missing", "P7 unreadable"]
    report = RunReport.model_validate_json(report_of(mixed[1]).read_bytes())
    (failed,) = [entry for entry in report.ledger if entry.outcome is Outcome.FAILED]
    assert failed.reason
    assert failed.reason in articles["P9 done"]
    assert failed.path in articles["P9 done"]
    assert "1 of 4 exports failed; 3 valid files were left out with them." in articles["P9 done"]
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


def in_browser(page: str, profile: Path) -> tuple[str, str]:
    """The DOM of a page after its script has run in Chromium, and Chromium's log."""
    command = [
        str(CHROMIUM),
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--no-first-run",
        f"--user-data-dir={profile}",
        "--enable-logging=stderr",
        "--virtual-time-budget=2000",
        "--dump-dom",
        page,
    ]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return answer.stdout, answer.stderr


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is on this machine")
@pytest.mark.parametrize(
    ("address", "order", "sort"),
    [
        ("", ["P10", "P9", "P8", "P7", HOSTILE], None),
        ("#sort=plate", [HOSTILE, "P7", "P8", "P9", "P10"], ("plate", "ascending")),
        ("#sort=sites", [HOSTILE, "P10", "P9", "P8", "P7"], ("sites", "ascending")),
        ("#sort=-exports", ["P9", "P10", HOSTILE, "P8", "P7"], ("exports", "descending")),
        ("#sort=nonsense", ["P10", "P9", "P8", "P7", HOSTILE], None),
    ],
)
def test_the_table_sorts_in_a_browser_without_an_error(
    address: str, order: list[str], sort: tuple[str, str] | None, mixed: list[PlateJob], tmp_path: Path
) -> None:
    publish(gather([*mixed, converted(tmp_path, HOSTILE)]), str(tmp_path / "page"), Access())
    dom, log = in_browser(f"{(tmp_path / 'page' / 'index.html').as_uri()}{address}", tmp_path / "profile")
    assert "CONSOLE" not in log
    (tmp_path / "dom.html").write_text(dom, encoding="utf-8")
    page = parsed(tmp_path / "dom.html")
    assert [row[0] for row in table_rows(page)] == order
    heads = page.all("thead")[0].all("th")
    sorted_by = [
        (head.attributes["data-name"], head.attributes["aria-sort"]) for head in heads if "aria-sort" in head.attributes
    ]
    assert sorted_by == ([sort] if sort else [])
    assert len(page.all("thead")[0].all("button")) == len(heads)
    assert "hidden" not in next(e for e in page.all("div") if e.attributes.get("id") == "filters").attributes


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is on this machine")
def test_a_script_that_is_not_the_pages_own_does_not_run_in_a_browser(tmp_path: Path) -> None:
    publish(gather([job_of(tmp_path, "P1")]), str(tmp_path / "page"), Access())
    path = tmp_path / "page" / "index.html"
    path.write_text(path.read_text().replace("</body>", "<script>document.title = 'run'</script></body>"))
    dom, log = in_browser(path.as_uri(), tmp_path / "profile")
    assert "<title>run" not in dom
    assert "Content Security Policy" in log
