"""Write each table by itself, under its profile names, if `join` is off. A user's own SQL reads tables in this form."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from cytobatch.config.option_types import ColumnNaming
from cytobatch.config.options import COLUMNS
from cytobatch.conversion.column_lists import KnownColumns
from cytobatch.conversion.conversion_run import ConversionRun
from cytobatch.conversion.ledger import sites_of
from cytobatch.conversion.object_flow import object_flow
from cytobatch.conversion.profile_columns import PROFILE_TABLE_NUMBER, ProfileColumn, profile_names_by_source
from cytobatch.conversion.profile_writer import file_stem
from cytobatch.planning.columns import IMAGE_NUMBER, distinct_names
from cytobatch.survey.model import SurveyedExport


def write_tables(run: ConversionRun) -> None:
    """Write each table of all exports as one output, or as one for each export in a folder of the table's name."""
    tables = NamedTables(run, run.job.naming)
    # Rows of single tables have no plate, well and site; the image sets have.
    images = run.survey.images
    count = images.table.num_rows
    run.ledger.site_keys |= sites_of(images.locations.slice(0, count) if count else images.locations)
    run.loader.expect(tables.names_to_read)
    for name in run.survey.schemas:
        exports = [export for export in run.survey.exports if name in export.tables]
        stem, schema = file_stem(name), tables.schema(name)
        known = KnownColumns(tables.columns(name), list_name=f"{stem}.{COLUMNS}")
        if run.job.concat:
            run.writer.write(stem, schema, [_rows(run, tables, exports, name)], known=known)
            continue
        for export in exports:
            rows = _rows(run, tables, (export,), name)
            run.writer.write(f"{stem}/{file_stem(export.path)}", schema, [rows], known=known)


def _rows(
    run: ConversionRun, tables: "NamedTables", exports: Sequence[SurveyedExport], name: str
) -> Iterator[pa.Table]:
    """Yield one table of each export, sorted if the job sorts its output."""
    order = tables.order(name) if run.job.sort_output else []
    if name in tables.names_to_read:
        rows_of_exports = run.loader.rows(exports, name, whole_export=False)
    else:
        rows_of_exports = ((export, None) for export in exports)
    for export, rows in rows_of_exports:
        table = tables.table(export, name, rows)
        run.ledger.add_converted(export, name, table.num_rows)
        read = table.num_rows if rows is None else rows.num_rows
        run.ledger.flows.append(object_flow(export, name, read, table.num_rows))
        yield table.sort_by(order) if order else table


class NamedTables:
    """A plate's tables under their profile names, with Metadata_TableNumber in front if exports are numbered.

    Image tables that the survey has read whole are taken from there, and are not read again.
    """

    def __init__(self, run: ConversionRun, naming: ColumnNaming) -> None:
        self._run = run
        self._naming = naming
        image_rows = run.survey.image_rows
        self._images = None if image_rows is None else image_rows.table
        self._image_exports = None if image_rows is None else image_rows.owners
        self._names = {name: self._profile_names(name) for name in run.survey.schemas}

    @property
    def names_to_read(self) -> tuple[str, ...]:
        """The names of the tables that have to be read from their files."""
        return tuple(name for name in self._run.survey.schemas if self._images_of(name) is None)

    def schema(self, name: str) -> pa.Schema:
        """Return a table's schema; the types of an image table are decided by the whole plate's rows."""
        schema = pa.schema(list(zip(self._names[name], self._source_schema(name).types, strict=True)))
        if self._run.table_numbers and PROFILE_TABLE_NUMBER not in schema.names:
            return schema.insert(0, pa.field(PROFILE_TABLE_NUMBER, pa.int64()))
        return schema

    def columns(self, name: str) -> list[ProfileColumn]:
        """Return a table's columns that come from its files."""
        features, source = self._run.survey.schemas[name].features, self._source_schema(name)
        fields = zip(self._names[name], source, strict=True)
        return [ProfileColumn(new, field.type, name, field.name, field.name in features) for new, field in fields]

    def table(self, export: SurveyedExport, name: str, rows: pa.Table | None) -> pa.Table:
        """Return one table of one export under its `schema`, made of its rows if it is one of `names_to_read`."""
        images = self._images_of(name)
        table = self._image_rows(export, images) if images is not None else rows
        if table is None:
            raise ValueError(f"the rows of {name} had to be read")
        schema = self.schema(name)
        columns = table.columns
        if len(schema) > len(columns):
            number = pa.scalar(self._run.table_numbers[export.index], pa.int64())
            columns = [pa.chunked_array([pa.repeat(number, table.num_rows)]), *columns]
        return pa.table(columns, schema=schema)

    def order(self, name: str) -> list[tuple[str, str]]:
        """Return the sort keys of a table: those of TableNumber, image and object number that it has."""
        keys = self._run.survey.schemas[name].keys
        sort_keys = (keys.table_number, IMAGE_NUMBER, keys.object_number) if keys else (IMAGE_NUMBER,)
        by_source = dict(zip(self._source_schema(name).names, self._names[name], strict=True))
        return [(by_source[key], "ascending") for key in sort_keys if key in by_source]

    def _images_of(self, name: str) -> pa.Table | None:
        """Return all image rows if the table is an image table that the survey has read whole."""
        return self._images if name in self._run.survey.preset.metadata else None

    def _source_schema(self, name: str) -> pa.Schema:
        """Return a table's schema under its names at the source."""
        images = self._images_of(name)
        return self._run.survey.schemas[name].schema if images is None else images.schema

    def _profile_names(self, name: str) -> list[str]:
        table = self._run.survey.schemas[name]
        schema = self._source_schema(name)
        names = profile_names_by_source(self._run.survey, replace(table, schema=schema), self._naming)
        return distinct_names(names[column] for column in schema.names)

    def _image_rows(self, export: SurveyedExport, images: pa.Table) -> pa.Table:
        """Return the image rows of an export, which follow one another."""
        count = pc.sum(pc.equal(self._image_exports, export.index)).as_py() or 0
        start = pc.index(self._image_exports, export.index).as_py()
        return images.slice(max(start, 0), count)
