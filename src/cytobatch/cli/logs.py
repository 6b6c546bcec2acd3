"""The log of a command: the logger `cytobatch` of Python's logging, with a handler that writes text or JSON.

Results are written to standard output, everything else to standard error. Nothing below `cli` has a handler.
"""

import logging
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

from cytobatch.batch.log_event import ERROR_PREFIX, EventName, Figures, LogEvent
from cytobatch.cli.console import err, out
from cytobatch.cli.log_options import LogOptions, log_options
from cytobatch.config.log_format import LogFormat, LogLevel
from cytobatch.errors import CytobatchError, ExitCode, printable

LOGGER = logging.getLogger("cytobatch")
_LEVELS = {
    LogLevel.DEBUG: logging.DEBUG,
    LogLevel.INFO: logging.INFO,
    LogLevel.WARNING: logging.WARNING,
    LogLevel.ERROR: logging.ERROR,
}
_STYLES = {logging.DEBUG: "dim", logging.INFO: "dim", logging.WARNING: "yellow", logging.ERROR: "red"}
_RESULTS = (EventName.PLATE_DONE, EventName.PLATE_LEFT_ALONE, EventName.EXPORT, EventName.EXPORT_FAILED)
_EVENT, _LINES = "cytobatch_event", "cytobatch_lines"


class EventHandler(logging.Handler):
    """Writes events. `above` is entered while text is written, such as by bars that must not be written across."""

    def __init__(self, options: LogOptions) -> None:
        super().__init__()
        self.options = options
        self.above: Callable[[], AbstractContextManager[object]] = nullcontext

    def emit(self, record: logging.LogRecord) -> None:
        """Write one event."""
        event: LogEvent = vars(record)[_EVENT]
        if self.options.format is LogFormat.JSON:
            stream = sys.stdout if event.event in _RESULTS else sys.stderr
            stream.write(f"{event.line()}\n")
            stream.flush()
            return
        is_result = event.event in _RESULTS
        with self.above():
            for line in vars(record)[_LINES]:
                (out if is_result else err).print(line, style=None if is_result else _STYLES[record.levelno])


def event_handler() -> EventHandler:
    """Return the logger's one handler. It is made at the first event, and again for another command line."""
    options = log_options()
    first = LOGGER.handlers[0] if LOGGER.handlers else None
    if isinstance(first, EventHandler) and first.options == options:
        return first
    handler = EventHandler(options)
    LOGGER.handlers = [handler]
    LOGGER.setLevel(_LEVELS[options.level])
    # Prefect has handlers of its own on the root.
    LOGGER.propagate = False
    return handler


def log(event: LogEvent, lines: Sequence[str] | None = None) -> None:
    """Log an event. A log of text has the lines in its place, by default the message with the plate before it."""
    event_handler()
    if LOGGER.isEnabledFor(_LEVELS[event.level]):
        plate = f"{event.plate}: " if event.plate else ""
        shown = [f"{plate}{event.message}"] if lines is None else lines
        LOGGER.log(_LEVELS[event.level], "%s", event.message, extra={_EVENT: event, _LINES: shown})


def show_interruption() -> None:
    """Log that a signal has ended the command."""
    figures = Figures(exit_code=ExitCode.INTERRUPTED)
    log(LogEvent(level=LogLevel.ERROR, event=EventName.ERROR, message="interrupted", figures=figures))


def show_error(error: CytobatchError, *, debug: bool, plate: str | None = None, is_named: bool = False) -> None:
    """Log an error as one message, and its traceback if debugging. `plate` is the one that failed.

    Text names it if `is_named`, because there are others.
    """
    text, trace = str(error), ""
    if debug:
        trace = "".join(traceback.format_exception(error)).rstrip()
    named = f"{printable(plate or '')}: " if is_named else ""
    event = LogEvent(
        level=LogLevel.ERROR,
        event=EventName.PLATE_FAILED if plate else EventName.ERROR,
        plate=plate,
        message=f"{trace}\n{text}" if trace else text,
        figures=Figures(exit_code=error.exit_code),
    )
    log(event, [*(trace.split("\n") if trace else ()), *f"{ERROR_PREFIX}{named}{text}".split("\n")])
