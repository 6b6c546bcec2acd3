"""The joined profile: units of exports, joined by their keys, gathered, written."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from cytobatch.conversion.context import Conversion
from cytobatch.conversion.export_batches import UnitReading
from cytobatch.conversion.gather import GatheredRows, Gatherer, Origin, ProfileColumn, profile_columns
from cytobatch.conversion.key_join import JoinedRows, Joiner, Unit, count_by_export
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
    units = run.reader.expect_units(plan.compartments, [exports for _, exports in run.outputs])
    columns = profile_columns(run.survey, plan, number_exports=bool(run.numbers))
    schema = pa.schema([(column.name, column.kind) for column in columns])
    features = [column.name for column in columns if column.feature]
    places = {column.name for column in columns if column.table == Origin.PLACE}
    for compartment in plan.unlinked:
        run.account.warn(f"compartment left out of the profile: nothing links it to {plan.base}", table=compartment)
    for (name, _), readings in zip(run.outputs, units, strict=True):
        run.sink.write(name, schema, _rows(run, plan, columns, readings), features, may_be_null=places)


def _rows(
    run: Conversion, plan: JoinPlan, columns: Sequence[ProfileColumn], readings: Sequence[UnitReading]
) -> Iterator[Rows]:
    profiler = _Profiler(
        Joiner(run.survey, plan, run.engine),
        Gatherer(run.survey, columns, run.numbers),
        run.sink.row_group_rows(len(columns)),
    )
    for is_large, some in itertools.groupby(readings, lambda reading: reading.is_large):
        if is_large:
            for reading in some:
                yield from _large(run, profiler, reading)
        else:
            yield from _units(run, profiler, some)


def _units(run: Conversion, profiler: "_Profiler", readings: Iterable[UnitReading]) -> Iterator[Rows]:
    for done in run.reader.units(readings, profiler.profile):
        _settle(run, done.unit)
        yield done.profile
        # While the next unit is waited for, this one is let go of.
        del done


def _large(run: Conversion, profiler: "_Profiler", reading: UnitReading) -> Iterator[Rows]:
    """The rows of an export that is not read into memory as a whole, nor onto the scratch disk where that can be."""
    paged = run.reader.paged(reading)
    if paged is not None:
        unit = profiler.joined(paged.keys)
        parts = paged.parts(unit.joined.rows, run.reader.part_bytes)
        if parts is not None:
            _settle(run, unit)
            yield from run.reader.parts(paged, parts, profiler.gathered)
            return
    yield from _units(run, profiler, [reading])


@dataclass(frozen=True, slots=True)
class _JoinedUnit:
    """What became of a unit's exports, how many rows each has of each table, and how their rows are joined."""

    exports: tuple[SurveyedExport, ...]
    counts: Mapping[str, Mapping[int, int]]
    joined: JoinedRows


@dataclass(frozen=True, slots=True)
class _ProfiledUnit:
    """A joined unit, and the rows of its profile."""

    unit: _JoinedUnit
    profile: Rows


@dataclass(frozen=True, slots=True)
class _Profiler:
    """Makes the profile of a unit. Of at most `few` rows it may be made at once."""

    joiner: Joiner
    gatherer: Gatherer
    few: int

    def joined(self, unit: Unit) -> _JoinedUnit:
        """Joins a unit, of whose tables it needs the keys."""
        counts = {name: count_by_export(owners) for name, owners in unit.owners.items()}
        return _JoinedUnit(unit.exports, counts, self.joiner.rows_of(unit))

    def profile(self, unit: Unit) -> _ProfiledUnit:
        """Joins the unit, beside other units. Its columns are gathered when they are encoded."""
        joined = self.joined(unit)
        return _ProfiledUnit(joined, self.gathered(unit, joined.joined.rows))

    def gathered(self, unit: Unit, places: pa.Table) -> Rows:
        """The rows of a profile that are at these places of the unit's tables."""
        rows: Rows = GatheredRows(self.gatherer, unit, places)
        if 0 < rows.num_rows <= min(self.few, _largest(unit) // _HELD):
            # Those of many units wait for a row group, and would hold far more than they are.
            rows = as_table(rows)
        return rows


def _largest(unit: Unit) -> int:
    return max(int(table.num_rows) for table in unit.tables.values())


def _settle(run: Conversion, done: _JoinedUnit) -> None:
    """Enters into the account what became of each export of a unit."""
    faulty = {fault.export: fault for fault in reversed(done.joined.faults)}
    by_index = {export.index: export for export in done.exports}
    for index, fault in faulty.items():
        run.account.fail(by_index[index], fault.table, fault.reason, whole_export=True)
    for export in done.exports:
        if export.index in faulty:
            continue
        for name in export.tables:
            rows = done.counts[name].get(export.index, 0) if name in done.counts else None
            run.account.converted(export, name, rows)
    run.account.left_aside(done.joined.loose)
