"""Lists of row indices: the objects that a profile row has several of, as one array, and their means.

A column of row indices has one index for each profile row, or a list of them (`children` other than `first`).
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Integers = npt.NDArray[np.int64]


def is_row_list(indices: pa.ChunkedArray) -> bool:
    """Return True if a column of row indices has lists of them."""
    return bool(pa.types.is_list(indices.type))


def list_lengths(indices: pa.ChunkedArray) -> Integers:
    """Return the length of each list, 0 for null: `int64, (profile rows,)`."""
    lengths: Integers = pc.fill_null(pc.list_value_length(indices), 0).to_numpy().astype(np.int64)
    return lengths


def used_rows(indices: pa.ChunkedArray) -> tuple[Integers, Integers]:
    """Return the rows of a table that profile rows have.

    Parameters
    ----------
    indices
        For each profile row its row index in the table, a list of them, or null: `(profile rows,)`.

    Returns
    -------
    rows, owners
        The row indices, and the position of the profile row that has each, ascending: `int64, (indices,)` both.
    """
    if is_row_list(indices):
        owners = np.repeat(np.arange(len(indices), dtype=np.int64), list_lengths(indices))
        return pc.list_flatten(indices).to_numpy(), owners
    return indices.drop_null().to_numpy(), np.flatnonzero(indices.is_valid().to_numpy())


def with_rows(indices: pa.ChunkedArray, rows: pa.Array) -> pa.ChunkedArray:
    """Return lists of the same lengths with other row indices.

    Parameters
    ----------
    indices
        Lists of row indices: `(profile rows,)`.
    rows
        The indices of all lists, one after the other: `int64, (indices,)`.
    """
    offsets = np.concatenate([[0], np.cumsum(list_lengths(indices))]).astype(np.int32)
    return pa.chunked_array([pa.ListArray.from_arrays(pa.array(offsets), rows)])


def child_counts(indices: pa.ChunkedArray, parents: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the number of objects that each profile row has.

    Parameters
    ----------
    indices
        Lists of row indices; null is an empty list: `(profile rows,)`.
    parents
        The row index of the object that they belong to; null if there is no such object: `int64, (profile rows,)`.

    Returns
    -------
    `int64, (profile rows,)`, null for a profile row without a parent.
    """
    counts = pa.chunked_array([pa.array(list_lengths(indices))])
    return pc.if_else(parents.is_valid(), counts, pa.scalar(None, pa.int64()))


def list_means(values: pa.Table, lengths: Integers) -> pa.Table:
    """Return the means of neighbouring rows.

    Parameters
    ----------
    values
        Columns of numbers, the rows of all lists one after the other: `(indices,)`.
    lengths
        The length of each list: `int64, (profile rows,)`.

    Returns
    -------
    pa.Table
        The mean of each list without nulls and NaN, null if nothing is left: `float64, (profile rows,)` each.
    """
    filled = np.flatnonzero(lengths)
    starts = (np.cumsum(lengths) - lengths)[filled]
    means = [_means(column, filled, starts, len(lengths)) for column in values.columns]
    return pa.table(means, names=values.column_names)


def _means(column: pa.ChunkedArray, filled: Integers, starts: Integers, count: int) -> pa.Array:
    """Return the means of one column; `filled` are the lists that are not empty, `starts` their first rows."""
    if not len(filled):
        return pa.nulls(count, pa.float64())
    values = column.cast(pa.float64()).to_numpy()
    is_known = ~np.isnan(values)
    known = np.add.reduceat(is_known.astype(np.int64), starts)
    means, has_mean = np.zeros(count), np.zeros(count, np.bool_)
    has_mean[filled] = known > 0
    # Infinities of both signs have no mean, and it is NaN as in pandas.
    with np.errstate(invalid="ignore"):
        sums = np.add.reduceat(np.where(is_known, values, 0.0), starts)
    means[filled] = sums / np.maximum(known, 1)
    return pa.array(means, mask=~has_mean)
