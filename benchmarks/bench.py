"""Measures conversions against floors taken in the same run, and shows which figures reach their bounds.

Each piece of work runs as a process of its own, in turn with the pieces that it is compared to, so that a machine that
is slower for a while is slower for all of them; medians are shown. The exit code is 1 if a bound was missed or a
profile differs from a plain reference.
"""

import os
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter
from rich.console import Console

from cases import CASES, Case
from measure import PieceFailedError
from plates import Scale
from session import Options, Session
from show import Finding, Show, write_json

app = App(name="bench", help=__doc__)
_JUMP = Scale()


def _chosen(names: tuple[str, ...]) -> list[Case]:
    unknown = sorted(set(names) - {case.name for case in CASES})
    if unknown:
        sys.exit(f"no such case: {', '.join(unknown)}; there are {', '.join(case.name for case in CASES)}")
    return [case for case in CASES if (case.name in names if names else not case.only_by_name)]


@dataclass(frozen=True, slots=True)
class Flags:
    """The flags of the command line."""

    only: Annotated[str | None, Parameter(help="Cases as csv40,sqlite40; the same as naming them.")] = None
    runs: Annotated[int, Parameter(help="Runs of each piece; the median is shown.")] = 5
    large_runs: Annotated[int | None, Parameter(help="Runs at 400 sites and more; by default as --runs.")] = None
    workdir: Annotated[Path | None, Parameter(help="Folder of plates and profiles; by default temporary.")] = None
    workers: Annotated[int | None, Parameter(help="Workers of a conversion; by default one a CPU.")] = None
    task_runners: Annotated[str | None, Parameter(help="Those of plates64, as threads:2,dask:2; by default all.")] = (
        None
    )
    json: Annotated[Path | None, Parameter(help="Also write the figures here.")] = None

    def options(self, folder: Path, scale: Scale) -> Options:
        workers = self.workers or os.cpu_count() or 1
        runners = tuple(self.task_runners.split(",")) if self.task_runners else ()
        return Options(folder.resolve(), self.runs, self.large_runs or self.runs, workers, scale, runners)


_DEFAULTS = Flags()


@app.default
def bench(
    *cases: str,
    flags: Annotated[Flags, Parameter(name="*")] = _DEFAULTS,
    scale: Annotated[Scale, Parameter(name="*")] = _JUMP,
) -> int:
    """Measure all cases but `plate`, or those that are named."""
    chosen = _chosen((*cases, *(flags.only.split(",") if flags.only else ())))
    show = Show(Console(width=None if sys.stdout.isatty() else 160))
    with ExitStack() as stack:
        folder = flags.workdir or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cytobatch-bench-")))
        session = Session(flags.options(folder, scale), show)
        for number, case in enumerate(chosen):
            _run(case, session)
            session.drop_all_but({plate for later in chosen[number + 1 :] for plate in later.plates})
    show.summary(session.findings)
    if flags.json:
        write_json(session.findings, flags.json)
    return 0 if all(one.held for one in session.findings) else 1


def _run(case: Case, session: Session) -> None:
    session.show.console.rule(case.title, align="left")
    before = len(session.findings)
    try:
        case.run(session, case.name)
    except PieceFailedError as error:
        session.show.note(str(error))
        session.add(Finding(case.name, "the case", "failed", "finishes", held=False))
    for finding in session.findings[before:]:
        session.show.held(finding)


if __name__ == "__main__":
    sys.exit(app())
