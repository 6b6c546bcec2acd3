"""What Prefect shows beside a run: keys, tables and pages of any report, without a server."""

import re
from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from cytobatch.batch.flows.artifacts import failed_rows, markdown_of, payload_of, resource_of, slug
from cytobatch.report.model import (
    Counts,
    LedgerEntry,
    Outcome,
    OutputFile,
    ReportWarning,
    RunLimits,
    RunReport,
)
from tests.support.examples import examples

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def report_of(plate: str, path: str, warning: str, entries: list[LedgerEntry]) -> RunReport:
    return RunReport(
        cytobatch_version="1",
        plate=plate,
        source=path,
        destination=path,
        report=f"{path}/run-report.json",
        preset="auto",
        layout="csv",
        joins=[],
        started=NOW,
        finished=NOW,
        seconds={"plan": 1.25},
        peak_memory_bytes=1,
        limits=RunLimits(workers=1, memory_bytes=1),
        counts=Counts(
            exports=2,
            failed_exports=1,
            objects={},
            rows=3,
            rows_dropped_as_null=0,
            columns=4,
            plates=1,
            wells=1,
            sites=1,
        ),
        outputs=[OutputFile(path=f"{path}/single_cells.parquet", rows=3, columns=4, bytes=1234, sha256="")],
        warnings=[ReportWarning(what=warning)],
        schema_differences=[],
        repairs=[],
        odd_values=[],
        ledger=entries,
    )


@settings(max_examples=examples(100))
@given(st.text())
def test_every_plate_has_a_key_that_prefect_takes(name: str) -> None:
    assert re.fullmatch("[a-z0-9-]+", slug(name))


def test_a_key_shows_the_plates_name() -> None:
    assert slug("BR00117010__2021-04-24T16_06") == "br00117010-2021-04-24t16-06"


@settings(max_examples=examples(100))
@given(st.text(min_size=1), st.text(min_size=1), st.text())
def test_no_text_of_a_report_breaks_the_tables_of_its_page(plate: str, path: str, warning: str) -> None:
    page = markdown_of(report_of(plate, path, warning, []))
    rows = [line for line in page.split("\n") if line.startswith("|")]
    assert [row.count("|") for row in rows] == [3] * 9 + [4] * 3 + [3] * 3


def test_the_table_has_the_inputs_that_failed_and_those_left_out_with_them() -> None:
    entries = [
        LedgerEntry(path=f"{outcome}.csv", outcome=outcome, table="cells", reason="why" if "l" in outcome else None)
        for outcome in Outcome
    ]
    rows = failed_rows(entries)
    assert [(row["path"], row["outcome"], row["reason"]) for row in rows] == [
        ("failed.csv", "failed", "why"),
        ("left_out.csv", "left_out", "why"),
    ]


def test_the_event_names_the_destination_and_the_report() -> None:
    remote = report_of("P1", "s3://bucket/out/P1", "w", [])
    assert resource_of(remote) == {
        "prefect.resource.id": "s3://bucket/out/P1",
        "prefect.resource.name": "P1",
        "cytobatch.report": "s3://bucket/out/P1/run-report.json",
    }
    assert resource_of(report_of("P1", "/out", "w", []))["prefect.resource.id"] == "file:///out"
    assert payload_of(remote)["outputs"] == ["s3://bucket/out/P1/single_cells.parquet"]


def test_the_page_links_to_the_plates_page() -> None:
    report = report_of("P1", "/out", "w", []).model_copy(update={"page": "s3://bucket/P 1/report.html"})
    assert ", as a page: `s3://bucket/P 1/report.html`" in markdown_of(report)
    assert "as a page" not in markdown_of(report_of("P1", "/out", "w", []))
