"""The case of a run's fixed cost: a tiny plate, the whole process, with and without a Prefect server.

Without `PREFECT_API_URL` a run starts its own server; with it, the run reports to that server.
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
_MAGIC_BYTES = 4  # the bytes of a Parquet file before its first row


def measure_start(session: Session, case: str) -> None:
    """Measure a tiny plate as a whole process, with a Prefect server of its own and with a running one."""
    plate, runs = PlateName.TINY, session.runs(PlateName.TINY)
    source, out = str(session.plate(plate)), str(session.out(plate))
    command = (sys.executable, "-m", "cytobatch", "run", "--no-skip-done", "--source", source, "--destination", out)
    with prefect_server(session.scratch) as url:
        alone = Piece("without a server", command, whole=True)
        beside = Piece("with a server", command, (("PREFECT_API_URL", url),), whole=True)
        without, given = in_turn([alone, beside], runs)
        for one in (alone, beside):
            first = statistics.median(_first_row(one, session.scratch) for _ in range(runs))
            session.show.note(f"{case}: {one.label}: {first:.2f} s from the process's start to the first row")
    session.show.case(case, [Row("no server", without), Row("server running", given)])
    session.add(at_most(case, "wall without a server over with one", without.over(given).wall, 2.5))
    session.guard(case, plate, session.out(plate))


def _first_row(work: Piece, folder: Path) -> float:
    """Return the seconds from a process's start to its first Parquet row on the disk. Raises PieceFailedError."""
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
