"""Prefect for the length of one run: its settings, and its server if the user has none. It starts when needed."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

from cytobatch.batch.flows.bookkeeping import (
    Contained,
    Patience,
    Record,
    convert_recorded,
    convert_unrecorded,
    in_words,
    no_record,
)
from cytobatch.batch.flows.settings import prefect_settings
from cytobatch.batch.flows.start import start_prefect
from cytobatch.batch.plate_events import EventListener, NoticeKind, PlateNotice
from cytobatch.config.options import PlateJob
from cytobatch.config.orchestrator import Orchestrator
from cytobatch.engine.gc_tuning import gc_frozen
from cytobatch.report.model import RunReport

PlateConverter = Callable[[PlateJob, EventListener], RunReport]
"""Converts a plate, and calls a function with what it announces."""
RecordOpener = Callable[[PlateJob], Record]

_STOP_SECONDS = 1.0
"""The least time for the last events and logs of a run, also if the wait for the server is used up."""


@contextmanager
def prefect_session(*, debug: bool) -> Iterator[PlateConverter]:
    """Yield the function that converts a plate, and records it as a flow run if its job wants that.

    Prefect starts with the first plate that it records, so that a plate that is done already costs nothing of it. A
    process can open one session after another. Whatever Prefect does, the function returns the plate's report or raises
    the plate's error.
    """
    session = _Session(debug=debug)
    try:
        yield session.convert
    finally:
        session.close()


class _Session:
    """The plates of one run, and Prefect as far as it has started."""

    def __init__(self, *, debug: bool) -> None:
        self._debug = debug
        self._prefect = ExitStack()
        self._patience = Patience()
        self._open: RecordOpener | None = None
        self._wait = 0.0
        self._warn: Callable[[str], None] = lambda _: None

    def convert(self, job: PlateJob, on_event: EventListener) -> RunReport:
        """Convert a plate."""
        if job.orchestrator is Orchestrator.NONE:
            return convert_unrecorded(job, on_event)
        self._wait = job.prefect_wait
        self._warn = lambda text: on_event(PlateNotice(job.label, text, NoticeKind.WARNING))
        return convert_recorded(job, on_event, lambda: self._record(job), self._patience)

    def _record(self, job: PlateJob) -> Record:
        if self._open is None:
            with Contained(Exception) as prefect:
                self._open = self._start()
            if self._open is None:
                # It would fail in the same way for the next plate, and its imports take a second.
                failed = no_record(f"it does not start ({in_words(prefect.error)})")
                self._open = lambda _: failed
        return self._open(job)

    def _start(self) -> RecordOpener:
        """Start Prefect, and return the function that opens a plate's record."""
        server = self._prefect.enter_context(prefect_settings(debug=self._debug))
        close_services = start_prefect(self._prefect, server, debug=self._debug)
        if close_services is not None:
            self._prefect.callback(self._finish, close_services)
        with gc_frozen():
            from cytobatch.batch.flows.plate import open_record
        return partial(open_record, kept=server is None)

    def _finish(self, close_services: Callable[[float], bool]) -> None:
        """Send the last events and logs. Warn if they are not sent in time, unless there was a warning before."""
        failed = bool(self._patience.announced)
        limit = self._patience.spent + _STOP_SECONDS
        sent = self._patience.wait(limit if failed else max(limit, self._wait), close_services)
        if not (failed or sent):
            self._warn("Prefect has no record of some steps: its server took too long for events and logs")

    def close(self) -> None:
        """End Prefect as far as it has started. What that raises concerns no plate."""
        with Contained(Exception):
            self._prefect.close()
