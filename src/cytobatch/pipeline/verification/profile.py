"""Rows of a published profile: which ones are looked at, and their values."""

import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from cytobatch.output.parquet.reader import open_file, read_columns
from cytobatch.pipeline.verification.derive import ProfileRow

_MOST_EXPORTS = 32
"""Of how many exports cells are drawn, because all tables of an export are read for one of its cells."""


def drawn(exports: Sequence[object], cells: int | None, seed: int) -> list[int]:
    """Return the positions of the rows that are looked at, in order.

    Parameters
    ----------
    exports
        What identifies the export of each row, such as its TableNumber or its ImageNumber.
    cells
        The number of rows; None for all.
    seed
        The same seed draws the same rows.
    """
    if cells is None or cells >= len(exports):
        return list(range(len(exports)))
    chance = random.Random(seed)
    by_export: dict[object, list[int]] = defaultdict(list)
    for position, export in enumerate(exports):
        by_export[export].append(position)
    chosen = chance.sample(sorted(by_export, key=str), min(_MOST_EXPORTS, len(by_export)))
    rows = [position for export in chosen for position in by_export[export]]
    return sorted(chance.sample(rows, min(cells, len(rows))))


def rows_at(path: Path, positions: Sequence[int], columns: Sequence[str]) -> Iterator[ProfileRow]:
    """Yield rows of a Parquet file by their positions in it, a row group at a time."""
    with open_file(path) as file:
        start = 0
        for group in range(file.num_row_groups):
            stop = start + file.metadata.row_group(group).num_rows
            wanted = [position for position in positions if start <= position < stop]
            if wanted:
                table = file.read_row_group(group, columns=list(columns))
                taken = table.take(pa.array([position - start for position in wanted], pa.int64()))
                yield from map(ProfileRow, wanted, taken.to_pylist())
            start = stop


def row_count(path: Path) -> int:
    """Return the number of rows of a Parquet file."""
    with open_file(path) as file:
        return int(file.metadata.num_rows)


def key_columns(path: Path, columns: Sequence[str]) -> Mapping[str, list[object]]:
    """Return whole columns of a Parquet file."""
    table = read_columns([path], columns)
    return {name: table[name].to_pylist() for name in columns}


def repeated(keys: Mapping[str, Sequence[object]]) -> list[int]:
    """Return the positions of rows whose keys an earlier row has."""
    if not keys:
        return []
    table = pa.table({name: pa.array(values) for name, values in keys.items()})
    table = table.append_column("position", pa.array(range(len(table)), pa.int64()))
    first = table.group_by(list(keys), use_threads=False).aggregate([("position", "min")])["position_min"]
    return [int(n) for n in table["position"].filter(pc.invert(pc.is_in(table["position"], first))).to_pylist()]
