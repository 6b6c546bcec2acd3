"""The case of what a run costs before and after its work: a tiny plate, the whole process, with and without a server.

Without `PREFECT_API_URL` a run brings its own server; with it, it reports to one that is up.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measure import Piece, PieceFailedError, environment_of, in_turn
from plates import PlateName
from servers import prefect_server
from session import Session
from show import Row, at_most

_EVERY = 0.005
_MAGIC_BYTES = 4  # what a Parquet file holds before its first row


def measure_start(session: Session, case: str) -> None:
    """A tiny plate as a whole process, bringing its own Prefect server and using one that is there."""
    plate, runs = PlateName.TINY, session.runs(PlateName.TINY)
    source, out = str(session.plate(plate)), str(session.out(plate))
    command = (sys.executable, "-m", "cytobatch", "run", "--source", source, "--destination", out)
    with prefect_server(session.scratch) as url:
        alone = Piece("without a server", command, whole=True)
        beside = Piece("with a server", command, (("PREFECT_API_URL", url),), whole=True)
        without, given = in_turn([alone, beside], runs)
        for one in (alone, beside):
            first = statistics.median(_first_row(one, session.scratch) for _ in range(runs))
            session.show.note(f"{case}: {one.label}: {first:.2f} s from the process's start to the first row")
    session.show.case(case, [Row("no server", without), Row("server running", given)])
    session.found(at_most(case, "wall without a server over with one", without.over(given).wall, 2.5))
    session.guard(case, plate, session.out(plate))


def _first_row(work: Piece, folder: Path) -> float:
    """Seconds from the start of a process to its first row of Parquet on the scratch disk. Raises PieceFailedError."""
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        start = time.monotonic()
        process = subprocess.Popen(
            (*work.command, "--scratch-dir", scratch),
            env=environment_of(work.environment),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        first = None
        while process.poll() is None:
            if first is None and _has_rows(Path(scratch)):
                first = time.monotonic() - start
            time.sleep(_EVERY)
    if process.returncode or first is None:
        raise PieceFailedError(f"{work.label} ended with {process.returncode}, its first row was seen at {first} s")
    return first


def _has_rows(scratch: Path) -> bool:
    try:
        return any(path.stat().st_size > _MAGIC_BYTES for path in scratch.glob("*/out/*.parquet"))
    except FileNotFoundError:  # the run just removed its folders
        return False
