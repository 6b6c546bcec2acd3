"""The joined profile: units of exports, joined by their keys, gathered, written."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from cytobatch.conversion.context import Conversion
from cytobatch.conversion.export_batches import BatchRead
from cytobatch.conversion.gather import LazyProfileRows, Origin, ProfileAssembler, ProfileColumn, profile_columns
from cytobatch.conversion.key_join import ExportBatch, JoinedRows, Joiner, count_by_export
from cytobatch.errors import InputDataError
from cytobatch.output.row_groups import Rows, as_table
from cytobatch.planning.joins import JoinPlan
from cytobatch.survey.model import SurveyedExport

# A unit that holds so many times its profile's rows is let go of at once.
_HELD = 2


def write_profile(run: Conversion) -> None:
    """Writes the joined profile of all exports as one file, or as a file for each export."""
    plan = run.survey.join
    if plan is None:
        raise InputDataError(
            "no compartments to join", where=run.job.source, why="no sound export has any", remedy="see the failures"
        )
    # The first files come while the columns are worked out.
    batches = run.reader.expect_batches(plan.compartments, [exports for _, exports in run.outputs])
    columns = profile_columns(run.survey, plan, number_exports=bool(run.numbers))
    schema = pa.schema([(column.name, column.kind) for column in columns])
    features = [column.name for column in columns if column.feature]
    places = {column.name for column in columns if column.table == Origin.PLACE}
    for compartment in plan.unlinked:
        run.ledger.warn(f"compartment left out of the profile: nothing links it to {plan.base}", table=compartment)
    for (name, _), readings in zip(run.outputs, batches, strict=True):
        run.writer.write(name, schema, _rows(run, plan, columns, readings), features, may_be_null=places)


def _rows(
    run: Conversion, plan: JoinPlan, columns: Sequence[ProfileColumn], readings: Sequence[BatchRead]
) -> Iterator[Rows]:
    profiler = _Profiler(
        Joiner(run.survey, plan, run.engine),
        ProfileAssembler(run.survey, columns, run.numbers),
        run.writer.row_group_rows(len(columns)),
    )
    for is_large, some in itertools.groupby(readings, lambda reading: reading.is_out_of_core):
        if is_large:
            for reading in some:
                yield from _large(run, profiler, reading)
        else:
            yield from _batches(run, profiler, some)


def _batches(run: Conversion, profiler: "_Profiler", readings: Iterable[BatchRead]) -> Iterator[Rows]:
    for done in run.reader.batches(readings, profiler.profile):
        _record(run, done.batch)
        yield done.profile
        # While the next unit is waited for, this one is let go of.
        del done


def _large(run: Conversion, profiler: "_Profiler", reading: BatchRead) -> Iterator[Rows]:
    """The rows of an export that is not read into memory as a whole, nor onto the scratch disk where that can be."""
    out_of_core = run.reader.out_of_core(reading)
    if out_of_core is not None:
        batch = profiler.joined(out_of_core.keys)
        slices = out_of_core.slices(batch.joined.rows, run.reader.slice_bytes)
        if slices is not None:
            _record(run, batch)
            yield from run.reader.slices(out_of_core, slices, profiler.gathered)
            return
    yield from _batches(run, profiler, [reading])


@dataclass(frozen=True, slots=True)
class _JoinedBatch:
    """What became of a unit's exports, how many rows each has of each table, and how their rows are joined."""

    exports: tuple[SurveyedExport, ...]
    counts: Mapping[str, Mapping[int, int]]
    joined: JoinedRows


@dataclass(frozen=True, slots=True)
class _ProfiledBatch:
    """A joined unit, and the rows of its profile."""

    batch: _JoinedBatch
    profile: Rows


@dataclass(frozen=True, slots=True)
class _Profiler:
    """Makes the profile of a unit. Of at most `few` rows it may be made at once."""

    joiner: Joiner
    gatherer: ProfileAssembler
    few: int

    def joined(self, batch: ExportBatch) -> _JoinedBatch:
        """Joins a unit, of whose tables it needs the keys."""
        counts = {name: count_by_export(owners) for name, owners in batch.owners.items()}
        return _JoinedBatch(batch.exports, counts, self.joiner.rows_of(batch))

    def profile(self, batch: ExportBatch) -> _ProfiledBatch:
        """Joins the unit, beside other units. Its columns are gathered when they are encoded."""
        joined = self.joined(batch)
        return _ProfiledBatch(joined, self.gathered(batch, joined.joined.rows))

    def gathered(self, batch: ExportBatch, places: pa.Table) -> Rows:
        """The rows of a profile that are at these places of the unit's tables."""
        rows: Rows = LazyProfileRows(self.gatherer, batch, places)
        if 0 < rows.num_rows <= min(self.few, _largest(batch) // _HELD):
            # Those of many units wait for a row group, and would hold far more than they are.
            rows = as_table(rows)
        return rows


def _largest(batch: ExportBatch) -> int:
    return max(int(table.num_rows) for table in batch.tables.values())


def _record(run: Conversion, done: _JoinedBatch) -> None:
    """Enters into the account what became of each export of a unit."""
    faulty = {defect.export: defect for defect in reversed(done.joined.defects)}
    by_index = {export.index: export for export in done.exports}
    for index, defect in faulty.items():
        run.ledger.fail(by_index[index], defect.table, defect.reason, whole_export=True)
    for export in done.exports:
        if export.index in faulty:
            continue
        for name in export.tables:
            rows = done.counts[name].get(export.index, 0) if name in done.counts else None
            run.ledger.converted(export, name, rows)
    run.ledger.add_unmatched(done.joined.unmatched)
