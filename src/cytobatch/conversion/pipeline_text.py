"""Compare the texts of pipelines by their settings."""

import re
from itertools import zip_longest

# What differs between runs of one pipeline: whether a window was shown, and the state of a batch.
_OF_THE_RUN = re.compile(r"\|(?:show_window:(?:True|False)|batch_state:array\(\[[^]]*\], dtype=[a-z0-9]+\))")
_SHOWN = 80


def settings_of(pipeline: str) -> str:
    """Return a pipeline's text without what differs between its runs: line ends, the head of the file, windows."""
    head, blank, modules = pipeline.replace("\r\n", "\n").replace("\r", "\n").partition("\n\n")
    return _OF_THE_RUN.sub("", modules if blank else head).strip()


def first_difference(one: str, other: str) -> str:
    """Return the first lines in which two texts differ, cut to a readable length."""
    lines = zip_longest(one.splitlines(), other.splitlines(), fillvalue="")
    for first, second in lines:
        if first != second:
            start = max(0, _common(first, second) - _SHOWN // 2)
            return f"{first[start:][:_SHOWN].strip()!r} and {second[start:][:_SHOWN].strip()!r}"
    return "between their lines"


def _common(one: str, other: str) -> int:
    """Return the number of characters with which both texts begin."""
    pairs = zip(one, other, strict=False)
    return next((number for number, (first, second) in enumerate(pairs) if first != second), min(len(one), len(other)))
