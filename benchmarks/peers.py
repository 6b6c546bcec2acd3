"""Measures what else makes a profile of a few sites beside cytobatch, in one run and in turn.

CytoTable 1.2.6 with its own chunk size and with another, pandas (read_csv, concat, merge, to_parquet), and a join by
DuckDB in one statement. Images are counted through the plate: CytoTable joins on ImageNumber alone, and would multiply
the rows of site folders that all begin at 1. `make bench-peers` makes CytoTable's environment.
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
    """Who makes a profile, how, and where it goes."""

    piece: Piece
    out: Path


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for on the command line."""

    runs: Annotated[int, Parameter(help="Runs of each; the median is shown.")] = 3
    chunk_size: Annotated[int, Parameter(help="CytoTable's chunk size where it is not its own.")] = 10_000
    workdir: Annotated[Path | None, Parameter(help="Where plate and profiles go; a temporary folder.")] = None
    cytotable: Annotated[Path, Parameter(help="CytoTable's environment.")] = _CYTOTABLE
    without_cytotable: Annotated[bool, Parameter(negative="", help="Leave CytoTable out.")] = False


_AS_USUAL = Asked()


def _cytotable(asked: Asked) -> list[tuple[str, str, tuple[str, ...]]]:
    if asked.without_cytotable:
        return []
    python = asked.cytotable / "bin" / "python"
    if not python.exists():
        sys.exit(f"no environment of CytoTable at {asked.cytotable}; `make bench-peers` makes it")
    return [
        ("CytoTable 1.2.6", str(python), ("cytotable",)),
        (f"CytoTable 1.2.6, chunk_size {asked.chunk_size:,}", str(python), ("cytotable", str(asked.chunk_size))),
    ]


def peers(asked: Asked, plate: Path, folder: Path) -> list[Peer]:
    """All that are measured, cytobatch first."""
    own = folder / "cytobatch.parquet"
    found = [Peer(piece("cytobatch", "convert", plate, own, scratch=folder), own)]
    # CytoTable looks for its helpers in PATH, and for DuckDB's extensions below HOME.
    home = asked.cytotable.resolve()
    environment = (("PATH", f"{home / 'bin'}:{os.environ.get('PATH', '')}"), ("HOME", str(home / "home")))
    for label, python, (name, *rest) in _cytotable(asked):
        out = folder / f"cytotable{'-tuned' if rest else ''}.parquet"
        command = (python, _WORK, name, str(plate), str(out), *rest)
        found.append(Peer(Piece(label, command, environment, folder=folder), out))
    for name in ("pandas", "duckdb"):
        out = folder / f"{name}.parquet"
        command = (sys.executable, _WORK, name, str(plate), str(out))
        found.append(Peer(Piece(name, command, folder=folder), out))
    return found


@app.default
def compare(
    *,
    asked: Annotated[Asked, Parameter(name="*")] = _AS_USUAL,
    scale: Annotated[Scale, Parameter(name="*")] = _JUMP,
) -> int:
    """Measures all of them on CSV of few sites."""
    console = Console(width=None if sys.stdout.isatty() else 160)
    made = sites_plate(scale.sites, scale.cells, scale.csv_features)
    made = made.model_copy(update={"image_numbers": ImageNumbers.PLATE})
    with tempfile.TemporaryDirectory(prefix="cytobatch-peers-", dir=asked.workdir) as name:
        folder = Path(name).resolve()
        write_plate(made, folder / "plate")
        found = peers(asked, folder / "plate", folder)
        return _measure(found, asked.runs, made, console)


def _measure(found: list[Peer], runs: int, made: SyntheticPlate, console: Console) -> int:
    failed = False
    table = Table("", "wall s", "CPU s", "peak MiB", "wall over cytobatch's", "rows", "MB")
    table.title = (
        f"{made.wells * made.sites} sites, {made.cell_count():,} cells, {made.features:,} features, {runs} runs"
    )
    try:
        all_took = in_turn([peer.piece for peer in found], runs)
    except PieceFailedError as error:
        console.print(str(error), markup=False)
        return 1
    for peer, took in zip(found, all_took, strict=True):
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
