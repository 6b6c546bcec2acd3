"""What `cytobatch run` shows of its plates while they are converted, and the exit code that follows from them."""

import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import islice
from types import TracebackType
from typing import Self

from cytobatch.batch.log_event import EventName, Figures, LogEvent
from cytobatch.batch.plate_events import NoticeKind, PlateEvent, PlateNotice
from cytobatch.cli.logs import log, show_error
from cytobatch.cli.printing.report import report_lines, timing_line
from cytobatch.cli.run_progress import RunProgress
from cytobatch.config.log_format import LogLevel
from cytobatch.config.options import PlateJob
from cytobatch.config.plural import count, plural
from cytobatch.errors import CytobatchError, ExitCode, gravity
from cytobatch.pipeline.progress import PlateProgress
from cytobatch.pipeline.steps import StepStarted
from cytobatch.report.lines import counts_line
from cytobatch.report.model import LedgerEntry, RunReport, first_failures

_FAILED_NAMED = 10


class PlateResults:
    """The plates of one run. A context manager; several threads may use it at once.

    Attributes
    ----------
    warned
        The warnings that were announced.
    """

    def __init__(self, plates: Sequence[str], *, debug: bool) -> None:
        self.warned: set[str] = set()
        self._plates, self._debug = len(plates), debug
        self._failed: list[CytobatchError] = []
        self._began = datetime.now(UTC)
        self._clock = time.monotonic()
        self._progress = RunProgress(plates)
        self._lock = threading.RLock()

    def __enter__(self) -> Self:
        if self._plates > 1:
            figures = Figures(plates=self._plates)
            log(LogEvent(event=EventName.RUN_STARTED, message=plural(self._plates, "plate"), figures=figures), [])
        self._progress.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def on_event(self, event: PlateEvent) -> None:
        """Show what a plate announces."""
        with self._lock:
            match event:
                case StepStarted():
                    self._on_step(event)
                case PlateProgress():
                    self._progress.progress(event)
                case PlateNotice():
                    self._on_notice(event)

    def _on_step(self, event: StepStarted) -> None:
        self._progress.step(event)
        # A bar shows the step.
        level = LogLevel.INFO if self._progress.bars is None else LogLevel.DEBUG
        step = event.step
        log(LogEvent(level=level, event=EventName.STEP_STARTED, plate=event.plate, step=step, message=step.value))

    def _on_notice(self, notice: PlateNotice) -> None:
        """Log a notice. A warning is logged once, because all plates may have it."""
        if notice.kind is NoticeKind.INFO:
            log(LogEvent(event=EventName.NOTICE, plate=notice.plate, message=notice.text))
        elif notice.text not in self.warned:
            self.warned.add(notice.text)
            event = LogEvent(level=LogLevel.WARNING, event=EventName.WARNING, plate=notice.plate, message=notice.text)
            log(event, [f"{notice.plate}: warning: {notice.text}"])

    def on_end(self, job: PlateJob, outcome: RunReport | CytobatchError) -> None:
        """Show the report or the error of a plate."""
        with self._lock:
            if isinstance(outcome, CytobatchError):
                self._failed.append(outcome)
                self._progress.end(job.label, failed=True)
                show_error(outcome, debug=self._debug, plate=job.label, is_named=self._plates > 1)
                return
            left_alone = outcome.finished < self._began
            self._progress.end(job.label, failed=False, left_alone=left_alone)
            if left_alone:
                text = f"done already at {outcome.finished:%Y-%m-%d %H:%M} UTC, left alone"
                self._on_notice(PlateNotice(job.label, text))
            self._show_report(outcome, EventName.PLATE_LEFT_ALONE if left_alone else EventName.PLATE_DONE)

    def _show_report(self, report: RunReport, name: EventName) -> None:
        log(_report_event(report, name), list(report_lines(report, self.warned)))
        for entry in islice(first_failures(report.ledger).values(), _FAILED_NAMED):
            # A log of text has them in the lines of the report.
            log(_entry_event(report.plate, EventName.EXPORT_FAILED, LogLevel.WARNING, entry, ""), [])
        for entry in report.ledger:
            event = _entry_event(report.plate, EventName.EXPORT, LogLevel.DEBUG, entry, f"{entry.outcome.value} ")
            log(event, [f"  {event.message}" + ("" if entry.rows is None else f": {plural(entry.rows, 'row')}")])
        log(LogEvent(level=LogLevel.DEBUG, event=EventName.NOTICE, plate=report.plate, message=timing_line(report)))

    def finish(self) -> int:
        """Show how many plates failed, and return the exit code: that of the gravest error."""
        failed = len(self._failed)
        plates = plural(self._plates, "plate")
        text = f"{count(failed)} of {plates} failed" if failed else f"{plates} done"
        figures = self._progress.figures().model_copy(update={"seconds": round(time.monotonic() - self._clock, 3)})
        level = LogLevel.ERROR if failed and self._plates > 1 else LogLevel.INFO
        event = LogEvent(level=level, event=EventName.RUN_ENDED, message=text, figures=figures)
        log(event, [text] if failed and self._plates > 1 else [])
        return max(self._failed, key=gravity).exit_code if self._failed else ExitCode.OK


def _entry_event(plate: str, name: EventName, level: LogLevel, entry: LedgerEntry, outcome: str) -> LogEvent:
    """Return the event of a table or file of a plate."""
    reason = f": {entry.reason}" if entry.reason else ""
    text = f"{outcome}{entry.path} ({entry.table or 'file'}){reason}"
    return LogEvent(level=level, event=name, plate=plate, message=text, figures=Figures(rows=entry.rows))


def _report_event(report: RunReport, name: EventName) -> LogEvent:
    counts = report.counts
    return LogEvent(
        event=name,
        plate=report.plate,
        message=counts_line(report),
        report=report.report,
        figures=Figures(
            exports=counts.exports,
            failed_exports=counts.failed_exports,
            rows=counts.rows,
            columns=counts.columns,
            wells=counts.wells,
            sites=counts.sites,
            warnings=len(report.warnings),
            seconds=round((report.finished - report.started).total_seconds(), 3),
        ),
    )
