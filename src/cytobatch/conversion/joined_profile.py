"""Write the joined profile: batches of exports are joined by their keys, assembled and written."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from cytobatch.config.options import COLUMNS
from cytobatch.conversion.batch_read import BatchRead
from cytobatch.conversion.column_lists import KnownColumns
from cytobatch.conversion.conversion_run import ConversionRun
from cytobatch.conversion.export_batch import ExportBatch
from cytobatch.conversion.key_join import JoinedRows, Joiner, UnmatchedObjects, count_by_export
from cytobatch.conversion.object_flow import object_flow
from cytobatch.conversion.profile_assembler import LazyProfileRows, ProfileAssembler
from cytobatch.conversion.profile_columns import Origin, ProfileColumn, center_columns, profile_columns
from cytobatch.conversion.spliced_profile import splice_profile
from cytobatch.errors import InputDataError
from cytobatch.output.row_groups import Rows, as_table, in_ranges
from cytobatch.planning.joins import JoinPlan
from cytobatch.survey.model import SurveyedExport

_LONG_TABLE_RATIO = 2
"""A batch whose longest table has this many times the rows of its profile is assembled at once, and then freed."""


def write_profile(run: ConversionRun) -> None:
    """Write the joined profile of all exports as one output, or as an output for each export."""
    plan = run.survey.join
    if plan is None:
        raise InputDataError(
            "no compartments to join",
            where=run.job.source,
            why="no valid export has any",
            remedy="repair the exports that failed",
        )
    # The first files are fetched while the columns are computed.
    outputs = run.outputs if run.convert_parts is None else []
    batches = run.loader.expect_batches(plan.compartments, [output.ranges for output in outputs])
    columns = profile_columns(run.survey, plan, number_exports=bool(run.table_numbers))
    schema = pa.schema([(column.name, column.data_type) for column in columns])
    features = [column.name for column in columns if column.is_feature]
    locations = {column.name for column in columns if column.table == Origin.LOCATION}
    for compartment in plan.unlinked:
        run.ledger.warn(f"compartment left out of the profile: nothing links it to {plan.base}", table=compartment)
    centers = center_columns(columns, run.survey.schemas[plan.base])
    known = KnownColumns(columns, list_name=COLUMNS, centers=centers, may_be_null=locations)
    if run.convert_parts is not None:
        splice_profile(run, run.convert_parts, schema, features, known)
    for output, reads in zip(outputs, batches, strict=True):
        numbered = _numbered_rows(run, plan, columns, reads, output.range_numbers)
        run.writer.write(output.name, schema, in_ranges(numbered), features, known)


def _numbered_rows(
    run: ConversionRun,
    plan: JoinPlan,
    columns: Sequence[ProfileColumn],
    reads: Sequence[BatchRead],
    numbers: Mapping[int, int],
) -> Iterator[tuple[int, Rows]]:
    """Yield the profile rows of one output, a batch or slice at a time, with the number of their range.

    `numbers` has it by the index of the export.
    """
    profiler = _Profiler(
        Joiner(run.survey, plan, run.engine),
        ProfileAssembler(run.survey, columns, run.table_numbers),
        run.writer.row_group_rows(len(columns)),
        numbers,
    )
    for is_out_of_core, group in itertools.groupby(reads, lambda read: read.is_out_of_core):
        if is_out_of_core:
            for read in group:
                yield from _rows_out_of_core(run, profiler, read)
        else:
            yield from _rows_in_memory(run, profiler, group)


def _rows_in_memory(
    run: ConversionRun, profiler: "_Profiler", reads: Iterable[BatchRead]
) -> Iterator[tuple[int, Rows]]:
    for profiled in run.loader.batches(reads, profiler.profile):
        _record(run, profiled.batch)
        # A batch without rows may have no valid export, and so no number.
        if profiled.rows.num_rows:
            yield profiler.range_number(profiled.batch.exports), profiled.rows
        # Freed before the wait for the next batch.
        del profiled


def _rows_out_of_core(run: ConversionRun, profiler: "_Profiler", read: BatchRead) -> Iterator[tuple[int, Rows]]:
    """Yield the profile rows of a large export, which is read in slices if its rows can be read by number."""
    out_of_core = run.loader.index(read)
    if out_of_core is not None:
        batch = profiler.join(out_of_core.keys)
        slices = out_of_core.slices(batch.joined.rows, run.loader.slice_bytes)
        if slices is not None:
            _record(run, batch)
            number = profiler.range_number(read.exports)
            for rows in run.loader.slices(out_of_core, slices, profiler.assemble):
                yield number, rows
                # Freed before the wait for the next slice.
                del rows
            return
    yield from _rows_in_memory(run, profiler, [read])


@dataclass(frozen=True, slots=True)
class _JoinedBatch:
    """The result of joining a batch's keys.

    `row_counts` has by table the rows of each export by its index, `objects` how many of them are in the profile.
    """

    exports: tuple[SurveyedExport, ...]
    row_counts: Mapping[str, Mapping[int, int]]
    objects: Mapping[str, Mapping[int, int]]
    joined: JoinedRows


@dataclass(frozen=True, slots=True)
class _ProfiledBatch:
    """A joined batch, and the rows of its profile."""

    batch: _JoinedBatch
    rows: Rows


@dataclass(frozen=True, slots=True)
class _Profiler:
    """Makes the profile of a batch. Profiles of at most `max_eager_rows` rows may be assembled at once.

    `range_numbers` has the number of the range of each export, by the export's index.
    """

    joiner: Joiner
    assembler: ProfileAssembler
    max_eager_rows: int
    range_numbers: Mapping[int, int]

    def range_number(self, exports: Sequence[SurveyedExport]) -> int:
        """Return the number of the range that all exports of a batch are in."""
        return self.range_numbers[exports[0].index]

    def join(self, batch: ExportBatch) -> _JoinedBatch:
        """Join a batch, of whose tables only the key columns are needed."""
        row_counts = {name: count_by_export(exports) for name, exports in batch.export_of_row.items()}
        joined = self.joiner.join(batch)
        return _JoinedBatch(batch.exports, row_counts, {name: joined.objects_of(name) for name in row_counts}, joined)

    def profile(self, batch: ExportBatch) -> _ProfiledBatch:
        """Join a batch, in any thread. Its columns are assembled when they are encoded."""
        joined = self.join(batch)
        return _ProfiledBatch(joined, self.assemble(batch, joined.joined.rows))

    def assemble(self, batch: ExportBatch, rows: pa.Table) -> Rows:
        """Return the profile rows for joined `rows`, with the columns of `JoinedRows.rows`."""
        profile: Rows = LazyProfileRows(self.assembler, batch, rows)
        if 0 < profile.num_rows <= min(self.max_eager_rows, _longest_table(batch) // _LONG_TABLE_RATIO):
            # Rows of many batches wait for one row group, and would hold far more memory than they take themselves.
            profile = as_table(profile)
        return profile


def _longest_table(batch: ExportBatch) -> int:
    return max(int(table.num_rows) for table in batch.tables.values())


def _record(run: ConversionRun, batch: _JoinedBatch) -> None:
    """Enter the outcome of each export of a batch into the ledger."""
    # The first defect of an export is its reason.
    first_defects = {defect.export: defect for defect in reversed(batch.joined.defects)}
    by_index = {export.index: export for export in batch.exports}
    for index, defect in first_defects.items():
        run.ledger.fail(by_index[index], defect.table, defect.reason, whole_export=True)
    for export in batch.exports:
        if export.index in first_defects:
            continue
        for name in export.tables:
            if run.survey.join is not None and name in run.survey.join.unlinked:
                run.ledger.add_unlinked(export, name, run.survey.join.base)
                continue
            rows = batch.row_counts[name].get(export.index, 0) if name in batch.row_counts else None
            if rows is not None:
                written = batch.objects[name].get(export.index, 0)
                aggregated = _aggregated(run, export, name, written)
                run.ledger.add_unmatched(aggregated)
                run.ledger.flows.append(object_flow(export, name, rows, 0 if aggregated else written))
            run.ledger.add_converted(export, name, rows)
    run.ledger.add_unmatched(batch.joined.unmatched)


def _aggregated(run: ConversionRun, export: SurveyedExport, name: str, objects: int) -> list[UnmatchedObjects]:
    """Return the objects of a table that are in rows as part of a mean or number; nothing for other tables."""
    plan = run.survey.join
    if plan is None or name not in plan.anchors or not objects:
        return []
    what = f"objects of which a row has the {plan.children} for each object of {plan.anchors[name]}"
    return [UnmatchedObjects(export.index, name, what, objects, aggregated=True)]
