"""Bounding the memory of a piece of work: by a cgroup where systemd makes one, else by RLIMIT_DATA."""

import shutil
import subprocess
from dataclasses import dataclass, replace

from measure import Piece

BYTES = 3 * 2**30


@dataclass(frozen=True, slots=True)
class Bounded:
    """A piece of work that may not have more memory, and what sees to it."""

    work: Piece
    how: str


def bounded(work: Piece) -> Bounded:
    """The piece with a bound. RLIMIT_DATA is the harder one: it counts what is reserved, not what is resident."""
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
