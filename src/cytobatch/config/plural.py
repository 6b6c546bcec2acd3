"""Counts as people read them: with commas between thousands, and with their noun in the singular or plural."""

from collections.abc import Sequence


def count(value: float) -> str:
    """Format a count, with commas between thousands."""
    return f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"


def plural(number: float, one: str, many: str | None = None) -> str:
    """Return a count with its noun: `1 well`, `1,200 wells`."""
    return f"{count(number)} {one if number == 1 else many or one + 's'}"


def with_noun(names: Sequence[str], one: str, many: str | None = None) -> str:
    """Return names with their noun before them: `well B02`, `wells B02, B03`."""
    return f"{one if len(names) == 1 else many or one + 's'} {', '.join(names)}"
