"""Numbers, times and lists of names as people read them."""

import math
from collections.abc import Sequence
from datetime import datetime

from cytobatch.config.plural import plural
from cytobatch.report.lines import shortened

_UNITS = ("kB", "MB", "GB", "TB", "PB", "EB")


def measure(value: float) -> str:
    """Format a measurement with three significant digits, and whole numbers of more digits in full."""
    if value == 0 or 0.001 <= abs(value) < 1_000_000:
        digits = 0 if value == 0 else max(0, 2 - math.floor(math.log10(abs(value))))
        return f"{value:,.{digits}f}"
    return f"{value:.2e}"


def share(part: float, whole: float) -> str:
    """Format a part of a whole in percent; a part that is not 0 is not shown as 0."""
    percent = 100 * part / whole if whole else 0.0
    if 0 < percent < 0.1:
        return "< 0.1 %"
    return f"{percent:.0f} %" if percent in (0, 100) or percent >= 10 else f"{percent:.1f} %"


def size(amount: int) -> str:
    """Format an amount of bytes in decimal units."""
    if amount < 1000:
        return plural(amount, "byte")
    power = min(len(_UNITS), int(math.log10(amount)) // 3)
    return f"{amount / 1000**power:,.1f} {_UNITS[power - 1]}"


def duration(seconds: float) -> str:
    """Format a time in the units that people use for its length."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, left = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes:02} min" if hours else f"{minutes} min {left:02} s"


def moment(time: datetime) -> str:
    """Format a point in time, to the minute, in its own time zone: reports have UTC."""
    return f"{time:%Y-%m-%d %H:%M}"


def named(names: Sequence[str], most: int = 6) -> str:
    """Return the first names, and how many more there are."""
    return shortened(names, most)
