"""Bars on a terminal: one for each plate at work, as many as fit, and one above them for all plates of several.

They are erased when they end, so that what a terminal keeps are the results.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.text import Text

from cytobatch.cli.printing.progress import fitted, plates_parts
from cytobatch.errors import brief
from cytobatch.pipeline.progress import PlateProgress
from cytobatch.pipeline.progress_text import progress_parts
from cytobatch.pipeline.steps import PlateStep
from cytobatch.pipeline.time_left import TimeLeft
from cytobatch.report.numbers import duration

_ALL = "all plates"
_NAME_WIDTH = 24
_STEP_WIDTH = max(len(step.value) for step in PlateStep) + 1
_WIDE = 110
_OTHER_LINES = 6
"""Lines of a terminal that bars of plates leave free."""
_REFRESHES = 4


def is_terminal() -> bool:
    """Return whether standard error is a terminal on which lines can be written again."""
    return sys.stderr.isatty() and not Console(stderr=True).is_dumb_terminal


@dataclass(slots=True)
class PlateRow:
    """A plate at work: its name, the step that it is in, how far that is, and the estimate of the time left."""

    name: str
    step: str
    clock: TimeLeft
    progress: PlateProgress | None = None

    def parts(self) -> list[str]:
        """Return the figures of the line."""
        if self.progress is None:
            return [duration(round(self.clock.elapsed)).replace(".0 s", " s")]
        return progress_parts(self.progress, self.clock.seconds())


@dataclass(slots=True)
class PlatesRow:
    """All plates of the run."""

    plates: int
    clock: TimeLeft
    done: int = 0
    failed: int = 0

    def parts(self) -> list[str]:
        """Return the figures of the line."""
        return plates_parts(self.done, self.failed, self.plates, self.clock.seconds())


class _Figures(ProgressColumn):
    """The figures of a line, which go on with the clock, as far as they fit."""

    max_refresh = None

    def __init__(self, console: Console, used: int) -> None:
        super().__init__()
        self._console, self._used = console, used

    def render(self, task: Task) -> Text:
        """Return the figures of a task."""
        return Text(fitted(task.fields["row"].parts(), self._console.width - self._used), no_wrap=True)


class Bars:
    """The bars of a run. A context manager; several threads may use it at once, one at a time."""

    def __init__(self, plates: Sequence[str]) -> None:
        self._console = Console(stderr=True, highlight=False, emoji=False)
        bar = 20 if self._console.width >= _WIDE else 10
        self._width = min(_NAME_WIDTH, max(map(len, plates if len(plates) == 1 else (*plates, _ALL))))
        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar),
            _Figures(self._console, self._width + _STEP_WIDTH + bar + 2),
            console=self._console,
            refresh_per_second=_REFRESHES,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._tasks: dict[str, TaskID] = {}
        self._all: TaskID | None = None
        self._is_on = False

    def start(self) -> None:
        """Show the bars."""
        self._is_on = True
        self._bars.start()

    def stop(self) -> None:
        """Erase the bars."""
        self._is_on = False
        self._bars.stop()

    @contextmanager
    def erased(self) -> Iterator[None]:
        """Erase the bars while other lines are written."""
        if not self._is_on:
            yield
            return
        self._bars.stop()
        try:
            yield
        finally:
            if self._is_on:
                self._bars.start()

    def show_plates(self, row: PlatesRow) -> None:
        """Show how many plates have ended."""
        if self._all is None:
            self._all = self._bars.add_task(self._text(_ALL, ""), total=row.plates, row=row)
        self._bars.update(self._all, completed=row.done + row.failed)

    def show_plate(self, row: PlateRow) -> None:
        """Show a plate at work. Its bar moves with its progress; before and after, it shows that the plate is alive."""
        total, done = (None, 0) if row.progress is None else (1.0, row.progress.fraction)
        if row.name not in self._tasks:
            self._tasks[row.name] = self._bars.add_task("", total=total, row=row, visible=self._has_room())
        text = self._text(row.name, row.step)
        self._bars.update(self._tasks[row.name], description=text, total=total, completed=done, row=row)
        if total is None:
            # `update` leaves a total as it was if it gets None.
            self._bars.tasks[self._bars.task_ids.index(self._tasks[row.name])].total = None

    def refresh(self) -> None:
        """Write the bars now, so that short steps are seen, too."""
        self._bars.refresh()

    def remove_plate(self, name: str) -> None:
        """Remove the bar of a plate that has ended, and show one that had no room."""
        if (task := self._tasks.pop(name, None)) is not None:
            self._bars.remove_task(task)
        hidden = next((task.id for task in self._bars.tasks if not task.visible), None)
        if hidden is not None and self._has_room():
            self._bars.update(hidden, visible=True)

    def _has_room(self) -> bool:
        shown = sum(task.visible for task in self._bars.tasks)
        return shown < max(2, self._console.height - _OTHER_LINES)

    def _text(self, name: str, step: str) -> str:
        shown = brief(name)
        cut = shown if len(shown) <= self._width else f"{shown[: self._width - 1]}…"
        return f"{cut:<{self._width}} {step:<{_STEP_WIDTH - 1}}"
