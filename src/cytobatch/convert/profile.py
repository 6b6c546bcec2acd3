"""The joined profile: units of exports, joined by their keys, gathered, written."""

from collections.abc import Iterator, Sequence

import pyarrow as pa

from cytobatch.convert.context import Conversion
from cytobatch.errors import InputDataError
from cytobatch.join import Gatherer, JoinedRows, Joiner, Origin, ProfileColumn, Unit, count_by_export, profile_columns
from cytobatch.links import JoinPlan
from cytobatch.survey import SurveyedExport


def write_profile(run: Conversion) -> None:
    """Writes the joined profile of all exports as one file, or as a file for each export."""
    plan = run.survey.join
    if plan is None:
        raise InputDataError(
            "no compartments to join", where=run.job.source, why="no sound export has any", remedy="see the failures"
        )
    columns = profile_columns(run.survey, plan, number_exports=bool(run.numbers))
    schema = pa.schema([(column.name, column.kind) for column in columns])
    features = [column.name for column in columns if column.feature]
    places = {column.name for column in columns if column.table == Origin.PLACE}
    for compartment in plan.unlinked:
        run.account.warn(f"compartment left out of the profile: nothing links it to {plan.base}", table=compartment)
    run.reader.expect(plan.compartments)
    for name, exports in run.outputs:
        run.sink.write(name, schema, _rows(run, plan, columns, exports), features, may_be_null=places)


def _rows(
    run: Conversion, plan: JoinPlan, columns: Sequence[ProfileColumn], exports: Sequence[SurveyedExport]
) -> Iterator[pa.Table]:
    joiner = Joiner(run.survey, plan, run.engine)
    gatherer = Gatherer(run.survey, columns, run.numbers)
    for read in run.reader.units(plan.compartments, exports, joiner):
        _settle(run, read.unit, read.joined)
        yield from gatherer.batches(read.unit, read.joined.rows, run.sink.row_group_rows(len(columns)))


def _settle(run: Conversion, unit: Unit, joined: JoinedRows) -> None:
    """Enters into the account what became of each export of a unit."""
    faulty = {fault.export: fault for fault in reversed(joined.faults)}
    by_index = {export.index: export for export in unit.exports}
    for index, fault in faulty.items():
        run.account.fail(by_index[index], fault.table, fault.reason, whole_export=True)
    counts = {name: count_by_export(owners) for name, owners in unit.owners.items()}
    for export in unit.exports:
        if export.index in faulty:
            continue
        for name in export.tables:
            rows = counts[name].get(export.index, 0) if name in counts else None
            run.account.converted(export, name, rows)
    run.account.left_aside(joined.loose)
