"""A memory bound for a piece of work: a cgroup where systemd makes one, else RLIMIT_DATA."""

import shutil
import subprocess
from dataclasses import dataclass, replace

from measure import Piece

BYTES = 3 * 2**30


@dataclass(frozen=True, slots=True)
class Bounded:
    """A piece of work with a memory bound, and the mechanism that enforces it."""

    work: Piece
    how: str


def bounded(work: Piece) -> Bounded:
    """Return the piece with a bound. RLIMIT_DATA is stricter: it counts reserved memory, not resident memory."""
    scope = ("systemd-run", "--user", "--scope", "--quiet", "-p", f"MemoryMax={BYTES}", "-p", "MemorySwapMax=0", "--")
    label = f"{work.label} in 3 GiB"
    if _works((*scope, "true")):
        return Bounded(replace(work, label=label, command=(*scope, *work.command)), "a cgroup")
    command = (*work.command, "--data-limit", str(BYTES))
    return Bounded(replace(work, label=label, command=command), "RLIMIT_DATA")


def _works(command: tuple[str, ...]) -> bool:
    if shutil.which(command[0]) is None:
        return False
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
