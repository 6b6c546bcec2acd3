"""What became of each plate of a submission: the end of its job, and its run report. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from cytobatch.batch.aws.client import Job, JobState
from cytobatch.batch.aws.status import reason_of
from cytobatch.config.plural import plural
from cytobatch.report.summary import PlateRow, PlateState

_FAILURES_NAMED = 5


class PlateEnd(StrEnum):
    """How a plate of a submission has ended."""

    FAILED = "failed"
    NOT_ENDED = "not ended"
    DONE = "done"
    DONE_BEFORE = "done before"
    """It was up to date, and no job was submitted for it."""


_BAD = (PlateEnd.FAILED, PlateEnd.NOT_ENDED)


@dataclass(frozen=True, slots=True)
class PlateOutcome:
    """One plate: how it has ended, the exit code of its job if that has one, the reason, and the URI of its report."""

    plate: str
    end: PlateEnd
    report: str
    exit_code: int | None = None
    reason: str = ""

    @property
    def is_bad(self) -> bool:
        """Whether the plate is not done."""
        return self.end in _BAD


def plate_outcomes(
    rows: Sequence[PlateRow], ended: Mapping[str, Job | None], errors: Mapping[str, str]
) -> list[PlateOutcome]:
    """Return the outcomes of plates, in their order.

    Parameters
    ----------
    rows
        The plates with their run reports.
    ended
        The jobs that have ended, by the destinations of their plates; None for those that have not. A plate that is not
        there was not submitted.
    errors
        The messages of the program, by the ids of jobs.
    """
    return [
        _outcome(row, ended[row.destination], errors) if row.destination in ended else _done_before(row) for row in rows
    ]


def _done_before(row: PlateRow) -> PlateOutcome:
    return PlateOutcome(row.plate, PlateEnd.DONE_BEFORE, row.report, reason=row.reason or "")


def _outcome(row: PlateRow, job: Job | None, errors: Mapping[str, str]) -> PlateOutcome:
    if job is None:
        return PlateOutcome(row.plate, PlateEnd.NOT_ENDED, row.report)
    if job.state is JobState.FAILED:
        reason = "; ".join(part for part in (reason_of(job), errors.get(job.id)) if part)
        return PlateOutcome(row.plate, PlateEnd.FAILED, row.report, job.exit_code, reason)
    if row.state not in (PlateState.DONE, PlateState.LOSSES):
        reason = f"the job has succeeded, but the report is {row.state}: {row.reason}"
        return PlateOutcome(row.plate, PlateEnd.FAILED, row.report, reason=reason)
    return PlateOutcome(row.plate, PlateEnd.DONE, row.report, 0, row.reason or "")


def outcomes_line(outcomes: Sequence[PlateOutcome]) -> str:
    """Return how many plates have ended how, and the first of those that are not done with their reasons."""
    counts = Counter(outcome.end for outcome in outcomes)
    numbers = ", ".join(f"{counts[end]:,} {end}" for end in PlateEnd if counts[end])
    bad = [outcome for outcome in outcomes if outcome.is_bad]
    named = [f"{one.plate}: {one.reason or one.end}" for one in bad[:_FAILURES_NAMED]]
    more = [f"and {len(bad) - len(named)} more"] if len(bad) > len(named) else []
    return "; ".join([f"{plural(len(outcomes), 'plate')}: {numbers}", *named, *more])
