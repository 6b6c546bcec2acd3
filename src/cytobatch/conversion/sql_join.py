"""A user's own `joins` SQL, run once for each export over its tables, so that exports are never mixed."""

import itertools
import re
from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from cytobatch.config.option_types import ColumnNaming
from cytobatch.conversion.context import Conversion
from cytobatch.conversion.gather import PROFILE_TABLE_NUMBER
from cytobatch.conversion.per_table import NamedTables
from cytobatch.engine.duckdb import Session
from cytobatch.engine.sql import sorted_join
from cytobatch.planning.columns import is_measurement, order_key
from cytobatch.survey.model import SurveyedExport

_REPEATED_NUMBER = re.compile(rf"{PROFILE_TABLE_NUMBER}_[0-9]+")


def write_sql_join(run: Conversion, text: str) -> None:
    """Writes the result of the SQL `text` as one file, or as a file for each export. Raises JoinSqlError."""
    tables = {table.full_name for export in run.survey.exports for table in export.tables.values()}
    query = run.engine.check_join(text, tables | set(run.survey.schemas))
    places = set(run.survey.images.locations.column_names)
    # A user's SQL is written for CytoTable's names.
    named = NamedTables(run, ColumnNaming.CYTOTABLE)
    run.reader.expect(named.names_to_read)
    for name, exports in run.outputs:
        rows = _rows(run, named, query, exports)
        first = next(rows, None)
        if first is not None:
            features = _features(run, first.schema)
            run.writer.write(name, first.schema, itertools.chain([first], rows), features, may_be_null=places)


def _features(run: Conversion, schema: pa.Schema) -> list[str]:
    """Which columns of a result are measurements, by their names: those of compartments that keep them."""
    labels = tuple(f"{table.label}_" for table in run.survey.schemas.values() if table.keys)
    numeric = (f.name for f in schema if pa.types.is_floating(f.type) or pa.types.is_integer(f.type))
    return [name for name in numeric if name.startswith(labels) and is_measurement(name)]


def _rows(run: Conversion, named: NamedTables, query: str, exports: Sequence[SurveyedExport]) -> Iterator[pa.Table]:
    for export, read in run.reader.exports(exports, named.names_to_read):
        tables = {name: named.table(export, name, read.get(name)) for name in export.tables}
        for name, table in tables.items():
            run.ledger.converted(export, name, table.num_rows)
        by_name = tables | {export.tables[name].full_name: table for name, table in tables.items()}
        with run.engine.tables(by_name) as session:
            yield from _result(run, session, export, query)


def _result(run: Conversion, session: Session, export: SurveyedExport, query: str) -> Iterator[pa.Table]:
    schema = session.join_schema(query)
    text = sorted_join(query, schema.names) if run.job.sort_output else query
    batches = session.run_join(text, run.writer.row_group_rows(len(schema)))
    # Without a row there is no batch, but there are still columns.
    for rows in itertools.chain([schema.empty_table()], (pa.Table.from_batches([batch]) for batch in batches)):
        table = _with_places(run, export, rows)
        yield table.select(sorted(table.column_names, key=order_key))


def _with_places(run: Conversion, export: SurveyedExport, table: pa.Table) -> pa.Table:
    """The result with plate, well and site of its images, where the SQL has kept their ImageNumber."""
    sets = run.survey.images
    rows = pa.repeat(pa.scalar(sets.table.num_rows + export.index, pa.int64()), table.num_rows)
    own = {"i": "Metadata_ImageNumber", "t": PROFILE_TABLE_NUMBER}
    keys = [key for key in own if key in sets.table.column_names]
    if sets.table.num_rows and all(own[key] in table.column_names for key in keys):
        image_keys = sets.keys
        mine = image_keys.filter(pc.equal(image_keys["e"], export.index))
        images = _as_one([mine[key] for key in keys]).combine_chunks()
        found = pc.index_in(_as_one([table[own[key]] for key in keys]), images)
        rows = pc.coalesce(mine["r"].take(found), rows)
    for name in sets.locations.column_names:
        column = sets.locations[name].take(rows)
        if name in table.column_names:
            table = table.drop_columns([name])
        table = table.append_column(name, column)
    if not run.numbers:
        return table
    # `cells.*, nuclei.*` brings the export's number once for each table; one is enough.
    table = table.drop_columns([name for name in table.column_names if _REPEATED_NUMBER.fullmatch(name)])
    if PROFILE_TABLE_NUMBER not in table.column_names:
        number = pa.scalar(run.numbers[export.index], pa.int64())
        table = table.append_column(PROFILE_TABLE_NUMBER, pa.repeat(number, table.num_rows))
    return table


def _as_one(columns: list[pa.ChunkedArray]) -> pa.ChunkedArray:
    """Several key columns as one of text."""
    return pc.binary_join_element_wise(*(column.cast(pa.string()) for column in columns), "/")
