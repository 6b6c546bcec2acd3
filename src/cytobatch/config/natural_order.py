"""Natural order: numbers within names count as numbers."""

import re


def natural_key(text: str) -> tuple[tuple[int, int, str], ...]:
    """Return a sort key under which `site2` comes before `site10`."""
    return tuple(
        (1, int(part), part) if part.isdecimal() else (0, 0, part) for part in re.split(r"([0-9]+)", text) if part
    )
