"""DeepProfiler's NPZ files: a matrix of features, the objects' locations, and metadata of their image."""

import functools
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from cytobatch.readers.npz.archive import Archive, invalid_file, open_archive
from cytobatch.readers.npz.safe_pickle import NotPlainError, Scalar, in_short, read_dictionary
from cytobatch.readers.numbers import Repair, read_numbers

CENTERS = ("Location_Center_X", "Location_Center_Y")
"""The columns of an object's position."""
_LARGEST_METADATA = 64 * 2**20
_MAX_FEATURES = 100_000


@functools.lru_cache(maxsize=8)
def _feature_fields(model: str, count: int) -> tuple[pa.Field, ...]:
    """Return thousands of fields, which are the same in thousands of files."""
    return tuple(pa.field(f"{model}_{number}", pa.float64()) for number in range(1, count + 1))


@dataclass(frozen=True, slots=True)
class NpzHead:
    """The content of an NPZ file without its numbers.

    Attributes
    ----------
    rows, features
        Shape of the matrix of features.
    metadata
        A scalar, or a column, (rows,), by key.
    members
        Names of the archive's members without `.npy`.
    """

    rows: int
    features: int
    metadata: Mapping[str, Scalar | pa.Array]
    members: frozenset[str]

    @property
    def content_bytes(self) -> int:
        """Bytes of all values as doubles. Zeros are compressed to a thousandth of their size in the file."""
        return 8 * self.rows * (self.features + len(CENTERS) + len(self.metadata))

    @property
    def model(self) -> str:
        """The name of the model that computed the features."""
        model = self.metadata.get("Metadata_Model")
        return "DP" if model is None or isinstance(model, pa.Array) or model == "" else str(model)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Return the names of the features: the name of the model that computed them, and a number."""
        return tuple(field.name for field in _feature_fields(self.model, self.features))

    @property
    def schema(self) -> pa.Schema:
        """Return the columns of the file: its name, metadata, locations if it has them, and features."""
        locations = CENTERS if "locations" in self.members else ()
        return pa.schema(
            [
                pa.field("Metadata_NPZSource", pa.string()),
                *(pa.field(key, _column(value, 0).type) for key, value in self.metadata.items()),
                *(pa.field(name, pa.float64()) for name in locations),
                *_feature_fields(self.model, self.features),
            ]
        )


def read_head(path: Path) -> NpzHead:
    """Read sizes, metadata and names of a file. Of features and locations, which may be large, it reads the headers.

    Raises InvalidTableError if the file is empty, cut short, damaged, encrypted or not an archive, if a member is not
    the array that it should be, or if metadata are more than plain values. Only `features` must be present.
    """
    with open_archive(path) as archive:
        return _read_head(archive)


def stream(
    path: Path, schema: pa.Schema, repairs: list[Repair], forced: Collection[str] = ()
) -> Iterator[pa.RecordBatch]:
    """Stream columns of an NPZ file as one batch.

    Parameters
    ----------
    path
        The file.
    schema
        Columns of the head's schema, of its types or wider ones.
    repairs
        Gets the texts in the columns `forced` that are not numbers.
    forced
        Names of columns in which text that is not a number becomes null.

    Yields
    ------
    One batch under the schema.

    Raises
    ------
    InvalidTableError
        As `read_head` does, and if data are not whole or do not fit the schema.
    """
    with open_archive(path) as archive:
        head = _read_head(archive)
        matrices = [archive.matrix(name) for name in ("locations", "features") if name in head.members]
    arrays = [_column(value, head.rows) for value in (path.name, *head.metadata.values())]
    arrays.extend(pa.array(numbers) for matrix in matrices for numbers in matrix)
    columns = dict(zip(head.schema.names, arrays, strict=True))
    numeric = [field for field in schema if field.name in forced and not pa.types.is_string(field.type)]
    columns |= {field.name: _force_numbers(path, columns[field.name], field, repairs) for field in numeric}
    yield pa.RecordBatch.from_arrays([_cast(path, columns, field) for field in schema], schema=schema)


def _read_head(archive: Archive) -> NpzHead:
    path, members = archive.path, archive.members
    rows, features = archive.shape("features")
    if features > _MAX_FEATURES or (rows and not features):
        raise invalid_file(path, "features cannot be columns", f"there are {features} for each of {rows} rows")
    locations = archive.shape("locations") if "locations" in members else (rows, 2)
    if locations != (rows, 2):
        why = f"locations are {locations[0]} x {locations[1]} where features have {rows} rows"
        raise invalid_file(path, "locations do not fit the features", why)
    head = NpzHead(rows, features, _read_metadata(archive, rows) if "metadata" in members else {}, frozenset(members))
    names = head.schema.names
    if len(set(names)) < len(names):
        repeated = [name for name, count in Counter(names).items() if count > 1]
        raise invalid_file(path, "duplicate columns", f"metadata repeats {', '.join(map(repr, repeated[:3]))}")
    return head


def _read_metadata(archive: Archive, rows: int) -> dict[str, Scalar | pa.Array]:
    try:
        return read_dictionary(archive.pickle("metadata", _LARGEST_METADATA), rows)
    except NotPlainError as error:
        raise invalid_file(archive.path, f"metadata {error.what}", error.why) from error


def _column(value: Scalar | pa.Array, rows: int) -> pa.Array:
    """Return a column, (rows,), of one value, or the column that metadata have."""
    return value if isinstance(value, pa.Array) else pa.repeat(value, rows)


def _force_numbers(path: Path, column: pa.Array, field: pa.Field, repairs: list[Repair]) -> pa.Array:
    """Convert a column of text, (rows,), to the field's type; text that is not a number becomes null."""
    if not pa.types.is_string(column.type):
        return column
    texts = pa.chunked_array([column])
    numbers, repaired = read_numbers(field.name, texts, field.type, path.name, otherwise_null=True)
    repairs.extend(repaired)
    return numbers.combine_chunks()


def _cast(path: Path, columns: Mapping[str, pa.Array], field: pa.Field) -> pa.Array:
    """Return the column of a field in its type. Raises InvalidTableError if there is none, or it does not fit."""
    if field.name not in columns:
        raise invalid_file(path, f"no column {field.name!r}", "it is among the columns wanted")
    column = columns[field.name]
    try:
        return column if column.type.equals(field.type) else column.cast(field.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise invalid_file(path, f"column {field.name!r} cannot be {field.type}", in_short(error)) from error
