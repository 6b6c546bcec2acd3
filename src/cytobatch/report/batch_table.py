"""A batch as a table: one row for each plate, whatever became of it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from cytobatch.report.model import Outcome
from cytobatch.report.summary import PlateRow, PlateState, RunSummary

_TIME = pa.timestamp("us", tz="UTC")
_OF_A_PLATE = ("plate", "state", "reason", "source", "destination", "report")
_OF_A_RUN = {
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
    "objects": pa.int64(),
    "output_bytes": pa.int64(),
    "warnings": pa.int64(),
    "schema_differences": pa.int64(),
    "repairs": pa.int64(),
    "odd_value_columns": pa.int64(),
    "ledger": pa.int64(),
    "cytobatch_version": pa.string(),
}
# What is said by name becomes a column for each name, with this in front.
_FAMILIES = {"steps": "seconds_", "objects": "Count_", "ledger": "ledger_"}
_USUAL_NAMES = {"steps": ("plan", "survey", "convert", "publish"), "ledger": tuple(Outcome)}


@dataclass(frozen=True, slots=True)
class BatchTable:
    """A row for each plate of a batch, in the batch's order."""

    rows: tuple[PlateRow, ...]

    @classmethod
    def of(cls, rows: Iterable[PlateRow]) -> "BatchTable":
        """The table of these rows."""
        return cls(tuple(rows))

    @property
    def runs(self) -> Iterator[RunSummary]:
        """What is known of the plates that are done."""
        return (row.run for row in self.rows if row.run is not None)

    def in_state(self, state: PlateState) -> int:
        """How many plates are in a state."""
        return sum(row.state == state for row in self.rows)

    def total(self, figure: str) -> Any:
        """The sum of a figure of all plates that are done, by its name in RunSummary."""
        return sum(getattr(run, figure) for run in self.runs)

    def to_arrow(self) -> pa.Table:
        """The table with its types; where a plate is not done, what its report would say is null."""
        columns = [(name, pa.string(), [_text(getattr(row, name)) for row in self.rows]) for name in _OF_A_PLATE]
        for figure, kind in _OF_A_RUN.items():
            columns += [(name, kind, values) for name, values in self._columns(figure)]
        schema = pa.schema([(name, kind) for name, kind, _ in columns])
        return pa.table([pa.array(values, kind) for _, kind, values in columns], schema=schema)

    def _columns(self, figure: str) -> Iterator[tuple[str, list[Any]]]:
        values = [None if row.run is None else getattr(row.run, figure) for row in self.rows]
        if figure not in _FAMILIES:
            yield figure, values
            return
        usual = _USUAL_NAMES.get(figure, ())
        found = {name for value in values if value is not None for name in value}
        for name in (*usual, *sorted(found - set(usual))):
            yield f"{_FAMILIES[figure]}{name}", [None if value is None else value.get(name) for value in values]


def _text(value: str | None) -> str | None:
    """A value of an enum as the text that it is."""
    return None if value is None else str(value)
