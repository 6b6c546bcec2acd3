"""What became of each plate: the end of its job before its report."""

from dataclasses import replace

from cytobatch.batch.aws.client import Job, JobState
from cytobatch.batch.aws.outcomes import PlateEnd, PlateOutcome, outcomes_line, plate_outcomes
from cytobatch.report.summary import PlateRow, PlateState

JOB = Job.of({"jobId": "j", "jobName": "n", "status": "SUCCEEDED"})
FAILED = replace(JOB, state=JobState.FAILED, exit_code=3, reason="Essential container in task exited", attempts=2)


def row(plate: str, state: PlateState = PlateState.DONE, reason: str | None = None) -> PlateRow:
    return PlateRow(plate, state, reason, f"s3://in/{plate}", f"s3://out/{plate}", f"s3://out/{plate}/run-report.json")


def test_a_job_that_failed_counts_before_the_report_of_an_earlier_run() -> None:
    rows = [row("A"), row("B"), row("C"), row("D"), row("E", PlateState.MISSING, "no report is there")]
    ended = {"s3://out/A": JOB, "s3://out/B": FAILED, "s3://out/C": None, "s3://out/E": JOB}
    outcomes = plate_outcomes(rows, ended, {"j": "error: no cells"})
    assert [(one.plate, one.end, one.exit_code) for one in outcomes] == [
        ("A", PlateEnd.DONE, 0),
        ("B", PlateEnd.FAILED, 3),
        ("C", PlateEnd.NOT_ENDED, None),
        ("D", PlateEnd.DONE_BEFORE, None),
        ("E", PlateEnd.FAILED, None),
    ]
    assert (
        outcomes[1].reason
        == "exit code 3 (input data); Essential container in task exited; after 2 attempts; error: no cells"
    )
    assert outcomes[4].reason == "the job has succeeded, but the report is missing: no report is there"
    assert [one.is_bad for one in outcomes] == [False, True, True, False, True]


def test_the_line_names_the_first_plates_that_are_not_done() -> None:
    bad = [PlateOutcome(f"P{number}", PlateEnd.FAILED, "r", 3, "why") for number in range(7)]
    good = [PlateOutcome("P8", PlateEnd.DONE, "r", 0)]
    assert outcomes_line(good) == "1 plate: 1 done"
    assert outcomes_line([*bad[:1], *good]) == "2 plates: 1 failed, 1 done; P0: why"
    assert outcomes_line(bad).endswith("; P4: why; and 2 more")
