"""Tables as they are, under their profile names: what `join` off writes, and what a user's own SQL reads."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from cytobatch.config.option_types import ColumnNaming
from cytobatch.conversion.context import Conversion
from cytobatch.conversion.gather import PROFILE_TABLE_NUMBER, source_names
from cytobatch.conversion.ledger import sites_of
from cytobatch.conversion.profile_writer import file_stem
from cytobatch.planning.columns import IMAGE_NUMBER, distinct_names
from cytobatch.survey.model import SurveyedExport


def write_tables(run: Conversion) -> None:
    """Writes each table of all exports as one file, or as a file for each export in a folder of the table's name."""
    named = NamedTables(run, run.job.naming)
    # Tables as they are do not tell where each row is from; the image sets do.
    sets = run.survey.images
    run.ledger.places |= sites_of(
        sets.locations.slice(0, sets.table.num_rows) if sets.table.num_rows else sets.locations
    )
    run.reader.expect(named.names_to_read)
    for name in run.survey.schemas:
        exports = [export for export in run.survey.exports if name in export.tables]
        if run.job.concat:
            run.writer.write(file_stem(name), named.schema(name), _rows(run, named, exports, name))
            continue
        for export in exports:
            rows = _rows(run, named, (export,), name)
            run.writer.write(f"{file_stem(name)}/{file_stem(export.path)}", named.schema(name), rows)


def _rows(run: Conversion, named: "NamedTables", exports: Sequence[SurveyedExport], name: str) -> Iterator[pa.Table]:
    order = named.order(name) if run.job.sort_output else []
    if name in named.names_to_read:
        tables = run.reader.rows(exports, name, whole_export=False)
    else:
        tables = ((export, None) for export in exports)
    for export, read in tables:
        table = named.table(export, name, read)
        run.ledger.converted(export, name, table.num_rows)
        yield table.sort_by(order) if order else table


class NamedTables:
    """A plate's tables under their profile names, with Metadata_TableNumber in front where exports are numbered."""

    def __init__(self, run: Conversion, naming: ColumnNaming) -> None:
        self._run = run
        self._naming = naming
        rows = run.survey.image_rows
        self._images = None if rows is None else rows.table
        self._image_owners = None if rows is None else rows.owners
        self._names = {name: self._profile_names(name) for name in run.survey.schemas}

    def schema(self, name: str) -> pa.Schema:
        """A table's schema; an image table's types are those of the whole plate's rows."""
        schema = pa.schema(list(zip(self._names[name], self._raw_schema(name).types, strict=True)))
        if self._run.numbers and PROFILE_TABLE_NUMBER not in schema.names:
            return schema.insert(0, pa.field(PROFILE_TABLE_NUMBER, pa.int64()))
        return schema

    @property
    def names_to_read(self) -> tuple[str, ...]:
        """The tables that are not read already, as image tables are."""
        return tuple(name for name in self._run.survey.schemas if self._images_of(name) is None)

    def table(self, export: SurveyedExport, name: str, read: pa.Table | None) -> pa.Table:
        """One table of one export under its `schema`, from its rows if they had to be read."""
        images = self._images_of(name)
        table = self._rows_of(export, images) if images is not None else read
        if table is None:
            raise ValueError(f"the rows of {name} had to be read")
        schema = self.schema(name)
        columns = table.columns
        if len(schema) > len(columns):
            number = pa.scalar(self._run.numbers[export.index], pa.int64())
            columns = [pa.chunked_array([pa.repeat(number, table.num_rows)]), *columns]
        return pa.table(columns, schema=schema)

    def order(self, name: str) -> list[tuple[str, str]]:
        """What to sort a table by: TableNumber, image and object, as far as it has them."""
        keys = self._run.survey.schemas[name].keys
        wanted = (keys.table_number, IMAGE_NUMBER, keys.object_number) if keys else (IMAGE_NUMBER,)
        by_source = dict(zip(self._raw_schema(name).names, self._names[name], strict=True))
        return [(by_source[key], "ascending") for key in wanted if key in by_source]

    def _images_of(self, name: str) -> pa.Table | None:
        """All image rows, if the table is the image table and was read already."""
        return self._images if name in self._run.survey.preset.metadata else None

    def _raw_schema(self, name: str) -> pa.Schema:
        images = self._images_of(name)
        return self._run.survey.schemas[name].schema if images is None else images.schema

    def _profile_names(self, name: str) -> list[str]:
        table = self._run.survey.schemas[name]
        schema = self._raw_schema(name)
        names = source_names(self._run.survey, replace(table, schema=schema), self._naming)
        return distinct_names(names[column] for column in schema.names)

    def _rows_of(self, export: SurveyedExport, images: pa.Table) -> pa.Table:
        """The image rows of an export, which lie together."""
        count = pc.sum(pc.equal(self._image_owners, export.index)).as_py() or 0
        start = pc.index(self._image_owners, export.index).as_py()
        return images.slice(max(start, 0), count)
