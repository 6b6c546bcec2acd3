"""A batch as a table: one row for each plate, done or not."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from cytobatch.report.model import Outcome
from cytobatch.report.summary import PlateRow, PlateState, RunSummary

_TIME = pa.timestamp("us", tz="UTC")
_PLATE_COLUMNS = ("plate", "state", "reason", "source", "destination", "report")
_RUN_COLUMNS = {
    "preset": pa.string(),
    "layout": pa.string(),
    "started": _TIME,
    "finished": _TIME,
    "seconds": pa.float64(),
    "steps": pa.float64(),
    "peak_memory_bytes": pa.int64(),
    "workers": pa.int64(),
    "exports": pa.int64(),
    "failed_exports": pa.int64(),
    "rows": pa.int64(),
    "rows_dropped_as_null": pa.int64(),
    "columns": pa.int64(),
    "plates": pa.int64(),
    "wells": pa.int64(),
    "sites": pa.int64(),
    "median_cells": pa.float64(),
    "objects": pa.int64(),
    "output_bytes": pa.int64(),
    "warnings": pa.int64(),
    "schema_differences": pa.int64(),
    "repairs": pa.int64(),
    "odd_value_columns": pa.int64(),
    "ledger": pa.int64(),
    "cytobatch_version": pa.string(),
    "page": pa.string(),
}
# A figure that is a mapping becomes a column for each of its names, with this prefix.
_PREFIXES = {"steps": "seconds_", "objects": "Count_", "ledger": "ledger_"}
_USUAL_NAMES = {"steps": ("plan", "survey", "convert", "publish"), "ledger": tuple(Outcome)}


@dataclass(frozen=True, slots=True)
class BatchTable:
    """A row for each plate of a batch, in the batch's order."""

    rows: tuple[PlateRow, ...]

    @classmethod
    def of(cls, rows: Iterable[PlateRow]) -> "BatchTable":
        """Return the table of these rows."""
        return cls(tuple(rows))

    @property
    def runs(self) -> Iterator[RunSummary]:
        """The figures of the plates that are done."""
        return (row.run for row in self.rows if row.run is not None)

    def in_state(self, state: PlateState) -> int:
        """Return how many plates are in a state."""
        return sum(row.state == state for row in self.rows)

    def total(self, figure: str) -> Any:
        """Return the sum of a figure over the plates that are done. `figure` is its name in RunSummary."""
        return sum(getattr(run, figure) for run in self.runs)

    def to_arrow(self) -> pa.Table:
        """Return the table as Arrow.

        Returns
        -------
        pyarrow.Table
            A row for each plate, in order. The first columns are text; the figures of its report are int64, float64,
            text, and timestamps in microseconds and UTC. They are null if the plate is not done.
        """
        columns = [(name, pa.string(), [_text(getattr(row, name)) for row in self.rows]) for name in _PLATE_COLUMNS]
        for figure, kind in _RUN_COLUMNS.items():
            columns += [(name, kind, values) for name, values in self._columns(figure)]
        schema = pa.schema([(name, kind) for name, kind, _ in columns])
        return pa.table([pa.array(values, kind) for _, kind, values in columns], schema=schema)

    def _columns(self, figure: str) -> Iterator[tuple[str, list[Any]]]:
        values = [None if row.run is None else getattr(row.run, figure) for row in self.rows]
        if figure not in _PREFIXES:
            yield figure, values
            return
        usual = _USUAL_NAMES.get(figure, ())
        names = {name for value in values if value is not None for name in value}
        for name in (*usual, *sorted(names - set(usual))):
            yield f"{_PREFIXES[figure]}{name}", [None if value is None else value.get(name) for value in values]


def _text(value: str | None) -> str | None:
    """Return an enum's value as plain text."""
    return None if value is None else str(value)
