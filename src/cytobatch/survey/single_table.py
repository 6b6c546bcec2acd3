"""Files of whole rows, one for each object: IN Carta's CSV and DeepProfiler's NPZ. Nothing is joined."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from cytobatch.config.presets.presets import SourceKind
from cytobatch.config.presets.wells import SiteLocation, normalise_well, well_of_row_and_column
from cytobatch.errors import InvalidTableError
from cytobatch.formats.incarta import columns as incarta
from cytobatch.planning.columns import PLATE, SITE, WELL
from cytobatch.planning.model import ConversionPlan, Export
from cytobatch.planning.schema import requested_types, text_keys, with_types
from cytobatch.readers.csv import read as csv
from cytobatch.readers.csv.header import CsvHead, read_head, unsound
from cytobatch.readers.inputs import Inputs
from cytobatch.readers.npz import read as npz
from cytobatch.readers.numbers import inferred
from cytobatch.report.model import LedgerEntry, Outcome
from cytobatch.survey.image_table import ImageSets, location_table
from cytobatch.survey.model import SurveyedTable
from cytobatch.survey.table_heads import ExportScan, check_last_lines, fault
from cytobatch.survey.text_columns import check_text_columns, resolve_text_columns

OBJECTS = "objects"
"""What the one table of such a file is called."""

_PLACE_COLUMNS = ("Plate ID", "WELL LABEL", "Row", "Column", "FOV")
_OPTIONAL_MEMBERS = ("metadata", "locations")
_PLACE_KEY = "k"
_PLACE = (PLATE, WELL, SITE)


@dataclass(frozen=True, slots=True)
class SingleTableScans:
    """All files as their heads show them; their image sets; and which of their columns are measurements."""

    heads: tuple[ExportScan, ...]
    images: ImageSets
    features: frozenset[str]


def scan_single_tables(plan: ConversionPlan, inputs: Inputs) -> SingleTableScans:
    """Looks into the head of every file, and into the few columns that tell where objects were seen."""
    return _incarta_heads(plan, inputs) if plan.kind is SourceKind.IN_CARTA else _npz_heads(plan, inputs)


def _found(export: Export, table: SurveyedTable) -> ExportScan:
    return ExportScan(export, {OBJECTS: table}, ())


def _unsound(export: Export, error: InvalidTableError) -> ExportScan:
    return ExportScan(export, {}, (fault(export, export.path, OBJECTS, error.reason),))


def _resolve_empty(head: ExportScan) -> ExportScan:
    table = head.tables.get(OBJECTS)
    if table is None or table.has_rows:
        return head
    entry = LedgerEntry(
        path=table.source,
        outcome=Outcome.EMPTY,
        export=head.export.path,
        table=OBJECTS,
        rows=0,
        reason="a file without objects",
    )
    return replace(head, empty=(entry,))


# IN Carta


def _incarta_heads(plan: ConversionPlan, inputs: Inputs) -> SingleTableScans:
    heads = []
    for export in plan.exports:
        try:
            heads.append(_found(export, _incarta_table(plan, export, inputs.whole(export.path))))
        except InvalidTableError as error:
            heads.append(_unsound(export, error))
    heads = check_text_columns(resolve_text_columns(check_last_lines(heads, inputs), inputs))
    keys: list[pa.Table] = []
    places: list[SiteLocation] = []
    for number, head in enumerate(heads):
        table = head.tables.get(OBJECTS)
        if table is not None and table.has_rows:
            where = head.export.location.or_else(plan.job.location)
            try:
                own, found = _incarta_image_sets(table, inputs, head.export.index, where)
                keys.append(own)
                places += found
            except InvalidTableError as error:
                heads[number] = head.without(OBJECTS, error.reason)
    sets = pa.concat_tables(keys) if keys else pa.table({"e": pa.array([], pa.int64())})
    exports = [export.location.or_else(plan.job.location) for export in plan.exports]
    names = {name for head in heads for table in head.tables.values() for name in table.schema.names}
    features = frozenset(name for name in names if incarta.is_measurement(name))
    return SingleTableScans(
        tuple(_resolve_empty(head) for head in heads), ImageSets(sets, location_table([*places, *exports])), features
    )


def _incarta_table(plan: ConversionPlan, export: Export, path: Path) -> SurveyedTable:
    head = read_head(path)
    if not incarta.is_incarta(head.shape.names):
        lacking = ", ".join(sorted(incarta.SIGNATURE - set(head.shape.names)))
        raise unsound(path, f"no {lacking} column", f"the header begins {','.join(head.shape.names[:3])!r}")
    types = requested_types(OBJECTS, head.shape.names, plan.job.column_types)
    schema = with_types(_incarta_schema(path, head), types)
    odd = {
        column: value
        for column, value in head.texts().items()
        if column not in types and pa.types.is_floating(schema.field(column).type)
    }
    return SurveyedTable(
        OBJECTS,
        "",
        export.path,
        SourceKind.IN_CARTA,
        schema,
        head.has_rows,
        shape=head.shape,
        complete=head.ends_with_newline,
        first_text=odd,
        forced=frozenset(types),
    )


def _incarta_schema(path: Path, head: CsvHead) -> pa.Schema:
    """Types by the meaning of IN Carta's names; of counts, and of names that tell nothing, by all of their values."""
    known = {name: kind for name in head.shape.names if (kind := _incarta_type(name)) is not None}
    unknown = tuple(name for name in head.shape.names if name not in known)
    said = csv.read_text(path, head.shape, unknown) if unknown and head.has_rows else None
    learnt = {name: inferred(said[name]).type if said is not None else pa.null() for name in unknown}
    return pa.schema([(name, known[name] if name in known else learnt[name]) for name in head.shape.names])


def _incarta_type(name: str) -> pa.DataType | None:
    if name in incarta.INTEGERS:
        return pa.int64()
    if name in incarta.TEXTS:
        return pa.string()
    if name in incarta.FLAGS:
        return pa.bool_()
    return pa.float64() if incarta.is_measurement(name) and not incarta.is_count(name) else None


def _incarta_image_sets(
    table: SurveyedTable, inputs: Inputs, export: int, otherwise: SiteLocation
) -> tuple[pa.Table, list[SiteLocation]]:
    """The image sets of one file: `e` and the text key of each, and where it was taken. Raises InvalidTableError."""
    if table.shape is None:
        raise ValueError(f"{table.source} is no CSV file")
    schema = pa.schema([table.schema.field(name) for name in _PLACE_COLUMNS if name in table.schema.names])
    rows = pa.Table.from_batches(csv.stream(inputs.whole(table.source), table.shape, schema, []), schema)
    sets = rows.append_column(_PLACE_KEY, image_set_keys(rows)).group_by([_PLACE_KEY, *schema.names]).aggregate([])
    keys = pa.table({"e": pa.repeat(pa.scalar(export, pa.int64()), sets.num_rows), _PLACE_KEY: sets[_PLACE_KEY]})
    return keys, [_incarta_location(row).or_else(otherwise) for row in sets.select(schema.names).to_pylist()]


def _incarta_location(row: Mapping[str, object]) -> SiteLocation:
    text = {name: str(value).strip() for name, value in row.items() if value is not None}
    well = normalise_well(text.get("WELL LABEL", "")) or well_of_row_and_column(
        text.get("Row", ""), text.get("Column", "")
    )
    return SiteLocation(text.get("Plate ID") or None, well, text.get("FOV"))


def image_set_keys(rows: pa.Table) -> pa.ChunkedArray:
    """For rows of an IN Carta table: one text that tells image sets of a file apart."""
    return text_keys(rows, [name for name in _PLACE_COLUMNS if name in rows.column_names])


# DeepProfiler


def _npz_heads(plan: ConversionPlan, inputs: Inputs) -> SingleTableScans:
    heads: list[ExportScan] = []
    read: list[npz.NpzHead | None] = []
    features: set[str] = set()
    for export in plan.exports:
        try:
            path = inputs.whole(export.path)
            head = npz.read_head(path)
            heads.append(_found(export, _npz_table(plan, export, path, head)))
            features |= set(head.feature_names)
            read.append(head)
        except InvalidTableError as error:
            heads.append(_unsound(export, error))
            read.append(None)
    heads = _check_missing_members(heads, read)
    places = [
        _npz_location(head).or_else(export.location).or_else(plan.job.location)
        for export, head in zip(plan.exports, read, strict=True)
    ]
    none = pa.table({"e": pa.array([], pa.int64())})
    sets = ImageSets(none, location_table(places))
    return SingleTableScans(tuple(_resolve_empty(head) for head in heads), sets, frozenset(features))


def _npz_table(plan: ConversionPlan, export: Export, path: Path, head: npz.NpzHead) -> SurveyedTable:
    several = next((name for name in _PLACE if isinstance(head.metadata.get(name), pa.Array)), None)
    if several:
        raise npz.unsound(path, f"{several} differs by object", "a file holds the objects of one image set")
    own = head.schema
    types = requested_types(OBJECTS, own.names, plan.job.column_types)
    schema = with_types(own, types)
    return SurveyedTable(OBJECTS, "", export.path, SourceKind.NPZ, schema, head.rows > 0, forced=frozenset(types))


def _npz_location(head: npz.NpzHead | None) -> SiteLocation:
    said = {} if head is None else head.metadata
    plate, well, site = (None if said.get(name) is None else str(said[name]) for name in _PLACE)
    return SiteLocation(plate or None, normalise_well(well) if well else None, site or None)


def _check_missing_members(heads: Sequence[ExportScan], read: Sequence[npz.NpzHead | None]) -> list[ExportScan]:
    """A file without metadata or locations is unsound, unless no file of the plate has them."""
    everywhere = {name for head in read if head for name in _OPTIONAL_MEMBERS if name in head.members}
    result = []
    for head, found in zip(heads, read, strict=True):
        lacking = sorted(everywhere - found.members) if found else []
        reason = f"missing member {', '.join(lacking)}: other files of the plate have it"
        result.append(head.without(OBJECTS, reason) if lacking else head)
    return result
