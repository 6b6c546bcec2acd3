"""Write files of whole rows, one after the other under one schema, with plate, well and site in front of them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from cytobatch.config.option_types import ColumnNaming
from cytobatch.config.options import COLUMNS
from cytobatch.config.plural import plural
from cytobatch.conversion.column_lists import KnownColumns
from cytobatch.conversion.conversion_run import ConversionRun
from cytobatch.conversion.object_flow import object_flow
from cytobatch.conversion.profile_columns import PROFILE_TABLE_NUMBER, Origin, ProfileColumn
from cytobatch.conversion.spliced_profile import splice_profile
from cytobatch.errors import InvalidTableError
from cytobatch.formats.base import OBJECTS, SingleTable
from cytobatch.output.row_groups import in_ranges
from cytobatch.planning.columns import distinct_names, under_metadata, with_label
from cytobatch.planning.key_columns import EXPORT, IMAGE_SET, ROW
from cytobatch.planning.schema import is_number_type, text_keys
from cytobatch.survey.model import SurveyedExport, TableSchema


def write_single_table(run: ConversionRun, single: SingleTable) -> None:
    """Write the rows of all files as one output, or as an output for each file.

    Columns keep their order, and their names except for Metadata_ in front of identifying ones, unless the job asks for
    the names of pycytominer.
    """
    table = run.survey.schemas[OBJECTS]
    locations = run.survey.images.locations.schema
    has_number = run.table_numbers or (single.null_table_number and PROFILE_TABLE_NUMBER not in table.schema.names)
    first = [*([pa.field(PROFILE_TABLE_NUMBER, pa.int64())] if has_number else []), *locations]
    names = _profile_names(run, single, [field.name for field in first])
    schema = pa.schema([*first, *((new, table.schema.field(name).type) for name, new in names.items())])
    columns = _profile_columns(names, table, locations)
    features = [column.name for column in columns if column.is_feature]
    rows = _SingleTableRows(run, single, names, schema)
    centers, may_be_null = _center_columns(single, names, table), {*locations.names, PROFILE_TABLE_NUMBER}
    known = KnownColumns(columns, list_name=COLUMNS, centers=centers, may_be_null=may_be_null)
    if run.convert_parts is not None:
        splice_profile(run, run.convert_parts, schema, features, known)
        return
    run.loader.expect((OBJECTS,))
    for output in run.outputs:
        numbered = rows.of_exports(output.exports, output.range_numbers)
        run.writer.write(output.name, schema, in_ranges(numbered), features, known)


def _profile_names(run: ConversionRun, single: SingleTable, first: Sequence[str]) -> dict[str, str]:
    """Return the profile's names by the source's; a name that is in use, also by a column of `first`, is numbered."""
    replaced = run.survey.images.locations.column_names if single.locations_replace_columns else ()
    table = run.survey.schemas[OBJECTS]
    columns = [name for name in table.schema.names if name not in replaced]
    identifying = run.survey.preset.identifying_columns
    # Naming by default is that of compartments: these files have names that their users know.
    if run.job.column_names is ColumnNaming.PYCYTOMINER:
        names = [_pycytominer_name(name, single, is_feature=name in table.features) for name in columns]
    else:
        names = [under_metadata(name) if name in identifying else name for name in columns]
    return dict(zip(columns, distinct_names([*first, *names])[len(first) :], strict=True))


def _pycytominer_name(name: str, single: SingleTable, *, is_feature: bool) -> str:
    """Return a name that pycytominer takes for what it is, without white space, which its queries cannot have.

    `infer_cp_features` takes the columns that begin with Cells, Nuclei or Cytoplasm for features.
    """
    joined = "_".join(name.split())
    return with_label(joined, single.names.parts_of(name).compartment) if is_feature else under_metadata(joined)


def _profile_columns(names: Mapping[str, str], table: TableSchema, locations: pa.Schema) -> tuple[ProfileColumn, ...]:
    """Return the origins of the columns: the locations', and the files' own with their profile names."""
    of_locations = (ProfileColumn(field.name, field.type, Origin.LOCATION, field.name) for field in locations)
    own = (
        ProfileColumn(new, table.schema.field(name).type, OBJECTS, name, name in table.features)
        for name, new in names.items()
    )
    return *of_locations, *own


def _center_columns(single: SingleTable, names: Mapping[str, str], table: TableSchema) -> tuple[str, str] | None:
    """Return the profile's names of the columns of the objects' centres, if they are numbers."""
    if single.names.centers is None:
        return None
    x, y = single.names.centers
    known = all(name in names and is_number_type(table.schema.field(name).type) for name in (x, y))
    return (names[x], names[y]) if known else None


@dataclass(frozen=True, slots=True)
class _SingleTableRows:
    """Makes profile rows of exports: `names` are the profile's names by the source's, `schema` is the profile's."""

    run: ConversionRun
    single: SingleTable
    names: Mapping[str, str]
    schema: pa.Schema

    def of_exports(
        self, exports: Sequence[SurveyedExport], range_numbers: Mapping[int, int]
    ) -> Iterator[tuple[int, pa.Table]]:
        """Yield the rows of exports, a row group's worth at a time, with the number of their range.

        Exports with repeated objects fail. `range_numbers` has the number of the range by the index of the export.
        """
        size = self.run.writer.row_group_rows(len(self.schema))
        for export, table in self.run.loader.rows(exports, OBJECTS, whole_export=True):
            try:
                _check_repeated_objects(export, table, self.single.object_keys)
            except InvalidTableError as error:
                self.run.ledger.fail(export, OBJECTS, error.reason, whole_export=True)
                continue
            self.run.ledger.add_converted(export, OBJECTS, table.num_rows)
            written = 0
            for rows in _chunks(table, size, self.single.sort_keys if self.run.job.sort_output else ()):
                written += rows.num_rows
                yield range_numbers[export.index], self._profile_rows(export, rows)
            self.run.ledger.flows.append(object_flow(export, OBJECTS, table.num_rows, written))

    def _profile_rows(self, export: SurveyedExport, rows: pa.Table) -> pa.Table:
        """Return rows under the profile's schema, with the export's number and the rows' locations."""
        locations = self.run.survey.images.locations.take(self._location_rows(export, rows))
        number = pa.scalar(self.run.table_numbers.get(export.index), pa.int64())
        columns = {PROFILE_TABLE_NUMBER: pa.repeat(number, rows.num_rows)}
        columns |= {name: locations[name] for name in locations.column_names}
        columns |= {new: rows[name] for name, new in self.names.items()}
        return pa.table(columns).select(self.schema.names)

    def _location_rows(self, export: SurveyedExport, rows: pa.Table) -> pa.Array | pa.ChunkedArray:
        """Return for each row the row of its location: that of its image set if it has one, or else of its export.

        Returns
        -------
        pa.Array or pa.ChunkedArray
            Row indices in `ImageSets.locations`: `int64, (rows,)`.
        """
        images = self.run.survey.images
        of_export = pa.repeat(pa.scalar(images.table.num_rows + export.index, pa.int64()), rows.num_rows)
        columns = [name for name in self.single.image_set_keys if name in rows.column_names]
        if not columns or IMAGE_SET not in images.table.column_names:
            return of_export
        keys = images.keys
        own = keys.filter(pc.equal(keys[EXPORT], export.index))
        own_rows = pc.index_in(text_keys(rows, columns), own[IMAGE_SET].combine_chunks())
        return pc.coalesce(own[ROW].take(own_rows), of_export)


def _chunks(table: pa.Table, size: int, sort_keys: Sequence[str]) -> Iterator[pa.Table]:
    """Yield a table in chunks of `size` rows, sorted by those of the keys that it has."""
    present = set(table.column_names)
    keys = [(name, "ascending") for name in sort_keys if name in present]
    order = pc.sort_indices(table.select([name for name, _ in keys]), keys) if keys else None
    for start in range(0, table.num_rows, size):
        yield table.slice(start, size) if order is None else table.take(order.slice(start, size))


def _check_repeated_objects(export: SurveyedExport, table: pa.Table, object_keys: Sequence[str]) -> None:
    """Raise InvalidTableError if objects have no number, or if two of them have the same keys."""
    if not object_keys or object_keys[0] not in table.column_names:
        return
    number = object_keys[0]
    if blank := table[number].null_count:
        raise InvalidTableError(f"{plural(blank, 'row')} without {number}", where=export.path)
    keys = table.select([name for name in object_keys if name in table.column_names])
    repeated = keys.num_rows - keys.group_by(keys.column_names).aggregate([]).num_rows
    if repeated:
        why = f"{plural(repeated, 'row has', 'rows have')} the well, field and number of another"
        raise InvalidTableError("repeated objects", where=export.path, why=why)
