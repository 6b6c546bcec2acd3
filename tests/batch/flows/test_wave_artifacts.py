"""What Prefect shows of a wave, without a server."""

from hypothesis import given, settings
from hypothesis import strategies as st

from cytobatch.batch.aws.outcomes import PlateEnd, PlateOutcome
from cytobatch.batch.flows.wave import WaveEnd
from cytobatch.batch.flows.wave_artifacts import address, plate_rows, wave_page
from tests.support.examples import examples

GOOD = PlateOutcome("P1", PlateEnd.DONE, "s3://out/P 1/run-report.json", 0)
BAD = PlateOutcome("P2", PlateEnd.FAILED, "s3://out/P2/run-report.json", 3, "exit code 3 (input data)")


def wave(*outcomes: PlateOutcome, endpoint: str | None = None) -> WaveEnd:
    return WaveEnd("BR1", outcomes, ("job-1",), ("s3://jobs/1/overview/index.html",), endpoint)


def test_plates_that_are_not_done_come_first_and_have_no_report() -> None:
    rows = plate_rows([GOOD, BAD], "http://minio:9000")
    assert [list(row.values()) for row in rows] == [
        ["P2", "failed", "3", "", "exit code 3 (input data)"],
        ["P1", "done", "0", "`s3://out/P 1/run-report.json`", ""],
    ]
    assert len(plate_rows([GOOD] * 600, None)) == 500


def test_objects_of_amazons_s3_have_a_page_in_its_console() -> None:
    page = "https://s3.console.aws.amazon.com/s3/object/out?prefix=P%201%2Frun-report.json"
    assert address(GOOD.report, None) == page
    assert address(GOOD.report, "http://minio:9000") == GOOD.report
    assert address("/data/run-report.json", None) == "/data/run-report.json"


def test_the_page_has_the_failed_plates_the_overview_and_the_jobs() -> None:
    page = wave_page(wave(GOOD, BAD))
    assert "2 plates: 1 failed, 1 done" in page
    assert "- **P2**: exit code 3 (input data)" in page
    assert "Overview: [index.html](<https://s3.console" in page
    assert "`cytobatch status job-1`" in page
    assert "not done" not in wave_page(wave(GOOD))


@settings(max_examples=examples(100))
@given(st.text(min_size=1), st.text())
def test_no_text_breaks_the_list_of_failed_plates(plate: str, reason: str) -> None:
    page = wave_page(wave(PlateOutcome(plate, PlateEnd.FAILED, "r", 3, reason)))
    assert len(page.splitlines()) == 11
