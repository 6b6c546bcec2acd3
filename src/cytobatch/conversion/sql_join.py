"""Run a user's own `joins` SQL once for each export, over its tables alone, so that exports are never mixed."""

import itertools
import re
from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from cytobatch.config.option_types import ColumnNaming
from cytobatch.config.options import COLUMNS
from cytobatch.conversion.column_lists import KnownColumns
from cytobatch.conversion.conversion_run import ConversionRun
from cytobatch.conversion.object_flow import object_flow
from cytobatch.conversion.per_table import NamedTables
from cytobatch.conversion.profile_columns import PROFILE_TABLE_NUMBER
from cytobatch.engine.join_engine import JoinEngine, JoinLimits, JoinSession
from cytobatch.engine.sql import sorted_join
from cytobatch.planning.columns import is_measurement, order_key
from cytobatch.planning.key_columns import EXPORT, IMAGE, ROW, TABLE
from cytobatch.planning.schema import is_number_type
from cytobatch.survey.model import SurveyedExport

_REPEATED_TABLE_NUMBER = re.compile(rf"{PROFILE_TABLE_NUMBER}_[0-9]+")
_IMAGE_KEY_COLUMNS = {IMAGE: "Metadata_ImageNumber", TABLE: PROFILE_TABLE_NUMBER}
"""The columns of a result that identify the image set of a row, by the key column of the image sets."""


def write_sql_join(run: ConversionRun, joins: str) -> None:
    """Write the result of the SQL `joins` as one output, or as an output for each export. Raises JoinSqlError."""
    granted = run.engine.limits
    with JoinEngine(JoinLimits(granted.memory, granted.workers, granted.spill)) as engine:
        _write(run, engine, joins)


def _write(run: ConversionRun, engine: JoinEngine, joins: str) -> None:
    full_names = {table.full_name for export in run.survey.exports for table in export.tables.values()}
    query = engine.check_join(joins, full_names | set(run.survey.schemas))
    # SQL may make a column of anything, so that only names are known.
    known = KnownColumns(list_name=COLUMNS, may_be_null=set(run.survey.images.locations.column_names))
    # A user's SQL is written for CytoTable's names.
    tables = NamedTables(run, ColumnNaming.CYTOTABLE)
    _check_columns(run, tables, engine, query)
    run.loader.expect(tables.names_to_read)
    for output in run.outputs:
        rows = _rows(run, tables, engine, query, output.exports)
        first = next(rows, None)
        if first is not None:
            features, every = _features(run, first.schema), itertools.chain([first], rows)
            run.writer.write(output.name, first.schema, [every], features, known)


def _check_columns(run: ConversionRun, tables: NamedTables, engine: JoinEngine, query: str) -> None:
    """Check the query on empty tables with the columns of the plate, before rows are read. Raises JoinSqlError."""
    titles = {
        title: name
        for export in run.survey.exports
        for name, table in export.tables.items()
        for title in (name, table.full_name)
    }
    empty = {name: tables.schema(name).empty_table() for name in set(titles.values())}
    with engine.tables({title: empty[name] for title, name in titles.items()}) as session:
        session.check_columns(query)


def _features(run: ConversionRun, schema: pa.Schema) -> list[str]:
    """Return the columns of a result that are measurements, by their names: those of compartments that keep them."""
    labels = tuple(f"{table.label}_" for table in run.survey.schemas.values() if table.keys)
    numeric = (f.name for f in schema if is_number_type(f.type))
    return [name for name in numeric if name.startswith(labels) and is_measurement(name)]


def _rows(
    run: ConversionRun, tables: NamedTables, engine: JoinEngine, query: str, exports: Sequence[SurveyedExport]
) -> Iterator[pa.Table]:
    """Yield the results of the query on each export's tables."""
    for export, rows in run.loader.exports(exports, tables.names_to_read):
        by_name = {name: tables.table(export, name, rows.get(name)) for name in export.tables}
        for name, table in by_name.items():
            run.ledger.add_converted(export, name, table.num_rows)
            # What becomes of the objects is the SQL's decision.
            run.ledger.flows.append(object_flow(export, name, table.num_rows, table.num_rows))
        by_full_name = {export.tables[name].full_name: table for name, table in by_name.items()}
        with engine.tables(by_name | by_full_name) as session:
            yield from _result(run, session, export, query)


def _result(run: ConversionRun, session: JoinSession, export: SurveyedExport, query: str) -> Iterator[pa.Table]:
    """Yield the result on one export, a row group's rows at a time; first a table without rows, for its columns."""
    schema = session.join_schema(query)
    text = sorted_join(query, schema.names) if run.job.sort_output else query
    batches = session.run_join(text, run.writer.row_group_rows(len(schema)))
    # A result without rows has no batch, but its columns are needed.
    for rows in itertools.chain([schema.empty_table()], (pa.Table.from_batches([batch]) for batch in batches)):
        table = _with_locations(run, export, rows)
        if run.table_numbers:
            table = _with_table_number(table, run.table_numbers[export.index])
        yield table.select(sorted(table.column_names, key=order_key))


def _with_locations(run: ConversionRun, export: SurveyedExport, table: pa.Table) -> pa.Table:
    """Return a result with plate, well and site of its rows, in place of columns of these names.

    Carried metadata is added, too, unless the SQL gives a column of the same name.
    """
    images = run.survey.images
    own = [name for name in images.carried if name in table.column_names]
    locations = images.locations.drop_columns(own)
    location_rows = _location_rows(run, export, table)
    columns = {name: locations[name].take(location_rows) for name in locations.column_names}
    table = table.drop_columns([name for name in columns if name in table.column_names])
    for name, column in columns.items():
        table = table.append_column(name, column)
    return table


def _location_rows(run: ConversionRun, export: SurveyedExport, table: pa.Table) -> pa.Array | pa.ChunkedArray:
    """Return for each row of a result the row of its location.

    That is the row of its image set if the SQL has kept the image's keys, or else of its export.

    Returns
    -------
    pa.Array or pa.ChunkedArray
        Row indices in `ImageSets.locations`: `int64, (rows,)`.
    """
    images = run.survey.images
    of_export = pa.repeat(pa.scalar(images.table.num_rows + export.index, pa.int64()), table.num_rows)
    columns = {key: name for key, name in _IMAGE_KEY_COLUMNS.items() if key in images.table.column_names}
    if not images.table.num_rows or not all(name in table.column_names for name in columns.values()):
        return of_export
    image_keys = images.keys
    own = image_keys.filter(pc.equal(image_keys[EXPORT], export.index))
    image_texts = _joined_texts([own[key] for key in columns]).combine_chunks()
    own_rows = pc.index_in(_joined_texts([table[name] for name in columns.values()]), image_texts)
    return pc.coalesce(own[ROW].take(own_rows), of_export)


def _joined_texts(columns: list[pa.ChunkedArray]) -> pa.ChunkedArray:
    """Return several key columns, `(rows,)` each, as one column of text."""
    return pc.binary_join_element_wise(*(column.cast(pa.string()) for column in columns), "/")


def _with_table_number(table: pa.Table, number: int) -> pa.Table:
    """Return a result with the export's number in one column.

    `cells.*, nuclei.*` brings it once for each table.
    """
    table = table.drop_columns([name for name in table.column_names if _REPEATED_TABLE_NUMBER.fullmatch(name)])
    if PROFILE_TABLE_NUMBER in table.column_names:
        return table
    column = pa.repeat(pa.scalar(number, pa.int64()), table.num_rows)
    return table.append_column(PROFILE_TABLE_NUMBER, column)
