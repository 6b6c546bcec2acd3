"""Natural order: numbers within names count as numbers."""

import re


def natural_key(text: str) -> tuple[tuple[int, int, str, str], ...]:
    """Return a sort key under which `site2` comes before `site10`."""
    return tuple(_key(part) for part in re.split(r"([0-9]+)", text) if part)


def _key(part: str) -> tuple[int, int, str, str]:
    if not part.isdecimal():
        return 0, 0, part, ""
    # Of two numbers the longer is larger. Python makes no integer of more than some thousand digits.
    digits = part.lstrip("0")
    return 1, len(digits), digits, part
