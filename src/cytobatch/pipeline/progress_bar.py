"""The bar that `convert(progress=True)` shows: in a notebook, on a terminal, or as lines elsewhere.

It is the only part of the package outside `cli` that shows something by itself, and does so only if the caller asks for
it. rich's bars need a widget in notebooks, so that the bar there is an element of HTML, which needs no script.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape
from importlib import import_module
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from cytobatch.errors import brief, printable
from cytobatch.pipeline.progress import PlateEvent, PlateListener, PlateProgress
from cytobatch.pipeline.progress_text import progress_parts
from cytobatch.pipeline.steps import PlateStep
from cytobatch.pipeline.time_left import TimeLeft
from cytobatch.report.numbers import duration

_AFTER_CONVERT = (PlateStep.PUBLISH, PlateStep.REPORT)

Show = Callable[[str, float, str], None]
"""Shows a plate, the part that is done from 0.0 to 1.0, and what is done in words."""


class ProgressBar:
    """Follows the conversion of one plate, and shows how far it is."""

    def __init__(self, plate: str, show: Show, clock: Callable[[], float] = time.monotonic) -> None:
        self._plate, self._show, self._clock = plate, show, clock
        self._began = clock()
        self._left = TimeLeft(clock)
        self._step: PlateStep | None = None
        self._fraction = 0.0

    def __call__(self, event: PlateEvent) -> None:
        """Show an event."""
        if isinstance(event, PlateProgress):
            self._fraction = event.fraction
            self._left.update(event.fraction)
            words = ", ".join(progress_parts(event, self._left.seconds()))
            self._show(self._plate, event.fraction, f"{event.step}: {words}")
            return
        self._step, self._left = event.step, TimeLeft(self._clock)
        self._fraction = 1.0 if event.step in _AFTER_CONVERT else 0.0
        self._show(self._plate, self._fraction, event.step.value)

    def end(self, *, failed: bool) -> None:
        """Show that the conversion has ended."""
        took = duration(self._clock() - self._began)
        words = f"failed in step {self._step or 'start'} after {took}" if failed else f"done in {took}"
        self._show(self._plate, self._fraction if failed else 1.0, words)


@contextmanager
def shown_progress(plate: str) -> Iterator[PlateListener]:
    """Show the progress of a plate where the caller's person looks: in a notebook, or on standard error."""
    display = _notebook_display()
    console = Console(stderr=True)
    if display is None and console.is_terminal:
        with _terminal_bar(console, plate) as show, _followed(ProgressBar(plate, show)) as bar:
            yield bar
        return
    with _followed(ProgressBar(plate, _in_lines(console) if display is None else _in_notebook(display))) as bar:
        yield bar


@contextmanager
def _terminal_bar(console: Console, plate: str) -> Iterator[Show]:
    words_column = TextColumn("{task.fields[words]}", markup=False)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), words_column)
    # What the caller's own code prints is the caller's.
    with Progress(*columns, console=console, redirect_stdout=False, redirect_stderr=False) as progress:
        task = progress.add_task(printable(plate), total=1.0, words="")

        def show(_plate: str, fraction: float, words: str) -> None:
            progress.update(task, completed=fraction, words=words)

        yield show


@contextmanager
def _followed(bar: ProgressBar) -> Iterator[ProgressBar]:
    try:
        yield bar
    except BaseException:
        bar.end(failed=True)
        raise
    bar.end(failed=False)


def _notebook_display() -> Any:
    """Return IPython's module for displays if the process is a notebook's kernel, else None."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return import_module("IPython.display") if getattr(shell, "kernel", None) is not None else None


def _in_notebook(display: Any) -> Show:
    handle: Any = None

    def show(plate: str, fraction: float, words: str) -> None:
        nonlocal handle
        html = display.HTML(_bar_html(plate, fraction, words))
        if handle is None:
            handle = display.display(html, display_id=True)
        else:
            handle.update(html)

    return show


def _bar_html(plate: str, fraction: float, words: str) -> str:
    name = escape(brief(plate))
    bar = f'<progress aria-label="{name}" max="1" value="{fraction:.3f}" style="width:16em"></progress>'
    return f"<div>{name} {bar} {escape(words)}</div>"


def _in_lines(console: Console) -> Show:
    """Return what prints a line when something other than a number has changed."""
    last = ""

    def show(plate: str, _fraction: float, words: str) -> None:
        nonlocal last
        what = words.partition(":")[0]
        if what != last:
            last = what
            console.print(f"{printable(plate)}: {what}", markup=False, highlight=False, soft_wrap=True)

    return show
