"""How far the plates of a run are: as bars on a terminal, else as a line every ten seconds at most."""

import time
from collections.abc import Sequence

from cytobatch.batch.log_event import EventName, Figures, LogEvent
from cytobatch.cli.live import Bars, PlateRow, PlatesRow, is_terminal
from cytobatch.cli.log_options import log_options
from cytobatch.cli.logs import event_handler, log
from cytobatch.cli.printing.progress import plates_parts
from cytobatch.config.log_format import LogFormat, LogLevel
from cytobatch.pipeline.progress import PlateProgress
from cytobatch.pipeline.progress_text import progress_parts
from cytobatch.pipeline.steps import PlateStep, StepStarted
from cytobatch.pipeline.time_left import TimeLeft

_SECONDS = 10.0
"""The shortest time between two lines of a plate's progress."""
_STARTING = "starting"


class RunProgress:
    """The plates of a run at work. A context manager; one thread at a time may use it."""

    def __init__(self, plates: Sequence[str]) -> None:
        self._rows: dict[str, PlateRow] = {}
        self._all = PlatesRow(len(plates), TimeLeft())
        self._left_alone = 0
        self._logged: dict[str, float] = {}
        options = log_options()
        has_bars = options.format is LogFormat.TEXT and options.level is not LogLevel.ERROR and is_terminal()
        self.bars = Bars(plates) if has_bars else None
        self._only = plates[0] if len(plates) == 1 else None

    def start(self) -> None:
        """Show the bars, if there are any."""
        if self.bars is None:
            return
        event_handler().above = self.bars.erased
        if self._only is None:
            self.bars.show_plates(self._all)
        else:
            self.bars.show_plate(PlateRow(self._only, _STARTING, TimeLeft()))
        self.bars.start()

    def stop(self) -> None:
        """Erase the bars."""
        if self.bars is not None:
            self.bars.stop()

    def step(self, event: StepStarted) -> None:
        """Show that a plate begins a step."""
        if event.step is PlateStep.PLAN or event.plate in self._rows:
            self._show(PlateRow(event.plate, event.step.value, TimeLeft()))
            if self.bars is not None:
                self.bars.refresh()
        self._logged[event.plate] = time.monotonic()

    def progress(self, event: PlateProgress) -> None:
        """Show how far a plate is. What comes after its end is dropped: processes send it on its own way."""
        row = self._rows.get(event.plate)
        if row is None:
            return
        row.clock.update(event.fraction)
        row.progress = event
        self._show(row)
        self._update_all()
        if self.bars is None and self._is_due(event.plate):
            log(_progress_event(event, row.clock))

    def end(self, plate: str, *, failed: bool, left_alone: bool = False) -> None:
        """Show that a plate has ended."""
        self._rows.pop(plate, None)
        self._all.failed += failed
        self._all.done += not failed
        self._left_alone += left_alone
        self._update_all()
        if self.bars is not None:
            self.bars.remove_plate(plate)
        elif self._only is None and self._is_due(""):
            log(self._plates_event())

    def figures(self) -> Figures:
        """Return how many plates of the run have ended."""
        return Figures(plates=self._all.plates, plates_done=self._all.done, plates_failed=self._all.failed)

    def _show(self, row: PlateRow) -> None:
        self._rows[row.name] = row
        if self.bars is not None:
            self.bars.show_plate(row)

    def _update_all(self) -> None:
        """Estimate the time of all plates from those that were converted, and the parts of those at work."""
        begun = sum(row.progress.fraction for row in self._rows.values() if row.progress is not None)
        converted = self._all.done + self._all.failed - self._left_alone
        wanted = max(1, self._all.plates - self._left_alone)
        self._all.clock.advance((converted + begun) / wanted)
        if self.bars is not None and self._only is None:
            self.bars.show_plates(self._all)

    def _is_due(self, name: str) -> bool:
        now = time.monotonic()
        if now - self._logged.setdefault(name, now) < _SECONDS:
            return False
        self._logged[name] = now
        return True

    def _plates_event(self) -> LogEvent:
        left = self._all.clock.seconds()
        parts = plates_parts(self._all.done, self._all.failed, self._all.plates, left)
        figures = self.figures().model_copy(update={"seconds_left": left and round(left, 1)})
        return LogEvent(event=EventName.RUN_PROGRESS, message=", ".join(parts), figures=figures)


def _progress_event(progress: PlateProgress, clock: TimeLeft) -> LogEvent:
    left = clock.seconds()
    return LogEvent(
        event=EventName.PROGRESS,
        plate=progress.plate,
        step=progress.step,
        message=f"{progress.step.value}: {', '.join(progress_parts(progress, left))}",
        figures=Figures(
            bytes_done=progress.bytes_done,
            bytes=progress.bytes,
            exports_done=progress.exports_done,
            exports=progress.exports,
            rows=progress.rows,
            seconds=round(clock.elapsed, 1),
            seconds_left=left if left is None else round(left, 1),
        ),
    )
