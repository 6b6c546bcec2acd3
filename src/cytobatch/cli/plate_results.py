"""What `cytobatch run` prints of its plates while they are converted, and the exit code that follows from them."""

import threading
from datetime import UTC, datetime

from cytobatch.batch.flows.bookkeeping import WARNING
from cytobatch.cli.console import err, out, show_error
from cytobatch.cli.printing.report import print_report
from cytobatch.config.options import PlateJob
from cytobatch.errors import CytobatchError, ExitCode, gravity
from cytobatch.report.model import RunReport


class PlateResults:
    """The plates of one run. Several threads may use it at once.

    Attributes
    ----------
    warned
        The warnings that were announced, without the beginning that marks them.
    """

    def __init__(self, plates: int, *, debug: bool) -> None:
        self.warned: set[str] = set()
        self._plates, self._debug = plates, debug
        self._failed: list[CytobatchError] = []
        self._began = datetime.now(UTC)
        self._lock = threading.RLock()

    def on_step(self, plate: str, step: str) -> None:
        """Announce a step or a warning. A warning is announced once, because all plates may have it."""
        warning = step.removeprefix(WARNING) if step.startswith(WARNING) else None
        with self._lock:
            if warning not in self.warned:
                err.print(f"{plate}: {step}", style="yellow" if warning else "dim")
            if warning is not None:
                self.warned.add(warning)

    def on_end(self, job: PlateJob, outcome: RunReport | CytobatchError) -> None:
        """Print the report or the error of a plate."""
        with self._lock:
            if isinstance(outcome, CytobatchError):
                self._failed.append(outcome)
                show_error(outcome, debug=self._debug, prefix=f"{job.label}: " if self._plates > 1 else "")
                return
            if outcome.finished < self._began:
                self.on_step(job.label, f"done already at {outcome.finished:%Y-%m-%d %H:%M} UTC, left alone")
            print_report(out, outcome, self.warned)

    def finish(self) -> int:
        """Print how many plates failed, and return the exit code: that of the gravest error."""
        if self._failed and self._plates > 1:
            err.print(f"{len(self._failed)} of {self._plates} plates failed", style="red")
        return max(self._failed, key=gravity).exit_code if self._failed else ExitCode.OK
