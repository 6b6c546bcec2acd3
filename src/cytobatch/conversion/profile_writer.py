"""Writes converted rows to sinks: cast, without nulls if the job drops them, and counted."""

import itertools
import re
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from cytobatch.conversion.column_lists import UNKNOWN, ColumnDescriber, ColumnLists, KnownColumns
from cytobatch.conversion.ledger import RunLedger, sites_of
from cytobatch.conversion.nonfinite import NonFinite, non_finite
from cytobatch.conversion.run_resources import RunResources
from cytobatch.conversion.work_done import WorkCounter
from cytobatch.errors import ConfigurationError
from cytobatch.output.column_list import ColumnList
from cytobatch.output.reread import append_part, write_from_parquet
from cytobatch.output.row_groups import RowGroup, Rows, as_table, regroup, row_group_rows
from cytobatch.output.sink import OutputSpec, RowGroupWriter, RowSource, Sink, SinkResources
from cytobatch.output.written_file import WrittenFile
from cytobatch.planning.schema import cast_groups
from cytobatch.survey.model import Survey

# File systems accept names of 255 bytes; a number, a suffix and a temporary name are added to these.
_MAX_STEM_BYTES = 180


def file_stem(text: str) -> str:
    """Return a file name without suffix for a path or a table's name, with valid characters only.

    If it would be too long it is cut, and ends in the checksum of the whole text.
    """
    stem = re.sub(r"[^\w.=+-]+", "-", text.strip("./")).strip("-") or "export"
    encoded = stem.encode()
    if len(encoded) <= _MAX_STEM_BYTES:
        return stem
    return f"{encoded[:_MAX_STEM_BYTES].decode(errors='ignore')}-{zlib.crc32(text.encode()):08x}"


@dataclass(frozen=True, slots=True)
class _CastRows:
    """A view of rows that casts columns to other types when they are selected."""

    rows: RowGroup
    schema: pa.Schema

    @property
    def num_rows(self) -> int:
        return self.rows.num_rows

    def select(self, numbers: Sequence[int]) -> pa.Table:
        """Return some columns, cast. Raises ConfigurationError if a value does not fit its type."""
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
    """A view of rows that counts the values of selected columns that are no finite numbers, once for each column."""

    def __init__(self, rows: RowGroup, work: WorkCounter) -> None:
        self._rows = rows
        self._work = work
        self._counts: dict[str, NonFinite] = {}

    @property
    def num_rows(self) -> int:
        return self._rows.num_rows

    @property
    def schema(self) -> pa.Schema:
        return self._rows.schema

    @property
    def counts(self) -> list[NonFinite]:
        """The selected columns that have such values, in the order of the schema."""
        return sorted(self._counts.values(), key=lambda count: self.schema.get_field_index(count.column))

    def select(self, numbers: Sequence[int]) -> pa.Table:
        """Return some columns, and count their values."""
        table = self._rows.select(numbers)
        self._counts |= {count.column: count for count in non_finite(table)}
        self._work.columns_assembled(len(numbers))
        return table


@dataclass(frozen=True, slots=True)
class WrittenProfile:
    """The Parquet file of profile rows, which of its columns measure objects, and what its columns are."""

    file: WrittenFile
    features: tuple[str, ...]
    columns: ColumnList
    centers: tuple[str, str] | None = None


class ProfileWriter:
    """Writes outputs below `resources.out`, each to all sinks that take it.

    `files` has the finished outputs by their name below that folder. `profiles` has those with features, which are
    profile rows, by their name without suffix. Re-reading sinks read the files of the first sink, which is Parquet.
    """

    def __init__(
        self,
        survey: Survey,
        resources: RunResources,
        ledger: RunLedger,
        metadata: Mapping[str, str],
        sinks: Sequence[Sink],
    ) -> None:
        self._job = survey.plan.job
        self._source_bytes = survey.plan.size
        self._out = resources.out
        self._executor = resources.executor
        self._work = resources.work
        self._ledger = ledger
        self._sinks = sinks
        self._sink_resources = SinkResources(resources.executor, metadata, ledger.warn)
        self._lists = ColumnLists(ColumnDescriber.of_survey(survey))
        self._stems: set[str] = set()
        self.files: dict[str, WrittenFile] = {}
        self.profiles: dict[str, WrittenProfile] = {}

    def write(
        self,
        stem: str,
        schema: pa.Schema,
        ranges: Iterable[Iterable[Rows]],
        features: Sequence[str] | None = None,
        known: KnownColumns = UNKNOWN,
    ) -> None:
        """Write one output from rows of one schema, and count the rows; profile rows have their features named.

        The rows come in ranges, and no row group has rows of two of them. If the job drops nulls, rows with nulls are
        left out, except for nulls in columns that may be null.
        """
        size = self.row_group_rows(len(schema))
        groups = itertools.chain.from_iterable(self._row_groups(batches, size, known.may_be_null) for batches in ranges)
        self._store(stem, schema, self._counted(groups, with_sites=features is not None), features, known)

    def _row_groups(self, batches: Iterable[Rows], size: int, may_be_null: Collection[str]) -> Iterator[RowGroup]:
        """Return the rows of a range in row groups, without rows with nulls if the job drops them."""
        groups = regroup(batches, size)
        if not self._job.drop_null:
            return groups
        return regroup(map(partial(self._without_nulls, may_be_null), groups), size)

    def splice(
        self,
        stem: str,
        schema: pa.Schema,
        parts: Iterable[Path],
        features: Sequence[str],
        known: KnownColumns,
    ) -> None:
        """Write one output of profile rows from its finished parts, which are Parquet files that `write` has written.

        Their row groups follow one another. A part may be removed as soon as the next one is asked for.
        """
        output = self._output(stem, schema, features, known)
        with self._opened(output, profiles=True) as writers:
            for part in parts:
                for writer in writers.values():
                    append_part(writer, part)
        self._add(output, {name: writer.written() for name, writer in writers.items()}, is_profile=True)

    def store(
        self,
        stem: str,
        schema: pa.Schema,
        tables: Iterable[pa.Table],
        features: Sequence[str] | None = None,
        known: KnownColumns = UNKNOWN,
    ) -> None:
        """Write one output from tables of one schema, unchanged except for the types that the job casts to."""
        self._store(stem, schema, regroup(tables, self.row_group_rows(len(schema))), features, known)

    def store_record(self, stem: str, table: pa.Table) -> None:
        """Write a table that measures nothing. It has no list of columns."""
        path = self._out / self._free_stem(stem)
        groups = regroup([table], self.row_group_rows(table.num_columns))
        self.files |= self._written(OutputSpec(path, table.schema), groups, profiles=False)

    def _store(
        self,
        stem: str,
        schema: pa.Schema,
        groups: Iterable[RowGroup],
        features: Sequence[str] | None,
        known: KnownColumns,
    ) -> None:
        output = self._output(stem, schema, features or (), known)
        written = self._written(output, groups, profiles=features is not None)
        self._add(output, written, is_profile=features is not None)

    def _output(self, stem: str, schema: pa.Schema, features: Sequence[str], known: KnownColumns) -> OutputSpec:
        """Return the output of a name that is free, with its final types and the list of its columns."""
        stem = self._free_stem(stem)
        final = cast_groups(schema, self._job.data_type_cast_map)
        columns = self._lists.list_of(stem, final, tuple(features), known)
        return OutputSpec(self._out / stem, final, tuple(features), columns=columns, centers=known.centers)

    def _add(self, output: OutputSpec, written: Mapping[str, WrittenFile], *, is_profile: bool) -> None:
        """Add a written output to `files`, and to `profiles`."""
        self.files |= written
        if is_profile and output.columns is not None:
            file = next(iter(written.values()))
            stem = output.path.relative_to(self._out).as_posix()
            self.profiles[stem] = WrittenProfile(file, output.features, output.columns, output.centers)

    def _written(self, output: OutputSpec, groups: Iterable[RowGroup], *, profiles: bool) -> dict[str, WrittenFile]:
        """Write row groups to all sinks that take them, at the output's path with their suffix."""
        with self._opened(output, profiles=profiles) as writers:
            for group in groups:
                rows = group if group.schema.equals(output.schema) else _CastRows(group, output.schema)
                for writer in writers.values():
                    writer.write(rows)
                # The row group is freed before the next one is produced.
                del group, rows
        return {name: writer.written() for name, writer in writers.items()}

    @contextmanager
    def _opened(self, output: OutputSpec, *, profiles: bool) -> Iterator[dict[str, RowGroupWriter]]:
        """Open a writer of each sink that takes the row groups of a conversion, by the name of its output."""
        writers: dict[str, RowGroupWriter] = {}
        with ExitStack() as stack:
            for sink in self._streaming_sinks(profiles=profiles):
                path = output.path.with_name(f"{output.path.name}{sink.suffix}")
                opened = sink.open(replace(output, path=path), self._sink_resources)
                writers[path.relative_to(self._out).as_posix()] = stack.enter_context(opened)
            yield writers

    def _streaming_sinks(self, *, profiles: bool) -> Iterator[Sink]:
        """Yield the sinks that take row groups as the conversion produces them, Parquet first."""
        for sink in self._sinks:
            if sink.row_source is RowSource.CONVERSION and (profiles or not sink.profiles_only):
                yield sink

    def write_from_parquet(self) -> None:
        """Write each profile to the sinks that read its finished Parquet file."""
        sinks = [sink for sink in self._sinks if sink.row_source is RowSource.PARQUET]
        for stem, profile in self.profiles.items():
            for sink in sinks:
                name = f"{stem}{sink.suffix}"
                spec = OutputSpec(
                    self._out / name, pa.schema([]), profile.features, None, profile.columns, profile.centers
                )
                self.files[name] = write_from_parquet(sink, profile.file, spec, self._sink_resources)

    def write_column_lists(self) -> None:
        """Write the lists of the outputs' columns."""
        self.files |= {columns.name: columns.write(self._out) for columns in self._lists}

    def _counted(self, groups: Iterable[RowGroup], *, with_sites: bool) -> Iterator[RowGroup]:
        """Yield the row groups, and enter into the ledger what their writers selected."""
        for group in groups:
            self._ledger.rows += group.num_rows
            sites = self._executor.submit_next(partial(sites_of, group)) if with_sites else set
            self._work.group_begins(len(group.schema))
            counter = _NonFiniteCounter(group, self._work)
            yield counter
            self._work.group_ends(self._ledger.rows)
            self._ledger.add_non_finite(counter.counts)
            self._ledger.site_keys |= sites()
            del group, counter, sites

    def row_group_rows(self, columns: int) -> int:
        """Return the rows of a row group of `columns` columns: the job's `chunk_size`, or what fits the plate."""
        return self._job.chunk_size or row_group_rows(columns, self._source_bytes)

    def _free_stem(self, stem: str) -> str:
        """Return the name, numbered if it is used already: exports `a/b` and `a-b` are both `a-b`."""
        free, number = stem, 1
        while free in self._stems:
            number += 1
            free = f"{stem}-{number}"
        self._stems.add(free)
        return free

    def _without_nulls(self, may_be_null: Collection[str], rows: RowGroup) -> pa.Table:
        table = as_table(rows)
        complete = pa.repeat(pa.scalar(value=True), table.num_rows)
        for name in table.column_names:
            if name not in may_be_null and table[name].null_count:
                complete = pc.and_(complete, table[name].is_valid())
        kept = table.filter(complete)
        self._ledger.rows_dropped += table.num_rows - kept.num_rows
        return kept
