"""The only writer of AnnData. X is written one row group at a time, so that a profile is never whole in memory."""

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import h5py
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import zarr
from anndata import AnnData
from anndata.io import write_elem

from cytobatch.config.option_types import AnnDataFormat, AnnDataPrecision
from cytobatch.config.plural import plural
from cytobatch.errors import ConfigurationError, InternalError
from cytobatch.output.row_groups import RowGroup, as_table
from cytobatch.output.sink import OutputSpec
from cytobatch.output.written_file import WrittenFile

_H5_CHUNK_BYTES = 4 * 2**20
_ZARR_CHUNK_BYTES = 16 * 2**20  # each chunk is a file
_ZARR_VERSION: Final = 2  # what anndata 0.12 writes by default; zarr before 3 reads no other
# lzf writes 2.5 times as fast, but files a third larger, which readers other than h5py do not know.
_H5_FILTERS = {"compression": "gzip", "compression_opts": 1, "shuffle": True}

_UNS, _SPATIAL = "cytobatch", "spatial"

_OTHER_SLASHES = str.maketrans({"/": "\u2215", "\\": "\u2216"})  # DIVISION SLASH and SET MINUS
# anndata takes a frame with a column "dtype" for an array.
_RESERVED = frozenset({"", ".", "..", "_index", "dtype", ".zarray", ".zattrs", ".zgroup", ".zmetadata", "zarr.json"})
_NULLABLE = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}
# Arrow casts these types to text; of all others, Python's `str` makes it.
_CAST_TO_TEXT = (
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


@contextmanager
def open_anndata(
    output: OutputSpec,
    kind: AnnDataFormat,
    precision: AnnDataPrecision | None = None,
    metadata: Mapping[str, str] | None = None,
) -> Iterator["AnnDataWriter"]:
    """Open a writer of an .h5ad file or a .zarr folder, which replaces what is there.

    X is `(rows, features)`: float32 if all features are or `precision` asks for it, else float64, NaN for null. `var`
    has the features' names, and what `output.columns` has about them. The other columns are `obs`: integers and
    booleans (pandas' nullable types where there are nulls), floats with NaN for null, and all other types as
    categoricals of text. `obs` is named "0" to "rows - 1" and is held in memory; of X, one row group at a time is.

    With `output.centers`, `obsm["spatial"]` is float64, `(rows, 2)`: x and y of each object, in pixels of its image, as
    scanpy and squidpy expect it. `uns["cytobatch"]` has the `metadata`.

    A slash or backslash in the name of an `obs` column, which the stores would take for a path, becomes a look-alike. A
    name that they or anndata reserve, or that another column already has, gets underscores at its end.

    Parameters
    ----------
    output
        Path, schema, features, and the number of rows, which must be known.
    kind
        The format.
    precision
        The type of X. A value beyond float32 is an error; others are rounded to its 24 bits.
    metadata
        The origin of the rows, by key.

    Raises
    ------
    ConfigurationError
        If a value does not fit the type of X.
    InternalError
        If the row groups do not have `output.rows` rows together. After this, or another error, there is nothing at the
        path.
    """
    rows = _known_rows(output)
    output.path.parent.mkdir(parents=True, exist_ok=True)
    skeleton = AnnData(var=_var(output), uns={_UNS: dict(metadata)} if metadata else {})
    shape, dtype = (rows, len(output.features)), _dtype(output.schema, output.features, precision)
    with ExitStack() as undo:
        undo.callback(_remove, output.path)
        with _STORES[kind](output.path, skeleton, shape, dtype) as group:
            writer = AnnDataWriter(output, group["X"])
            yield writer
            _check_rows(writer.rows, rows, complete=True)
            write_elem(group, "obs", writer.obs())
            if output.centers is not None:
                write_elem(group["obsm"], _SPATIAL, writer.centers())
        undo.pop_all()


class AnnDataWriter:
    """Fills X row group by row group, and keeps the other columns, as compact as `obs` needs them."""

    def __init__(self, output: OutputSpec, x: Any) -> None:
        self._output = output
        self._x = x
        x.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
        # Doubles are rounded a chunk at a time, because a whole row group as doubles and floats is larger.
        as_read = _dtype(output.schema, output.features, None)
        self._features = pa.schema([(name, pa.from_numpy_dtype(as_read)) for name in output.features])
        features = set(output.features)
        self._others = [name for name in output.schema.names if name not in features]
        self._kept = [_compact(output.schema.empty_table(), self._others)]
        self._centers = [np.empty((0, 2))]
        self.rows = 0

    def write(self, group: RowGroup) -> None:
        """Write the features of the next rows, and keep the other columns. Raises InternalError beyond X's last row."""
        start, stop = self.rows, self.rows + group.num_rows
        _check_rows(stop, self._x.shape[0], complete=False)
        table = as_table(group)
        if start < stop and self._features.names:
            self._fill(table.select(self._features.names).cast(self._features, safe=False), start, stop)
        self._kept.append(_compact(table, self._others))
        if self._output.centers is not None:
            axes = [table[name].cast(pa.float64()).to_numpy() for name in self._output.centers]
            self._centers.append(np.column_stack(axes))
        self.rows = stop

    def _fill(self, features: pa.Table, start: int, stop: int) -> None:
        """Write rows `start` to `stop` of X, one of its chunks at a time."""
        step = self._x.chunks[0]
        for first, last in pairwise([start, *range(start - start % step + step, stop, step), stop]):
            (batch,) = features.slice(first - start, last - first).combine_chunks().to_batches()
            self._x[first:last] = self._rounded(batch.to_tensor(null_to_nan=True).to_numpy())

    def _rounded(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return rows, `(rows, features)`, in the type of X. Raises ConfigurationError if a value becomes infinite."""
        with np.errstate(over="ignore"):
            rounded = values.astype(self._x.dtype, copy=False)
        if rounded is not values:
            beyond = (np.isinf(rounded) & ~np.isinf(values)).any(axis=0)
            if beyond.any():
                features = plural(int(beyond.sum()), "feature has", "features have")
                raise ConfigurationError(
                    f"values of {self._output.features[int(beyond.argmax())]!r} do not fit {self._x.dtype}",
                    where="anndata_precision",
                    why=f"{features} values beyond {np.finfo(self._x.dtype).max:.3g}",
                    remedy="leave the option out",
                )
        return rounded

    def centers(self) -> npt.NDArray[np.float64]:
        """Return x and y of all rows: `float64, (rows, 2)`."""
        return np.concatenate(self._centers)

    def obs(self) -> pd.DataFrame:
        """Return the other columns of all rows."""
        table = pa.concat_tables(self._kept)
        columns = map(_values, table.columns)
        obs = pd.DataFrame(
            dict(zip(_obs_names(self._others, self._output.features), columns, strict=True)),
            index=pd.RangeIndex(self.rows),
        )
        obs.index = _index(map(str, range(self.rows)))
        return obs

    def written(self) -> WrittenFile:
        """Describe the finished file or folder."""
        return WrittenFile.measure(self._output.path, self.rows, len(self._output.schema))


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _index(names: Iterable[str]) -> pd.Index:
    return pd.Index(list(names), dtype=object)


def _known_rows(output: OutputSpec) -> int:
    if output.rows is None:
        raise InternalError("AnnData needs the number of rows", where=str(output.path), why="the output has none")
    return output.rows


def _check_rows(written: int, expected: int, *, complete: bool) -> None:
    """Raise InternalError if more rows were written than expected, or fewer once the output is complete."""
    if written > expected or (complete and written < expected):
        raise InternalError("a profile has another number of rows than expected", why=f"{written} and not {expected}")


def _var(output: OutputSpec) -> pd.DataFrame:
    """Return what is known about the features. Two channels are joined by a semicolon."""
    var = pd.DataFrame(index=_index(output.features))
    if output.columns is None:
        return var
    by_name = {column.name: column for column in output.columns.columns}
    columns = [by_name[name] for name in output.features]
    texts = {
        "compartment": [column.compartment for column in columns],
        "feature_group": [column.feature_group for column in columns],
        "channel": [";".join(column.channels) or None for column in columns],
        "source_table": [column.source_table for column in columns],
        "source_column": [column.source_column for column in columns],
    }
    for name, values in texts.items():
        var[name] = pd.Categorical(values, categories=_index(sorted({value for value in values if value is not None})))
    return var


def _dtype(schema: pa.Schema, features: Sequence[str], precision: AnnDataPrecision | None) -> np.dtype[Any]:
    """Return the type that is asked for, or float32 if all features are, else float64."""
    if precision is not None:
        return np.dtype(str(precision))
    single = features and all(pa.types.is_float32(schema.field(name).type) for name in features)
    return np.dtype(np.float32 if single else np.float64)


def _chunks(shape: tuple[int, int], dtype: np.dtype[Any], budget: int) -> tuple[int, int]:
    """Return the shape of a chunk of at most `budget` bytes, which has all columns of one row at least."""
    rows, columns = shape
    return max(1, min(rows, budget // max(1, columns * dtype.itemsize))), max(1, columns)


@contextmanager
def _h5ad(path: Path, skeleton: AnnData, shape: tuple[int, int], dtype: np.dtype[Any]) -> Iterator[h5py.Group]:
    skeleton.write_h5ad(path)
    # A chunk that a row group fills in part stays in the cache until the next one, and is compressed once.
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


def _compact(table: pa.Table, names: Iterable[str]) -> pa.Table:
    """Return some columns as numbers, booleans and dictionaries of text."""
    return pa.table({name: _number_or_text(table[name]) for name in names})


def _number_or_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return numbers and booleans as they are, all other types as dictionaries of text."""
    kind = column.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind):
        return column
    if not any(test(kind) for test in _CAST_TO_TEXT):
        texts = [None if value is None else str(value) for value in column.to_pylist()]
        column = pa.chunked_array([pa.array(texts, pa.large_string())])
    return column.cast(pa.large_string()).dictionary_encode()


def _values(column: pa.ChunkedArray) -> Any:
    """Return a compact column as pandas or NumPy values, `(rows,)`, which anndata can write."""
    if pa.types.is_dictionary(column.type):
        return _categorical(column.unify_dictionaries().combine_chunks())
    if pa.types.is_floating(column.type):
        return column.to_numpy()
    if pa.types.is_integer(column.type):
        column = column.cast(pa.int64())
    return column.to_pandas(types_mapper=_NULLABLE.get if column.null_count else None)


def _categorical(column: pa.DictionaryArray) -> pd.Categorical:
    """Return text as a categorical, its categories sorted and null as missing."""
    texts = column.dictionary.to_pylist()
    codes = column.indices.fill_null(-1).to_numpy()
    return pd.Categorical.from_codes(codes, _index(texts)).reorder_categories(_index(sorted(texts)))


def _obs_names(columns: Sequence[str], features: Iterable[str]) -> list[str]:
    """Return a name that both stores can hold for each column. No two are equal, and no one is a feature's."""
    unchanged = {name for name in columns if name not in _RESERVED and name == name.translate(_OTHER_SLASHES)}
    taken = {*_RESERVED, *unchanged, *features}
    return [name if name in unchanged else _free_name(name.translate(_OTHER_SLASHES), taken) for name in columns]


def _free_name(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    taken.add(name)
    return name
