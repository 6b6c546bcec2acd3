"""How long a conversion will still take, from the part of it that is done."""

import time
from collections.abc import Callable

_LEAST_FRACTION = 0.03
_LEAST_SECONDS = 1.0
"""Before that much is done there is no estimate: the first files may be unlike the others."""


class TimeLeft:
    """Estimates the time that is left of one conversion.

    It begins when this is made, or when the conversion starts again. The work that is left is taken to go as fast as
    what is done went on average.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = self._at = clock()
        self._fraction = 0.0

    @property
    def elapsed(self) -> float:
        """The seconds since the beginning."""
        return self._clock() - self._began

    def update(self, fraction: float) -> None:
        """Take the part that is done by now, from 0.0 to 1.0. A smaller one than before means a new beginning."""
        self._at = self._clock()
        if fraction < self._fraction:
            self._began = self._at
        self._fraction = fraction

    def advance(self, fraction: float) -> None:
        """Take the part that is done by now, unless it is smaller than before."""
        self.update(max(fraction, self._fraction))

    def seconds(self) -> float | None:
        """Return the seconds that are left, or None if too little is done for an estimate, or nothing is left."""
        took = self._at - self._began
        if not _LEAST_FRACTION <= self._fraction < 1 or took < _LEAST_SECONDS:
            return None
        left = took * (1 - self._fraction) / self._fraction
        return max(0.0, left - (self._clock() - self._at))
