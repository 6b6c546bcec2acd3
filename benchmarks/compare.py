"""Compares this checkout with another one, by turns: CPU seconds, wall and peak memory of the same conversions.

The other checkout, such as a worktree of the commit before, has its own `.venv` (`make venv` there). Each round runs
both, so that a slow moment of the machine slows both down. Ratios are the medians over the rounds. For each case the
program prints whether the profiles have the same bytes.
"""

import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter
from rich.console import Console

from measure import Piece, Runs, in_turn
from plates import PlateName, Scale
from s3 import CREDENTIALS, SOURCE, upload
from servers import s3_server
from session import Options, Session
from show import Show

app = App(name="compare", help=__doc__)
_HERE = Path(__file__).resolve().parents[1]
_JUMP = Scale()


class CompareCase(StrEnum):
    """What both checkouts do."""

    CSV40 = "csv40"
    SQLITE40 = "sqlite40"
    S3 = "s3"
    TALL = "tall"
    START = "start"
    VERSION = "version"


_PLATES = {
    CompareCase.CSV40: PlateName.CSV,
    CompareCase.SQLITE40: PlateName.SQLITE,
    CompareCase.S3: PlateName.CSV,
    CompareCase.TALL: PlateName.TALL,
    CompareCase.START: PlateName.TINY,
}


@dataclass(frozen=True, slots=True)
class _Checkout:
    """A checkout with its Python, and a folder for its profiles."""

    root: Path
    out: Path

    @property
    def python(self) -> str:
        return str(self.root / ".venv" / "bin" / "python")

    def work(self, label: str, source: str, scratch: Path, environment: tuple[tuple[str, str], ...] = ()) -> Piece:
        command = (self.python, str(self.root / "benchmarks" / "work.py"), "convert", source, str(self.profile))
        return Piece(label, (*command, "--scratch", str(scratch)), environment)

    def program(self, label: str, *arguments: str) -> Piece:
        return Piece(label, (self.python, "-m", "cytobatch", *arguments), whole=True)

    @property
    def profile(self) -> Path:
        return self.out / "profile.parquet"


@app.default
def compare(
    other: Path,
    *cases: CompareCase,
    runs: Annotated[int, Parameter(help="Rounds of each case.")] = 7,
    scale: Annotated[Scale, Parameter(name="*")] = _JUMP,
) -> int:
    """Compare all cases, or those that are named, with the checkout OTHER."""
    show = Show(Console(width=None if sys.stdout.isatty() else 160))
    with tempfile.TemporaryDirectory(prefix="cytobatch-compare-") as name:
        folder = Path(name)
        session = Session(Options(folder, runs, runs, 2, scale), show)
        checkouts = [_Checkout(root.resolve(), folder / label) for root, label in ((_HERE, "new"), (other, "old"))]
        for checkout in checkouts:
            checkout.out.mkdir()
        for case in cases or tuple(CompareCase):
            with _pieces(case, session) as make:
                new, old = in_turn([make(checkout) for checkout in checkouts], runs)
            _print(show.console, case, new, old)
            _print_bytes(show.console, case, checkouts)
    return 0


@contextmanager
def _pieces(case: CompareCase, session: Session) -> Iterator[Callable[[_Checkout], Piece]]:
    """Yield the function that makes a checkout's piece of a case, while a server that it needs runs."""
    if case is CompareCase.VERSION:
        yield lambda checkout: checkout.program(case, "--version")
        return
    plate = session.plate(_PLATES[case])
    if case is CompareCase.S3:
        with s3_server(session.scratch) as url:
            upload(plate, url)
            environment = (*CREDENTIALS, ("AWS_ENDPOINT_URL", url))
            yield lambda checkout: checkout.work(case, SOURCE, session.scratch, environment)
    elif case is CompareCase.START:
        paths = ("--source", str(plate), "--destination")
        yield lambda checkout: checkout.program(case, "run", *paths, str(checkout.profile))
    else:
        yield lambda checkout: checkout.work(case, str(plate), session.scratch)


def _print(console: Console, case: CompareCase, new: Runs, old: Runs) -> None:
    ratio, one, two = new.over(old), new.median, old.median
    console.print(
        f"{case}: CPU {one.cpu:.2f} s against {two.cpu:.2f} s, ratio {ratio.cpu:.3f}; "
        f"wall {one.wall:.2f} s against {two.wall:.2f} s, ratio {ratio.wall:.3f}; "
        f"peak {one.peak / 2**20:.0f} MiB against {two.peak / 2**20:.0f} MiB",
        highlight=False,
    )


def _print_bytes(console: Console, case: CompareCase, checkouts: list[_Checkout]) -> None:
    profiles = [checkout.profile for checkout in checkouts if checkout.profile.exists()]
    if len(profiles) == len(checkouts):
        same = profiles[0].read_bytes() == profiles[1].read_bytes()
        console.print(f"{case}: the bytes of both profiles are {'equal' if same else 'different'}", highlight=False)
    for profile in profiles:
        profile.unlink()


if __name__ == "__main__":
    sys.exit(app())
