"""Tables as they are, under their profile names: what `join` off writes, and what a user's own SQL reads."""

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from cytobatch.columns import IMAGE_NUMBER, distinct_names, profile_name
from cytobatch.convert.context import Conversion
from cytobatch.convert.sink import file_name
from cytobatch.errors import UnsoundTableError
from cytobatch.jobspec import PARQUET
from cytobatch.join import PROFILE_TABLE_NUMBER
from cytobatch.survey import SurveyedExport


def write_tables(run: Conversion) -> None:
    """Writes each table of all exports as one file, or as a file for each export in a folder of the table's name."""
    for name in run.survey.schemas:
        exports = [export for export in run.survey.exports if name in export.tables]
        schema = named_schema(run, name)
        if run.job.concat:
            run.sink.write(f"{name}{PARQUET}", schema, _rows(run, exports, name))
            continue
        for export in exports:
            run.sink.write(f"{name}/{file_name(export.path)}", schema, _rows(run, (export,), name))


def _rows(run: Conversion, exports: Sequence[SurveyedExport], name: str) -> Iterator[pa.Table]:
    for export in exports:
        try:
            table = named_table(run, export, name)
        except UnsoundTableError as error:
            run.account.fail(export, name, error.reason, whole_export=False)
            continue
        run.account.converted(export, name, table.num_rows)
        yield _sorted(run, table, name) if run.job.sort_output else table


def _raw_schema(run: Conversion, name: str) -> pa.Schema:
    """A table's columns under their source names; an image table's types are those of the whole plate's rows."""
    rows = run.survey.image_rows
    if name in run.survey.preset.metadata and rows is not None:
        return rows.drop_columns(["e"]).schema
    return run.survey.schemas[name].schema


def named_schema(run: Conversion, name: str) -> pa.Schema:
    """A table's schema under its profile names, with Metadata_TableNumber in front where exports are numbered."""
    preset = run.survey.preset
    label = run.survey.schemas[name].label
    raw = _raw_schema(run, name)
    names = distinct_names(
        profile_name(column, label, preset.identifying_columns, preset.metadata) for column in raw.names
    )
    schema = pa.schema(list(zip(names, raw.types, strict=True)))
    if run.numbers and PROFILE_TABLE_NUMBER not in names:
        return schema.insert(0, pa.field(PROFILE_TABLE_NUMBER, pa.int64()))
    return schema


def named_table(run: Conversion, export: SurveyedExport, name: str) -> pa.Table:
    """One table of one export under `named_schema`. Raises UnsoundTableError."""
    rows = run.survey.image_rows
    if name in run.survey.preset.metadata and rows is not None:
        table = rows.filter(pc.equal(rows["e"], export.index)).drop_columns(["e"])
    else:
        table = run.reader.table(export, name)
    schema = named_schema(run, name)
    columns = table.columns
    if len(schema) > len(columns):
        number = pa.scalar(run.numbers[export.index], pa.int64())
        columns = [pa.chunked_array([pa.repeat(number, table.num_rows)]), *columns]
    return pa.table(columns, schema=schema)


def _sorted(run: Conversion, table: pa.Table, name: str) -> pa.Table:
    """By TableNumber, image and object, as far as the table has them."""
    schema = run.survey.schemas[name]
    keys = schema.keys
    wanted = (keys.table_number, IMAGE_NUMBER, keys.object_number) if keys else (IMAGE_NUMBER,)
    offset = len(table.column_names) - len(_raw_schema(run, name))
    raw = _raw_schema(run, name).names
    by = [(table.column_names[offset + raw.index(key)], "ascending") for key in wanted if key in raw]
    return table.sort_by(by) if by else table
