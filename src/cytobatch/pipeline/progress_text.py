"""The progress of a plate as text: for a bar on a terminal or in a notebook, and for a line of a log."""

from cytobatch.config.plural import count, plural
from cytobatch.pipeline.progress import PlateProgress
from cytobatch.report.numbers import duration, size


def progress_parts(progress: PlateProgress, seconds_left: float | None) -> list[str]:
    """Return how far a plate is: percent, bytes, exports, rows, and the time that is left if there is an estimate."""
    exports = f"{count(progress.exports_done)} of {plural(progress.exports, 'export')}"
    parts = [
        f"{100 * progress.fraction:.0f} %",
        f"{size(progress.bytes_done)} of {size(progress.bytes)}",
        exports,
        plural(progress.rows, "row"),
    ]
    return parts if seconds_left is None else [*parts, time_left(seconds_left)]


def time_left(seconds: float) -> str:
    """Return an estimate as text, with no more digits than an estimate has."""
    if seconds < 20:
        return f"about {max(1, round(seconds))} s left"
    step = 5 if seconds < 60 else 10 if seconds < 600 else 60
    rounded = step * round(seconds / step)
    if rounded < 60:
        return f"about {rounded} s left"
    if step == 60 and rounded < 3600:
        return f"about {rounded // 60} min left"
    return f"about {duration(rounded).replace(' 00 s', '')} left"
