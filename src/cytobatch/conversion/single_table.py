"""Files of whole rows, one after the other under one schema, with plate, well and site beside what they say."""

from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from cytobatch.config.presets.presets import SourceKind
from cytobatch.conversion.context import Conversion
from cytobatch.conversion.gather import PROFILE_TABLE_NUMBER
from cytobatch.errors import InvalidTableError
from cytobatch.formats.incarta import columns as incarta
from cytobatch.planning.columns import distinct_names, under_metadata
from cytobatch.survey.model import SurveyedExport
from cytobatch.survey.single_table import OBJECTS, image_set_keys


def write_single_table(run: Conversion) -> None:
    """Writes the rows of all files as one file, or as a file for each of them. Columns keep their names and order."""
    table = run.survey.schemas[OBJECTS]
    places = run.survey.images.places.schema
    # CytoTable's profiles of DeepProfiler have a TableNumber, which is null unless it is asked for.
    is_npz = run.survey.plan.kind is SourceKind.NPZ
    numbered = run.numbers or (is_npz and PROFILE_TABLE_NUMBER not in table.schema.names)
    first = [*([pa.field(PROFILE_TABLE_NUMBER, pa.int64())] if numbered else []), *places]
    named = _names(run, [field.name for field in first])
    schema = pa.schema([*first, *((new, table.schema.field(name).type) for name, new in named.items())])
    features = [new for name, new in named.items() if name in table.features]
    run.reader.expect((OBJECTS,))
    for name, exports in run.outputs:
        rows = _rows(run, named, schema, exports)
        run.writer.write(name, schema, rows, features, may_be_null={*places.names, PROFILE_TABLE_NUMBER})


def _names(run: Conversion, first: Sequence[str]) -> dict[str, str]:
    """The profile's names by the source's; one that is taken, as by the columns that come `first`, gets a number.

    Without those of DeepProfiler's metadata that tell plate, well and site.
    """
    told = run.survey.images.places.column_names if run.survey.plan.kind is SourceKind.NPZ else ()
    columns = [name for name in run.survey.schemas[OBJECTS].schema.names if name not in told]
    identifying = run.survey.preset.identifying_columns
    wanted = (under_metadata(name) if name in identifying else name for name in columns)
    return dict(zip(columns, distinct_names([*first, *wanted])[len(first) :], strict=True))


def _rows(
    run: Conversion, named: Mapping[str, str], schema: pa.Schema, exports: Sequence[SurveyedExport]
) -> Iterator[pa.Table]:
    size = run.writer.row_group_rows(len(schema))
    for export, table in run.reader.rows(exports, OBJECTS, whole_export=True):
        try:
            _check_repeated_objects(export, table)
        except InvalidTableError as error:
            run.ledger.fail(export, OBJECTS, error.reason, whole_export=True)
            continue
        run.ledger.converted(export, OBJECTS, table.num_rows)
        for piece in _pieces(table, size, sort=run.job.sort_output):
            yield _profile(run, export, piece, named).select(schema.names)


def _pieces(table: pa.Table, size: int, *, sort: bool) -> Iterator[pa.Table]:
    """A table in pieces of `size` rows, by place and object if it is to be sorted and has them."""
    present = set(table.column_names)
    keys = [(name, "ascending") for name in incarta.SORT_KEYS if name in present]
    order = pc.sort_indices(table.select([name for name, _ in keys]), keys) if sort and keys else None
    for start in range(0, table.num_rows, size):
        yield table.slice(start, size) if order is None else table.take(order.slice(start, size))


def _check_repeated_objects(export: SurveyedExport, table: pa.Table) -> None:
    """Raises InvalidTableError where IN Carta's objects have no number, or two of them the same."""
    if table.schema.get_field_index(incarta.OBJECT) < 0:
        return
    blank = table[incarta.OBJECT].null_count
    if blank:
        raise InvalidTableError(f"{blank} row(s) without {incarta.OBJECT}", where=export.path)
    keys = table.select([name for name in incarta.KEYS if name in table.column_names])
    again = keys.num_rows - keys.group_by(keys.column_names).aggregate([]).num_rows
    if again:
        why = f"{again} row(s) have the well, field and number of another"
        raise InvalidTableError("repeated objects", where=export.path, why=why)


def _profile(run: Conversion, export: SurveyedExport, rows: pa.Table, named: Mapping[str, str]) -> pa.Table:
    places = run.survey.images.places.take(_place_rows(run, export, rows))
    number = pa.scalar(run.numbers.get(export.index), pa.int64())
    columns = {PROFILE_TABLE_NUMBER: pa.repeat(number, rows.num_rows)}
    columns |= {name: places[name] for name in places.column_names}
    columns |= {new: rows[name] for name, new in named.items()}
    return pa.table(columns)


def _place_rows(run: Conversion, export: SurveyedExport, rows: pa.Table) -> pa.Array | pa.ChunkedArray:
    """For each row, the row of its image set, or else of its export, among the plate's places."""
    sets = run.survey.images
    otherwise = pa.repeat(pa.scalar(sets.table.num_rows + export.index, pa.int64()), rows.num_rows)
    if run.survey.plan.kind is not SourceKind.IN_CARTA:
        return otherwise
    keys = sets.keys
    mine = keys.filter(pc.equal(keys["e"], export.index))
    found = pc.index_in(image_set_keys(rows), mine["k"].combine_chunks())
    return pc.coalesce(mine["r"].take(found), otherwise)
