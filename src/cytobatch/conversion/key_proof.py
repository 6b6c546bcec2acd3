"""Proof that the keys of a batch have no defect: no key stands twice, and each parent that is named is there.

Most batches have sound keys. Planning the queries that find defects takes longer than this proof.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from cytobatch.engine import sql
from cytobatch.planning.joins import Join, JoinKind
from cytobatch.planning.key_columns import EXPORT, IMAGE, OBJECT, TABLE

_Numbers = NDArray[np.int64]
_PACKED = 2**63
"""A packed key is below it."""
_MOST_ROWS = 2**18
"""Of more rows the queries take most of the time, and they keep to the limit of memory."""


def are_sound(
    keys: Mapping[str, pa.Table], joins: Sequence[Join], images: pa.Table, image_keys: Sequence[str], *, by_table: bool
) -> bool:
    """Return whether it is certain that the keys of a batch have no defect.

    Parameters
    ----------
    keys
        The key table of each compartment.
    joins
        The joins, whose parents must be there.
    images, image_keys
        The key table of the image sets, and those of its columns that are keys; none if the plate has no image sets.
    by_table
        Whether TableNumber is one of the keys of all joins.

    Returns
    -------
    bool
        True if `sql.repeated_keys` of all tables and `sql.dangling_parents` of all joins find nothing. False if they
        may find something: also where a key is null, where keys have too large a range, or where rows are many.
    """
    if sum(table.num_rows for table in keys.values()) > _MOST_ROWS:
        return False
    image = (EXPORT, TABLE, IMAGE) if by_table else (EXPORT, IMAGE)
    references = [_reference(keys, join, image) for join in joins]
    objects = {name: table.select([*image, OBJECT]) for name, table in keys.items()}
    packed = _pack([*objects.values(), *(reference.parents for reference in references)])
    packed_images = _pack([images.select(list(image_keys))] if image_keys else [])
    if packed is None or packed_images is None:
        return False
    by_name = dict(zip(objects, packed, strict=False))
    return all(map(_differ, [*by_name.values(), *packed_images])) and all(
        np.isin(named, by_name[reference.table]).all()
        for reference, named in zip(references, packed[len(objects) :], strict=True)
    )


@dataclass(frozen=True, slots=True)
class _Reference:
    """The keys of objects of `table` that another table, or the same, names as parents."""

    table: str
    parents: pa.Table


def _reference(keys: Mapping[str, pa.Table], join: Join, image: Sequence[str]) -> _Reference:
    child, parents = (join.via, join.compartment) if join.kind is JoinKind.PARENT else (join.compartment, join.via)
    column = sql.parent(parents)
    # 0 and null mean that an object has no parent.
    rows = keys[child].filter(pc.greater(keys[child][column], 0))
    return _Reference(parents, rows.select([*image, column]).rename_columns([*image, OBJECT]))


def _differ(packed: _Numbers) -> bool:
    """Return whether no number is there twice. Most tables are sorted."""
    return bool((np.diff(packed) > 0).all()) or np.unique(packed).size == packed.size


def _pack(tables: Sequence[pa.Table]) -> list[_Numbers] | None:
    """Return one number for each row of tables with the same columns; rows of any two tables are equal if these are.

    None if a value is null, or if the ranges of all columns are too large.
    """
    if any(column.null_count for table in tables for column in table.columns):
        return None
    names = tables[0].column_names if tables else []
    columns = [_offsets([table[name] for table in tables]) for name in names]
    if math.prod(size for _, size in columns) >= _PACKED:
        return None
    return [_packed([(offsets[number], size) for offsets, size in columns]) for number in range(len(tables))]


def _packed(columns: Iterable[tuple[_Numbers, int]]) -> _Numbers:
    packed: _Numbers = np.zeros(1, np.int64)
    for offsets, size in columns:
        packed = packed * np.int64(size) + offsets
    return packed


def _offsets(column: Sequence[pa.ChunkedArray]) -> tuple[list[_Numbers], int]:
    """Return the values of one column of several tables as numbers from 0 on, equal for equal values, and their range.

    If the range is larger than int64, the numbers are wrong.
    """
    if not pa.types.is_integer(column[0].type):
        values = pa.chunked_array([chunk for part in column for chunk in part.chunks], column[0].type).unique()
        return [pc.index_in(part, value_set=values).to_numpy().astype(np.int64) for part in column], len(values) or 1
    parts = [part.to_numpy() for part in column]
    lowest = min((int(part.min()) for part in parts if part.size), default=0)
    highest = max((int(part.max()) for part in parts if part.size), default=0)
    return [part - np.int64(lowest) for part in parts], highest - lowest + 1
