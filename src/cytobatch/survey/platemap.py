"""What others know of a plate's wells and sites: platemaps and LoadData files, as the profiling recipe keeps them.

A batch's platemaps are a folder with `barcode_platemap.csv` (Assay_Plate_Barcode, Plate_Map_Name) and
`platemap/<name>.txt` (tab-separated; well_position, and whatever is known of the well). Columns get `Metadata_` in
front, as pycytominer's `load_platemap` names them. Rows are joined to locations, of which there are few.
https://broadinstitute.github.io/cellpainting-gallery/data_structure.html#metadata-folder-structure
"""

import csv
import hashlib
import io
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

import pyarrow as pa

from cytobatch.config.natural_order import natural_key
from cytobatch.config.wells import normalise_well, site_number
from cytobatch.errors import AnnotationError
from cytobatch.planning.columns import METADATA, PLATE, SITE, WELL, ColumnKind, kind_of, under_metadata
from cytobatch.readers.csv.field_limit import field_limit_for
from cytobatch.readers.numbers import convert_to_inferred_type
from cytobatch.report.model import AnnotationFile, ReportWarning
from cytobatch.survey.image_table import IMAGE_LABEL
from cytobatch.survey.model import Survey

Read = Callable[[str], str]
"""The text of a small file by its path or URI."""

_BARCODES, _MAPS, _LOAD_DATA = "barcode_platemap.csv", "platemap", "load_data.csv"
_BARCODE, _MAP_NAME, _POSITION = "Assay_Plate_Barcode", "Plate_Map_Name", "well_position"
_SUFFIXES = (".txt", ".tsv", ".csv")
_SHOWN = 10

Key = tuple[str | None, ...]
PlateWellSite = tuple[str | None, str | None, int | str | None]
"""Plate, well and site."""


@dataclass(frozen=True, slots=True)
class Rows:
    """A table of text by key: its columns but for those of the key, and one row for each key."""

    columns: tuple[str, ...]
    by_key: Mapping[Key, Mapping[str, str]]


def annotate(survey: Survey, read: Read) -> Survey:
    """The survey with the job's platemap and LoadData file joined to its locations; every place is kept.

    Raises AnnotationError where they cannot be joined, and what `read` raises.
    """
    job = survey.plan.job
    digests: dict[str, str] = {}

    def noted(uri: str) -> str:
        text = read(uri)
        digests[uri] = digest_of(text)
        return text

    if job.platemap is not None:
        survey = _with_platemap(survey, job.platemap, noted)
    if job.load_data is not None:
        survey = _with_load_data(survey, job.load_data, noted)
    files = tuple(AnnotationFile(path=uri, sha256=digest) for uri, digest in sorted(digests.items()))
    return replace(survey, annotations=files)


def digest_of(text: str) -> str:
    """By which a report knows an annotation file again."""
    return hashlib.sha256(text.encode()).hexdigest()


def _with_platemap(survey: Survey, where: str, read: Read) -> Survey:
    locations = _locations(survey)
    if not any(well for _, well, _ in locations):
        raise _error("platemap without wells", where, "no well of the plate is known", "give it with 'well'")
    # Objects without an image set may have no plate either, and then no row.
    plates = {plate for plate, _, _ in _seen(survey, locations)}
    maps = _platemaps(plates, survey.plan.job.plate, where, read)
    rows = [maps[plate].by_key.get((well,)) if plate in maps else None for plate, well, _ in locations]
    columns = list(dict.fromkeys(name for found in maps.values() for name in found.columns))
    named = {column: _free(under_metadata(column), survey.images.locations.column_names) for column in columns}
    lost = {well for (_, well, _), row in zip(_seen(survey, locations), rows, strict=False) if row is None}
    unused = {key[0] for found in maps.values() for key in found.by_key} - {well for _, well, _ in locations}
    warnings = [*_told("not in the platemap", lost), *_told("of the platemap without image sets", unused)]
    return _joined(survey, named, rows, warnings, of_wells=tuple(named.values()))


def _platemaps(plates: Iterable[str | None], otherwise: str | None, where: str, read: Read) -> dict[str | None, Rows]:
    """The platemap of each plate; `otherwise` is what the job calls a plate that the batch's list does not have."""
    if _is_file(where):
        return dict.fromkeys(plates, _read_map(where, read))
    listing = f"{where.rstrip('/')}/{_BARCODES}"
    names = {key[0]: row[_MAP_NAME] for key, row in _keyed(read(listing), listing, (_BARCODE,), (_MAP_NAME,)).items()}
    known = {plate: plate if plate in names else otherwise for plate in plates}
    absent = sorted({plate or "a plate of unknown name" for plate, name in known.items() if name not in names})
    if absent:
        shown = ", ".join(sorted(str(name) for name in names)[:_SHOWN])
        why = f"it lists {shown or 'no plate'}, but not {', '.join(absent)}"
        raise _error("plate without a platemap", listing, why, "add the plate, or say its listed name with 'plate'")
    files = {
        name: f"{where.rstrip('/')}/{_MAPS}/{name if _is_file(name) else f'{name}.txt'}" for name in names.values()
    }
    read_maps = {name: _read_map(files[name], read) for name in {names[known[plate]] for plate in known}}
    return {plate: read_maps[names[name]] for plate, name in known.items()}


def _read_map(where: str, read: Read) -> Rows:
    found = _keyed(read(where), where, (_POSITION,), (), lambda key: (normalise_well(key[0] or ""),))
    return _rows(found, (_POSITION,))


def _with_load_data(survey: Survey, where: str, read: Read) -> Survey:
    path = where if _is_file(where) else f"{where.rstrip('/')}/{_LOAD_DATA}"
    text = read(path)
    by_plate = PLATE in text.partition("\n")[0]
    key = (PLATE, WELL, SITE) if by_plate else (WELL, SITE)

    def tidy(said: Key) -> Key:
        *plate, well, site = said
        return *plate, normalise_well(well or ""), _site(site)

    found = _rows(_keyed(text, path, key, (), tidy), key)
    locations = _locations(survey)
    keys = [(*((plate,) if by_plate else ()), well, _site(site)) for plate, well, site in locations]
    rows = [found.by_key.get(location) for location in keys]
    own = {*survey.images.columns, *survey.images.locations.column_names}
    named = {column: name for column in found.columns if (name := _image_name(column)) not in own}
    lost = sum(row is None for row in rows[: len(_seen(survey, locations))])
    warnings = [f"{lost} image set(s) not in the LoadData file"] if lost else []
    return _joined(survey, named, rows, warnings, of_wells=())


def _image_name(column: str) -> str:
    return column if column.startswith(METADATA) else f"{IMAGE_LABEL}_{column}"


def _site(site: int | str | None) -> str | None:
    number = None if site is None else site_number(str(site))
    return str(number) if number is not None else None if site is None else str(site)


def _joined(
    survey: Survey,
    named: Mapping[str, str],
    rows: Sequence[Mapping[str, str] | None],
    warnings: Sequence[str],
    *,
    of_wells: tuple[str, ...],
) -> Survey:
    locations = survey.images.locations
    for column, name in named.items():
        text = pa.chunked_array([pa.array([row.get(column) if row else None for row in rows], pa.string())])
        values = text if kind_of(column) is ColumnKind.TEXT else convert_to_inferred_type(text)
        locations = locations.append_column(name, values.cast(pa.string()) if pa.types.is_null(values.type) else values)
    images = replace(survey.images, locations=locations, of_wells=(*survey.images.of_wells, *of_wells))
    told = tuple(ReportWarning(what=what) for what in warnings)
    return replace(survey, images=images, warnings=(*survey.warnings, *told))


def _locations(survey: Survey) -> list[PlateWellSite]:
    """Plate, well and site of every row of the survey's locations."""
    table = survey.images.locations
    columns = [
        table[name].to_pylist() if name in table.column_names else [None] * table.num_rows
        for name in (PLATE, WELL, SITE)
    ]
    return list(zip(*columns, strict=True))


def _seen(survey: Survey, locations: Sequence[PlateWellSite]) -> Sequence[PlateWellSite]:
    """The locations of image sets; those of exports follow, and stand for themselves only where there are none."""
    return locations[: survey.images.table.num_rows or len(locations)]


def _told(what: str, wells: Collection[str | None]) -> list[str]:
    named = sorted((well for well in wells if well is not None), key=natural_key)
    more = f" and {len(named) - _SHOWN} more" if len(named) > _SHOWN else ""
    known = [f"{len(named)} well(s) {what}: {', '.join(named[:_SHOWN])}{more}"] if named else []
    return [*known, *([f"image sets of an unknown well, {what}"] if None in wells else [])]


def _free(name: str, taken: Collection[str]) -> str:
    # pycytominer's `annotate` tells them apart in this way.
    return f"{name}_platemap" if name in taken else name


def _is_file(uri: str) -> bool:
    return PurePosixPath(uri).suffix.lower() in _SUFFIXES


def _rows(by_key: Mapping[Key, Mapping[str, str]], key: Sequence[str]) -> Rows:
    columns = dict.fromkeys(name for row in by_key.values() for name in row if name not in key)
    return Rows(tuple(columns), by_key)


def _keyed(
    text: str, where: str, key: Sequence[str], needed: Sequence[str], tidy: Callable[[Key], Key] = tuple
) -> dict[Key, Mapping[str, str]]:
    """A table's rows by key. Raises AnnotationError where a key has two rows that differ."""
    found: dict[Key, Mapping[str, str]] = {}
    for row in _parsed(text, where, (*key, *needed)):
        own = tidy(tuple(row[name].strip() for name in key))
        if found.setdefault(own, row) != row:
            shown = ", ".join(str(part) for part in own)
            raise _error("repeated key", where, f"{shown} has two rows that differ", "remove one of them")
    return found


def _parsed(text: str, where: str, needed: Sequence[str]) -> list[dict[str, str]]:
    """The rows of a table that is separated by tabs or commas, by column. Raises AnnotationError."""
    delimiter = "\t" if "\t" in text.partition("\n")[0] else ","
    try:
        with field_limit_for(text):
            header, *lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    except (csv.Error, ValueError) as error:
        raise _error("unreadable table", where, str(error), "mend it or export it again") from error
    columns = [name.strip() for name in header]
    lacking = [name for name in needed if name not in columns]
    if lacking or len(set(columns)) < len(columns):
        why = f"it has no column {lacking[0]}, but {', '.join(columns)}" if lacking else "columns stand twice in it"
        raise _error("not the table it should be", where, why, f"it needs the columns {', '.join(needed)}")
    ragged = next((number for number, line in enumerate(lines, 2) if line and len(line) != len(columns)), None)
    if ragged is not None:
        raise _error("ragged table", where, f"row {ragged} has not as many values as there are columns", "mend it")
    return [dict(zip(columns, line, strict=True)) for line in lines if line]


def _error(what: str, where: str, why: str, remedy: str) -> AnnotationError:
    return AnnotationError(what, where=where, why=why, remedy=remedy)
