"""Measures other programs that make a profile of a few sites beside cytobatch, in one run and in turn.

These are CytoTable 1.2.6 with its own chunk size and with another, pandas (read_csv, concat, merge, to_parquet), and a
join by DuckDB in one statement. Images are counted through the plate, because CytoTable joins on ImageNumber alone and
would multiply the rows of site folders that all begin at 1. `make bench-peers` makes CytoTable's environment.
"""

import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pyarrow.parquet as pq
from cyclopts import App, Parameter
from rich.console import Console
from rich.table import Table

from cytobatch.synthetic import ImageNumbers, SyntheticPlate, write_plate
from measure import Piece, PieceFailedError, Runs, in_turn, piece
from plates import Scale, sites_plate

app = App(name="peers", help=__doc__)

_WORK = str(Path(__file__).with_name("peer_work.py"))
_CYTOTABLE = Path(__file__).with_name(".peers")
_JUMP = Scale(sites=4)


@dataclass(frozen=True, slots=True)
class Peer:
    """A program that makes a profile, as a piece of work, and the profile's path."""

    piece: Piece
    out: Path


@dataclass(frozen=True, slots=True)
class Flags:
    """The flags of the command line."""

    runs: Annotated[int, Parameter(help="Runs of each; the median is shown.")] = 3
    chunk_size: Annotated[int, Parameter(help="CytoTable's other chunk size.")] = 10_000
    workdir: Annotated[Path | None, Parameter(help="Folder of plate and profiles; by default temporary.")] = None
    cytotable: Annotated[Path, Parameter(help="CytoTable's environment.")] = _CYTOTABLE
    without_cytotable: Annotated[bool, Parameter(negative="", help="Leave CytoTable out.")] = False


_DEFAULTS = Flags()


def _cytotable(flags: Flags) -> list[tuple[str, str, tuple[str, ...]]]:
    if flags.without_cytotable:
        return []
    python = flags.cytotable / "bin" / "python"
    if not python.exists():
        sys.exit(f"no environment of CytoTable at {flags.cytotable}; `make bench-peers` makes it")
    return [
        ("CytoTable 1.2.6", str(python), ("cytotable",)),
        (f"CytoTable 1.2.6, chunk_size {flags.chunk_size:,}", str(python), ("cytotable", str(flags.chunk_size))),
    ]


def peers(flags: Flags, plate: Path, folder: Path) -> list[Peer]:
    """Return all peers, cytobatch first."""
    own = folder / "cytobatch.parquet"
    measured = [Peer(piece("cytobatch", "convert", plate, own, scratch=folder), own)]
    # CytoTable looks for its helpers in PATH, and for DuckDB's extensions below HOME.
    home = flags.cytotable.resolve()
    environment = (("PATH", f"{home / 'bin'}:{os.environ.get('PATH', '')}"), ("HOME", str(home / "home")))
    for label, python, (name, *rest) in _cytotable(flags):
        out = folder / f"cytotable{'-tuned' if rest else ''}.parquet"
        command = (python, _WORK, name, str(plate), str(out), *rest)
        measured.append(Peer(Piece(label, command, environment, folder=folder), out))
    for name in ("pandas", "duckdb"):
        out = folder / f"{name}.parquet"
        command = (sys.executable, _WORK, name, str(plate), str(out))
        measured.append(Peer(Piece(name, command, folder=folder), out))
    return measured


@app.default
def compare(
    *,
    flags: Annotated[Flags, Parameter(name="*")] = _DEFAULTS,
    scale: Annotated[Scale, Parameter(name="*")] = _JUMP,
) -> int:
    """Measure all peers on CSV of few sites."""
    console = Console(width=None if sys.stdout.isatty() else 160)
    made = sites_plate(scale.sites, scale.cells, scale.csv_features)
    made = made.model_copy(update={"image_numbers": ImageNumbers.PLATE})
    with tempfile.TemporaryDirectory(prefix="cytobatch-peers-", dir=flags.workdir) as name:
        folder = Path(name).resolve()
        write_plate(made, folder / "plate")
        measured = peers(flags, folder / "plate", folder)
        return _measure(measured, flags.runs, made, console)


def _measure(measured: list[Peer], runs: int, made: SyntheticPlate, console: Console) -> int:
    failed = False
    table = Table("", "wall s", "CPU s", "peak MiB", "wall over cytobatch's", "rows", "MB")
    table.title = (
        f"{made.wells * made.sites} sites, {made.cell_count():,} cells, {made.features:,} features, {runs} runs"
    )
    try:
        all_took = in_turn([peer.piece for peer in measured], runs)
    except PieceFailedError as error:
        console.print(str(error), markup=False)
        return 1
    for peer, took in zip(measured, all_took, strict=True):
        rows = pq.read_metadata(peer.out).num_rows
        failed = failed or rows != made.cell_count()
        table.add_row(
            peer.piece.label, *_figures(took, all_took[0]), f"{rows:,}", f"{peer.out.stat().st_size / 1e6:.1f}"
        )
    console.print(table)
    return 1 if failed else 0


def _figures(took: Runs, own: Runs) -> tuple[str, ...]:
    usual = took.median
    return f"{usual.wall:.2f}", f"{usual.cpu:.2f}", f"{usual.peak / 2**20:,.0f}", f"{took.over(own).wall:.1f}"


if __name__ == "__main__":
    sys.exit(app())
