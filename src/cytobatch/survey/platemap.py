"""Platemaps and LoadData files, joined to the wells and sites of a plate.

A batch's platemaps are a folder with `barcode_platemap.csv` (Assay_Plate_Barcode, Plate_Map_Name) and
`platemap/<name>.txt` (tab-separated; well_position, and more columns about the well), as the profiling recipe keeps
them. Columns get the prefix `Metadata_`, as pycytominer's `load_platemap` names them. Rows are joined to locations, of
which there are few.
https://broadinstitute.github.io/cellpainting-gallery/data_structure.html#metadata-folder-structure
"""

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

import pyarrow as pa

from cytobatch.config.natural_order import natural_key
from cytobatch.config.wells import normalise_well, site_number
from cytobatch.planning.columns import METADATA, PLATE, SITE, WELL, ColumnKind, kind_of, under_metadata
from cytobatch.readers.numbers import convert_to_inferred_type
from cytobatch.report.model import AnnotationFile, ReportWarning
from cytobatch.survey.annotation_table import AnnotationTable, Key, annotation_error, annotation_table, rows_by_key
from cytobatch.survey.image_table import IMAGE_LABEL
from cytobatch.survey.model import Survey

ReadText = Callable[[str], str]
"""A function that returns the text of a small file by its path or URI."""

_BARCODES, _MAPS, _LOAD_DATA = "barcode_platemap.csv", "platemap", "load_data.csv"
_BARCODE, _MAP_NAME, _POSITION = "Assay_Plate_Barcode", "Plate_Map_Name", "well_position"
_SUFFIXES = (".txt", ".tsv", ".csv")
_SHOWN = 10

PlateWellSite = tuple[str | None, str | None, int | str | None]
"""Plate, well and site."""


def annotate(survey: Survey, read: ReadText) -> Survey:
    """Join the job's platemap and LoadData file to the locations of a survey.

    Parameters
    ----------
    survey
        A survey, whose locations are all kept.
    read
        Returns the text of a file by its path or URI. Its errors are passed on.

    Returns
    -------
    The survey with more columns in its locations, with warnings, and with the checksums of the files that were read.

    Raises
    ------
    AnnotationError
        If a file is not such a table, or cannot be joined.
    """
    job = survey.plan.job
    digests: dict[str, str] = {}

    def read_and_digest(uri: str) -> str:
        text = read(uri)
        digests[uri] = digest_of(text)
        return text

    if job.platemap is not None:
        survey = _with_platemap(survey, job.platemap, read_and_digest)
    if job.load_data is not None:
        survey = _with_load_data(survey, job.load_data, read_and_digest)
    files = tuple(AnnotationFile(path=uri, sha256=digest) for uri, digest in sorted(digests.items()))
    return replace(survey, annotations=files)


def digest_of(text: str) -> str:
    """Return the SHA-256 by which a report identifies the content of an annotation file."""
    return hashlib.sha256(text.encode()).hexdigest()


def _with_platemap(survey: Survey, where: str, read: ReadText) -> Survey:
    locations = _locations(survey)
    if not any(well for _, well, _ in locations):
        raise annotation_error("platemap without wells", where, "no well of the plate is known", "give it with 'well'")
    # Objects without an image set may have no plate either, and then no row.
    plates = {plate for plate, _, _ in _with_objects(survey, locations)}
    maps = _platemaps(plates, survey.plan.job.plate, where, read)
    rows = [maps[plate].by_key.get((well,)) if plate in maps else None for plate, well, _ in locations]
    columns = list(dict.fromkeys(name for table in maps.values() for name in table.columns))
    names = {column: _unused_name(under_metadata(column), survey.images.locations.column_names) for column in columns}
    missing = {well for (_, well, _), row in zip(_with_objects(survey, locations), rows, strict=False) if row is None}
    unused = {key[0] for table in maps.values() for key in table.by_key} - {well for _, well, _ in locations}
    warnings = [
        *_well_warnings("not in the platemap", missing),
        *_well_warnings("of the platemap without image sets", unused),
    ]
    return _with_columns(survey, names, rows, warnings, of_wells=tuple(names.values()))


def _platemaps(
    plates: Iterable[str | None], job_plate: str | None, where: str, read: ReadText
) -> dict[str | None, AnnotationTable]:
    """Return the platemap of each plate. A plate that the batch's list lacks has that of the job's own plate name."""
    if _is_file(where):
        return dict.fromkeys(plates, _read_map(where, read))
    listing = f"{where.rstrip('/')}/{_BARCODES}"
    by_barcode = rows_by_key(read(listing), listing, (_BARCODE,), (_MAP_NAME,))
    names = {key[0]: row[_MAP_NAME] for key, row in by_barcode.items()}
    listed = {plate: plate if plate in names else job_plate for plate in plates}
    absent = sorted({plate or "a plate of unknown name" for plate, name in listed.items() if name not in names})
    if absent:
        shown = ", ".join(sorted(str(name) for name in names)[:_SHOWN])
        why = f"it lists {shown or 'no plate'}, but not {', '.join(absent)}"
        remedy = "add the plate, or give its listed name with 'plate'"
        raise annotation_error("plate without a platemap", listing, why, remedy)
    files = {
        name: f"{where.rstrip('/')}/{_MAPS}/{name if _is_file(name) else f'{name}.txt'}" for name in names.values()
    }
    maps = {name: _read_map(files[name], read) for name in {names[listed[plate]] for plate in listed}}
    return {plate: maps[names[name]] for plate, name in listed.items()}


def _read_map(where: str, read: ReadText) -> AnnotationTable:
    return annotation_table(read(where), where, (_POSITION,), lambda key: (normalise_well(key[0] or ""),))


def _with_load_data(survey: Survey, where: str, read: ReadText) -> Survey:
    path = where if _is_file(where) else f"{where.rstrip('/')}/{_LOAD_DATA}"
    text = read(path)
    by_plate = PLATE in text.partition("\n")[0]
    table = annotation_table(text, path, (PLATE, WELL, SITE) if by_plate else (WELL, SITE), _normalise_site_key)
    locations = _locations(survey)
    keys = [(*((plate,) if by_plate else ()), well, _normalise_site(site)) for plate, well, site in locations]
    rows = [table.by_key.get(key) for key in keys]
    present = {*survey.images.columns, *survey.images.locations.column_names}
    names = {column: name for column in table.columns if (name := _image_name(column)) not in present}
    missing = sum(row is None for row in rows[: len(_with_objects(survey, locations))])
    warnings = [f"{missing} image set(s) not in the LoadData file"] if missing else []
    return _with_columns(survey, names, rows, warnings, of_wells=())


def _image_name(column: str) -> str:
    return column if column.startswith(METADATA) else f"{IMAGE_LABEL}_{column}"


def _normalise_site_key(key: Key) -> Key:
    *plate, well, site = key
    return *plate, normalise_well(well or ""), _normalise_site(site)


def _normalise_site(site: int | str | None) -> str | None:
    if site is None:
        return None
    number = site_number(str(site))
    return str(site if number is None else number)


def _with_columns(
    survey: Survey,
    names: Mapping[str, str],
    rows: Sequence[Mapping[str, str] | None],
    warnings: Sequence[str],
    *,
    of_wells: tuple[str, ...],
) -> Survey:
    """Return the survey with more columns in its locations.

    `names` are profile names by column of the annotation table. `rows` has a row of that table, or None, for each
    location. Columns have the type of all their values; those without values, and names of files, are text.
    """
    locations = survey.images.locations
    for column, name in names.items():
        text = pa.chunked_array([pa.array([row.get(column) if row else None for row in rows], pa.string())])
        values = text if kind_of(column) is ColumnKind.TEXT else convert_to_inferred_type(text)
        locations = locations.append_column(name, values.cast(pa.string()) if pa.types.is_null(values.type) else values)
    images = replace(survey.images, locations=locations, of_wells=(*survey.images.of_wells, *of_wells))
    added = tuple(ReportWarning(what=what) for what in warnings)
    return replace(survey, images=images, warnings=(*survey.warnings, *added))


def _locations(survey: Survey) -> list[PlateWellSite]:
    """Return plate, well and site of every row of the survey's locations."""
    table = survey.images.locations
    columns = [
        table[name].to_pylist() if name in table.column_names else [None] * table.num_rows
        for name in (PLATE, WELL, SITE)
    ]
    return list(zip(*columns, strict=True))


def _with_objects(survey: Survey, locations: Sequence[PlateWellSite]) -> Sequence[PlateWellSite]:
    """Return the locations of image sets, or those of exports if there are no image sets.

    Locations of exports follow those of image sets. They are for objects without an image set.
    """
    return locations[: survey.images.table.num_rows or len(locations)]


def _well_warnings(what: str, wells: Collection[str | None]) -> list[str]:
    names = sorted((well for well in wells if well is not None), key=natural_key)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    warnings = [f"{len(names)} well(s) {what}: {', '.join(names[:_SHOWN])}{more}"] if names else []
    return [*warnings, *([f"image sets of an unknown well, {what}"] if None in wells else [])]


def _unused_name(name: str, used: Collection[str]) -> str:
    # pycytominer's `annotate` adds the same suffix to a name that both tables have.
    return f"{name}_platemap" if name in used else name


def _is_file(uri: str) -> bool:
    return PurePosixPath(uri).suffix.lower() in _SUFFIXES
