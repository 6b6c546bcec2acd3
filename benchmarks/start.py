"""The case of a run's fixed cost: a tiny plate, the whole process, with and without Prefect and a server.

Without `PREFECT_API_URL` a run answers Prefect from memory; with it, the run reports to that server. Beside the program
runs the same conversion from Python, with and without an import of Prefect, which is the least that a flow run takes.
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
    command = (sys.executable, "-m", "cytobatch", "run", "--force", "--source", source, "--destination", out)
    call = f"import cytobatch; cytobatch.convert({source!r}, {out!r}, skip_done=False)"
    api = Piece("Python", (sys.executable, "-c", call), whole=True)
    imported = Piece("Python, Prefect imported", (sys.executable, "-c", f"import prefect; {call}"), whole=True)
    none = Piece("no Prefect", (*command, "--orchestrator", "none"), whole=True)
    with prefect_server(session.scratch) as url:
        alone = Piece("without a server", command, whole=True)
        beside = Piece("with a server", command, (("PREFECT_API_URL", url),), whole=True)
        without, given, bare, called, both = in_turn([alone, beside, none, api, imported], runs)
        for one in (alone, beside):
            first = statistics.median(_first_row(one, session.scratch) for _ in range(runs))
            session.show.note(f"{case}: {one.label}: {first:.2f} s from the process's start to the first row")
    rows = [("no server", without), ("server running", given), ("no Prefect", bare), ("Python", called)]
    session.show.case(case, [Row(label, measured) for label, measured in [*rows, ("Python, Prefect imported", both)]])
    session.add(at_most(case, "wall without a server over with one", without.over(given).wall, 1.2))
    session.add(at_most(case, "CPU over Python with Prefect imported", without.over(both).cpu, 1.2))
    session.add(at_most(case, "CPU with orchestrator none over Python", bare.over(called).cpu, 1.1))
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
