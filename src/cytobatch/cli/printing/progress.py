"""The progress of many plates as text, and what of a line fits into a terminal."""

from collections.abc import Sequence

from cytobatch.config.plural import count, plural
from cytobatch.pipeline.progress_text import time_left

_GAP = "  "
_DROPPED_FIRST = (3, 2, 1)
"""The parts of a line that are left out if it is too long: rows, exports, bytes."""


def fitted(parts: Sequence[str], width: int) -> str:
    """Return parts in one line of some width, without those that people miss least if they do not fit."""
    left = dict(enumerate(parts))
    for number in _DROPPED_FIRST:
        if len(_GAP.join(left.values())) <= width:
            break
        left.pop(number, None)
    return _GAP.join(left.values())


def plates_parts(done: int, failed: int, plates: int, seconds_left: float | None) -> list[str]:
    """Return how many plates of a run have ended, and the time that is left if there is an estimate."""
    parts = [f"{count(done + failed)} of {plural(plates, 'plate')}"]
    parts += [f"{count(failed)} failed"] if failed else []
    return parts if seconds_left is None else [*parts, time_left(seconds_left)]
