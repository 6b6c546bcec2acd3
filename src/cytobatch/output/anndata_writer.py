"""The only writer of AnnData: X reaches the disk piece by piece, so that a profile is never whole in memory."""

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
import pandas as pd
import pyarrow as pa
import zarr
from anndata import AnnData
from anndata.io import write_elem

from cytobatch.config.option_types import AnnDataFormat
from cytobatch.errors import InternalError

_H5_CHUNK_BYTES = 4 * 2**20
_ZARR_CHUNK_BYTES = 16 * 2**20  # each chunk is a file
_ZARR_VERSION: Final = 2  # what anndata 0.12 writes by default; zarr before 3 reads no other
# lzf writes 2.5 times as fast, but files a third larger, which readers other than h5py do not know.
_H5_FILTERS = {"compression": "gzip", "compression_opts": 1, "shuffle": True}

_OTHER_SLASHES = str.maketrans({"/": "\u2215", "\\": "\u2216"})  # DIVISION SLASH and SET MINUS
_RESERVED = frozenset({"", ".", "..", "_index", ".zarray", ".zattrs", ".zgroup", ".zmetadata", "zarr.json"})
_NULLABLE = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}
_ARROW_TELLS = (
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_string_view,
    pa.types.is_dictionary,
    pa.types.is_null,
    pa.types.is_date,
    pa.types.is_time,
    pa.types.is_timestamp,
    pa.types.is_decimal,
)


def write(  # noqa: PLR0913, PLR0917  what a profile is, where it goes and how
    tables: Iterable[pa.Table],
    schema: pa.Schema,
    features: Sequence[str],
    rows: int,
    path: Path,
    kind: AnnDataFormat,
) -> None:
    """Writes a profile to an .h5ad file or a .zarr folder, in one pass over its pieces, replacing what is there.

    `tables` are the profile's pieces in order, each with `schema`, of `rows` rows together. X is `rows` x `features`,
    float32 if all features are, else float64, NaN for null; var has the features' names. The other columns are obs:
    integers and booleans (pandas' nullable ones where there are nulls), floats with NaN for null, and all else as
    categoricals of text. obs is named "0" to "rows - 1" and is held in memory; of X, one piece at a time is.

    A slash or backslash in the name of an obs column, where the stores would see a path, becomes a look-alike. A name
    that they reserve, or that another column has then, gets underscores behind it.

    Raises InternalError if the pieces have another number of rows than `rows`, and what pyarrow, anndata and the disk
    raise; then there is nothing at `path`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    skeleton = AnnData(var=pd.DataFrame(index=_index(features)))
    chosen = set(features)
    others = [name for name in schema.names if name not in chosen]
    with ExitStack() as undo:
        undo.callback(_remove, path)
        with _STORES[kind](path, skeleton, (rows, len(features)), _dtype(schema, features)) as group:
            filling = _Filling(group["X"], features, others)
            # Unlike a loop's variable, map does not keep a piece while the next is made.
            pieces = [_compact(schema.empty_table(), others), *map(filling.take, tables)]
            _expect(filling.rows == rows, filling.rows, rows)
            write_elem(group, "obs", _obs(pa.concat_tables(pieces), _obs_names(others, features), rows))
        undo.pop_all()


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _index(names: Iterable[str]) -> pd.Index:
    return pd.Index(list(names), dtype=object)


def _expect(holds: bool, rows: int, said: int) -> None:
    if not holds:
        raise InternalError("a profile has not the rows that it was said to have", why=f"{rows} and not {said}")


def _dtype(schema: pa.Schema, features: Sequence[str]) -> np.dtype[Any]:
    single = features and all(pa.types.is_float32(schema.field(name).type) for name in features)
    return np.dtype(np.float32 if single else np.float64)


def _chunks(shape: tuple[int, int], dtype: np.dtype[Any], budget: int) -> tuple[int, int]:
    rows, columns = shape
    return max(1, min(rows, budget // max(1, columns * dtype.itemsize))), max(1, columns)


@contextmanager
def _h5ad(path: Path, skeleton: AnnData, shape: tuple[int, int], dtype: np.dtype[Any]) -> Iterator[h5py.Group]:
    skeleton.write_h5ad(path)
    # A chunk that a piece fills in part waits in the cache for the next piece, and is compressed once.
    with h5py.File(path, "r+", rdcc_nbytes=4 * _H5_CHUNK_BYTES) as file:
        chunked = {} if 0 in shape else {"chunks": _chunks(shape, dtype, _H5_CHUNK_BYTES), **_H5_FILTERS}
        file.create_dataset("X", shape=shape, dtype=dtype, **chunked)
        yield file


@contextmanager
def _zarr(path: Path, skeleton: AnnData, shape: tuple[int, int], dtype: np.dtype[Any]) -> Iterator[zarr.Group]:
    group = zarr.open_group(path, mode="w", zarr_format=_ZARR_VERSION)
    write_elem(group, "/", skeleton)
    if "raw" in group:  # a null, which anndata before 0.12 cannot read
        del group["raw"]
    group.create_array("X", shape=shape, dtype=dtype, chunks=_chunks(shape, dtype, _ZARR_CHUNK_BYTES))
    yield group
    zarr.consolidate_metadata(group.store)


_Opener = Callable[[Path, AnnData, tuple[int, int], np.dtype[Any]], AbstractContextManager[Any]]
_STORES: dict[AnnDataFormat, _Opener] = {AnnDataFormat.H5AD: _h5ad, AnnDataFormat.ZARR: _zarr}


class _Filling:
    """Fills X from the top; `rows` are filled."""

    def __init__(self, x: Any, features: Sequence[str], others: Sequence[str]) -> None:
        self._x = x
        x.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
        self._schema = pa.schema([(name, pa.from_numpy_dtype(x.dtype)) for name in features])
        self._others = others
        self.rows = 0

    def take(self, table: pa.Table) -> pa.Table:
        """Writes the features of the next rows; returns the other columns, made small."""
        start, stop = self.rows, self.rows + table.num_rows
        _expect(stop <= self._x.shape[0], stop, self._x.shape[0])
        if start < stop and self._schema.names:
            self._write(table.select(self._schema.names).cast(self._schema, safe=False), start, stop)
        self.rows = stop
        return _compact(table, self._others)

    def _write(self, features: pa.Table, start: int, stop: int) -> None:
        step = self._x.chunks[0]
        for first, last in pairwise([start, *range(start - start % step + step, stop, step), stop]):
            (batch,) = features.slice(first - start, last - first).combine_chunks().to_batches()
            self._x[first:last] = batch.to_tensor(null_to_nan=True).to_numpy()


def _compact(table: pa.Table, names: Iterable[str]) -> pa.Table:
    return pa.table({name: _number_or_text(table[name]) for name in names})


def _number_or_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Numbers and booleans as they are, all else as dictionaries of text."""
    kind = column.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind):
        return column
    if not any(test(kind) for test in _ARROW_TELLS):
        texts = [None if value is None else str(value) for value in column.to_pylist()]
        column = pa.chunked_array([pa.array(texts, pa.large_string())])
    return column.cast(pa.large_string()).dictionary_encode()


def _obs(table: pa.Table, names: Sequence[str], rows: int) -> pd.DataFrame:
    columns = {name: _values(column) for name, column in zip(names, table.columns, strict=True)}
    obs = pd.DataFrame(columns, index=pd.RangeIndex(rows))
    obs.index = _index(map(str, range(rows)))
    return obs


def _values(column: pa.ChunkedArray) -> Any:
    if pa.types.is_dictionary(column.type):
        return _categorical(column.unify_dictionaries().combine_chunks())
    if pa.types.is_floating(column.type):
        return column.to_numpy()
    if pa.types.is_integer(column.type):
        column = column.cast(pa.int64())
    return column.to_pandas(types_mapper=_NULLABLE.get if column.null_count else None)


def _categorical(column: pa.DictionaryArray) -> pd.Categorical:
    texts = column.dictionary.to_pylist()
    codes = column.indices.fill_null(-1).to_numpy()
    return pd.Categorical.from_codes(codes, _index(texts)).reorder_categories(_index(sorted(texts)))


def _obs_names(columns: Sequence[str], features: Iterable[str]) -> list[str]:
    """Names that both stores can hold, one for each column, and none of them a feature's."""
    kept = {name for name in columns if name not in _RESERVED and name == name.translate(_OTHER_SLASHES)}
    taken = {*_RESERVED, *kept, *features}
    return [name if name in kept else _free(name.translate(_OTHER_SLASHES), taken) for name in columns]


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    taken.add(name)
    return name
