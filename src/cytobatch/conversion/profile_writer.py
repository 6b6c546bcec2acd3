"""Where converted rows go: Parquet files on the scratch disk, cast, without nulls if asked for, and counted."""

import re
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from cytobatch.config.options import PARQUET
from cytobatch.conversion.ledger import RunLedger, sites_of
from cytobatch.conversion.nonfinite import NonFinite, non_finite
from cytobatch.conversion.resources import RunResources
from cytobatch.errors import ConfigurationError
from cytobatch.formats.base import ConversionPlan
from cytobatch.output.parquet import Encoder, ParquetFile, row_group_rows, row_groups
from cytobatch.output.row_groups import RowGroup, Rows, as_table
from cytobatch.output.written_file import WrittenFile
from cytobatch.planning.schema import cast_groups

# File systems take names of 255 bytes, and a suffix, a number and a temporary name come on top.
_LONGEST = 180


def flat_name(text: str) -> str:
    """A name for files: a path or a table's name in one piece, with what a file system or a URI may mind replaced.

    One that is too long is cut, and ends in the checksum of the whole.
    """
    flat = re.sub(r"[^\w.=+-]+", "-", text.strip("./")).strip("-") or "export"
    whole = flat.encode()
    if len(whole) <= _LONGEST:
        return flat
    return f"{whole[:_LONGEST].decode(errors='ignore')}-{zlib.crc32(text.encode()):08x}"


def file_name(export: str) -> str:
    """A file name for an export, by its path."""
    return f"{flat_name(export)}{PARQUET}"


@dataclass(frozen=True, slots=True)
class _CastRows:
    """Rows with other types, into which columns are cast when they are wanted."""

    rows: RowGroup
    schema: pa.Schema

    @property
    def num_rows(self) -> int:
        return self.rows.num_rows

    def select(self, numbers: Sequence[int]) -> pa.Table:
        """Raises ConfigurationError where a value does not fit."""
        fields = [self.schema.field(number) for number in numbers]
        columns = self.rows.select(numbers).columns
        return pa.table(list(map(_cast, columns, fields)), schema=pa.schema(fields))


def _cast(column: pa.ChunkedArray, field: pa.Field) -> pa.ChunkedArray:
    try:
        return column.cast(field.type)
    except pa.ArrowInvalid as error:
        raise ConfigurationError(
            f"values of {field.name!r} do not fit {field.type}",
            where="data_type_cast_map",
            why=str(error),
            remedy="ask for a wider type",
        ) from error


class _NonFiniteCounter:
    """Rows whose columns are looked at while they are wanted: `odd` are those that are not all finite numbers."""

    def __init__(self, rows: RowGroup) -> None:
        self._rows = rows
        self._odd: dict[int, list[NonFinite]] = {}

    @property
    def num_rows(self) -> int:
        return self._rows.num_rows

    @property
    def schema(self) -> pa.Schema:
        return self._rows.schema

    @property
    def odd(self) -> list[NonFinite]:
        """Of the columns that were wanted, in their order."""
        return [column for first in sorted(self._odd) for column in self._odd[first]]

    def select(self, numbers: Sequence[int]) -> pa.Table:
        table = self._rows.select(numbers)
        self._odd[min(numbers)] = non_finite(table)
        return table


@dataclass(frozen=True, slots=True)
class WrittenProfile:
    """A written file of profile rows, and which of its columns measure objects."""

    file: WrittenFile
    features: tuple[str, ...]


class ProfileWriter:
    """Writes Parquet files below `resources.out`; `files` has them by their name there, once they are complete.

    `profiles` are those with features: of joined rows.
    """

    def __init__(
        self, plan: ConversionPlan, resources: RunResources, ledger: RunLedger, metadata: Mapping[str, str]
    ) -> None:
        self._job = plan.job
        self._source_bytes = plan.size
        self._out = resources.out
        self._executor = resources.executor
        self._ledger = ledger
        self._metadata = metadata
        self._encoders: list[Encoder] = []
        self.files: dict[str, WrittenFile] = {}
        self.profiles: dict[str, WrittenProfile] = {}

    def write(
        self,
        name: str,
        schema: pa.Schema,
        coming: Iterable[Rows],
        features: Sequence[str] | None = None,
        *,
        may_be_null: Collection[str] = (),
    ) -> None:
        """One file from rows of one schema; of profile rows, if its features are named. They are counted.

        Rows with nulls are dropped if the job says so, but for columns that `may_be_null`.
        """
        size = self.row_group_rows(len(schema))
        groups = row_groups(coming, size)
        if self._job.drop_null:
            groups = row_groups(map(partial(self._without_nulls, may_be_null), groups), size)
        self._store(name, schema, self._counted(groups, with_places=features is not None), features)

    def store(
        self, name: str, schema: pa.Schema, tables: Iterable[pa.Table], features: Sequence[str] | None = None
    ) -> None:
        """One file from tables of one schema, as they are but for the types that the job casts to."""
        self._store(name, schema, row_groups(tables, self.row_group_rows(len(schema))), features)

    def _store(self, name: str, schema: pa.Schema, groups: Iterable[RowGroup], features: Sequence[str] | None) -> None:
        name = self._free_name(name)
        final = cast_groups(schema, self._job.data_type_cast_map)
        with ParquetFile(self._out / name, self._encoder(final), self._metadata) as file:
            for group in groups:
                file.write(group if group.schema.equals(final) else _CastRows(group, final))
                # Not held while the next one is made.
                del group
        self.files[name] = file.written()
        if features is not None:
            self.profiles[name] = WrittenProfile(self.files[name], tuple(features))

    def _encoder(self, schema: pa.Schema) -> Encoder:
        """That of the last file, if it is of this schema too, as are those of thousands of exports."""
        if not self._encoders or not self._encoders[0].schema.equals(schema):
            self._encoders = [Encoder(schema, self._executor)]
        return self._encoders[0]

    def _counted(self, groups: Iterable[RowGroup], *, with_places: bool) -> Iterator[RowGroup]:
        for group in groups:
            self._ledger.rows += group.num_rows
            places = self._executor.submit_next(partial(sites_of, group)) if with_places else set
            looked = _NonFiniteCounter(group)
            yield looked
            self._ledger.odd_values(looked.odd)
            self._ledger.places |= places()
            del group, looked, places

    def row_group_rows(self, columns: int) -> int:
        """Rows of a row group of so many columns: as the job says, or as fits the plate."""
        return self._job.chunk_size or row_group_rows(columns, self._source_bytes)

    def path_of(self, name: str) -> Path:
        """Where a file goes by its name below the destination."""
        return self._out / name

    def _free_name(self, name: str) -> str:
        """The name, numbered if two exports would share it: `a/b` and `a-b` are both `a-b.parquet`."""
        free, number = name, 1
        while free in self.files:
            number += 1
            free = f"{name.removesuffix(PARQUET)}-{number}{PARQUET}"
        return free

    def _without_nulls(self, may_be_null: Collection[str], rows: RowGroup) -> pa.Table:
        table = as_table(rows)
        whole = pa.repeat(pa.scalar(value=True), table.num_rows)
        for name in table.column_names:
            if name not in may_be_null and table[name].null_count:
                whole = pc.and_(whole, table[name].is_valid())
        kept = table.filter(whole)
        self._ledger.rows_dropped += table.num_rows - kept.num_rows
        return kept
