"""The garbage collector kept away from what lives as long as the process: a fifth of a start goes there."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_OBJECTS = 50_000
"""So many more, and Python looks for cycles; by default 700, a third of what one table's columns are."""


@contextmanager
def gc_frozen() -> Iterator[None]:
    """Within it, what is made is there to stay, as imported modules are: it is collected neither now nor later.

    And cycles are looked for less often from then on.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.set_threshold(_OBJECTS)
        gc.enable()


def leave() -> None:
    """Before the process ends: all of the heap goes with it, so that looking through it once more frees nothing."""
    gc.disable()
    gc.freeze()
