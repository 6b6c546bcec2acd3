"""Numbers of plates as text."""


def plate_count(plates: int) -> str:
    """Return a number of plates with its noun: `1 plate`, `1,000 plates`."""
    return f"{plates:,} plate" + ("s" if plates != 1 else "")
