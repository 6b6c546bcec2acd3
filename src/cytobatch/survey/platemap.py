"""Platemaps and LoadData files, joined to the wells and sites of a plate.

A batch's platemaps are a folder with `barcode_platemap.csv` (Assay_Plate_Barcode, Plate_Map_Name) and
`platemap/<name>.txt` (tab-separated; well_position, and more columns about the well), as the profiling recipe keeps
them. Columns get the prefix `Metadata_`, as pycytominer's `load_platemap` names them. Rows are joined to locations, of
which there are few.
https://broadinstitute.github.io/cellpainting-gallery/data_structure.html#metadata-folder-structure
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

import pyarrow as pa

from cytobatch.config.natural_order import natural_key
from cytobatch.config.plural import plural
from cytobatch.config.wells import known_text, normalise_well, site_number, without_decimals
from cytobatch.formats.base import ConversionPlan
from cytobatch.planning.columns import METADATA, PLATE, SITE, WELL, ColumnKind, kind_of, under_metadata
from cytobatch.report.lines import shortened
from cytobatch.report.model import AnnotationFile, ReportWarning
from cytobatch.survey.annotation_files import (
    BARCODES,
    ReadText,
    barcodes_file,
    is_file,
    platemap_file,
    read_load_data,
)
from cytobatch.survey.annotation_table import (
    AnnotationTable,
    Key,
    annotation_error,
    annotation_table,
    header_of,
    rows_by_key,
)
from cytobatch.survey.carried_columns import infer_type
from cytobatch.survey.image_table import IMAGE_LABEL
from cytobatch.survey.location_columns import columns_of
from cytobatch.survey.model import Survey

_BARCODE, _MAP_NAME, _POSITION = "Assay_Plate_Barcode", "Plate_Map_Name", "well_position"
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


def check_annotations(plan: ConversionPlan, read: ReadText) -> None:
    """Check the job's platemap and LoadData file before the source is read: that they are tables with their columns.

    Of a batch's platemaps, those of the plates are checked that the job and the folders of exports name. Raises
    AnnotationError and the errors of `read`.
    """
    job = plan.job
    if job.platemap is not None:
        plates = {job.plate, *(export.location.plate for export in plan.exports)}
        for where in _named_maps(job.platemap, plates, read):
            _read_map(where, read)
    if job.load_data is not None:
        path, text = read_load_data(job.load_data, read)
        _load_data_table(text, path)


def _named_maps(where: str, plates: Collection[str | None], read: ReadText) -> list[str]:
    """Return the one platemap, or those of some plates in a batch's folder."""
    if is_file(where):
        return [where]
    names = _names_by_plate(where, read)
    return [platemap_file(where, name) for name in {names[plate] for plate in plates if plate in names}]


def digest_of(text: str) -> str:
    """Return the SHA-256 by which a report identifies the content of an annotation file."""
    return hashlib.sha256(text.encode()).hexdigest()


def _with_platemap(survey: Survey, where: str, read: ReadText) -> Survey:
    locations = _locations(survey)
    if not any(well for _, well, _ in locations):
        raise annotation_error("platemap without wells", where, "no well of the plate is known", "give it with 'well'")
    own = _with_objects(survey, locations)
    # Objects without an image set may have no plate either, and then no row.
    maps, warnings = _platemaps({plate for plate, _, _ in own}, survey.plan.job.plate, where, read)
    _check_any_well_fits(maps, own)
    rows = [maps[plate].by_key.get((well,)) if plate in maps else None for plate, well, _ in locations]
    columns = list(dict.fromkeys(name for table in maps.values() for name in table.columns))
    taken = {PLATE, WELL, SITE} & set(survey.images.locations.column_names)
    names = {column: _unused_name(under_metadata(column), taken) for column in columns}
    missing = {well for (_, well, _), row in zip(own, rows, strict=False) if row is None}
    unused = {key[0] for table in maps.values() for key in table.by_key} - {well for _, well, _ in locations}
    notes = dict.fromkeys(note for table in maps.values() for note in table.warnings)
    warnings = [
        *warnings,
        *notes,
        *_well_warnings("not in the platemap", missing),
        *_well_warnings("of the platemap without image sets", unused),
    ]
    return _with_columns(survey, names, rows, warnings, of_wells=tuple(names.values()))


def _check_any_well_fits(maps: Mapping[str | None, AnnotationTable], locations: Sequence[PlateWellSite]) -> None:
    """Raise AnnotationError if the platemap of a plate has not one of its wells."""
    for table in {id(table): table for table in maps.values()}.values():
        plates = {plate for plate in maps if maps[plate] is table}
        wells = {well for plate, well, _ in locations if well is not None and plate in plates}
        keys = {key[0] for key in table.by_key}
        if wells and not wells & keys:
            plate = f"plate {_shown(plates)}" if plates - {None} else "the plate"
            why = f"it has {_shown(keys) or 'no well'}, and {plate} has {_shown(wells)}"
            raise annotation_error("platemap of other wells", table.where, why, "give the platemap of this plate")


def _shown(names: Iterable[str | None]) -> str:
    return shortened(sorted((name for name in names if name is not None), key=natural_key), _SHOWN)


def _platemaps(
    plates: Iterable[str | None], job_plate: str | None, where: str, read: ReadText
) -> tuple[dict[str | None, AnnotationTable], list[str]]:
    """Return the platemap of each plate, and warnings.

    A plate that the batch's list lacks has that of the job's own plate name, with a warning.
    """
    if is_file(where):
        return dict.fromkeys(plates, _read_map(where, read)), []
    names = _names_by_plate(where, read)
    listed = {plate: plate if plate in names else job_plate for plate in plates}
    absent = sorted({plate or "a plate of unknown name" for plate, name in listed.items() if name not in names})
    if absent:
        shown = ", ".join(sorted(str(name) for name in names)[:_SHOWN])
        why = f"it lists {shown or 'no plate'}, but not {', '.join(absent)}"
        remedy = "add the plate, or give its listed name with 'plate'"
        raise annotation_error("plate without a platemap", barcodes_file(where), why, remedy)
    maps = {name: _read_map(platemap_file(where, name), read) for name in {names[listed[plate]] for plate in listed}}
    renamed = sorted((plate, name) for plate, name in listed.items() if plate and name and plate != name)
    warnings = [
        f"plate {plate!r} is not in {BARCODES}; it has the platemap {names[name]!r} of plate {name!r}, the job's"
        for plate, name in renamed
    ]
    return {plate: maps[names[name]] for plate, name in listed.items()}, warnings


def _names_by_plate(where: str, read: ReadText) -> dict[str | None, str]:
    """Return the names of the platemaps that a batch's folder lists, by plate."""
    listing = barcodes_file(where)
    by_barcode = rows_by_key(read(listing), listing, (_BARCODE,), (_MAP_NAME,))
    return {key[0]: row[_MAP_NAME] for key, row in by_barcode.items()}


def _read_map(where: str, read: ReadText) -> AnnotationTable:
    return annotation_table(read(where), where, (_POSITION,), lambda key: (normalise_well(key[0] or ""),))


def _with_load_data(survey: Survey, where: str, read: ReadText) -> Survey:
    if not {WELL, SITE} <= set(survey.images.locations.column_names):
        why = "no well or no site of the plate is known"
        raise annotation_error("LoadData file without wells and sites", where, why, "give them with 'well' and 'site'")
    path, text = read_load_data(where, read)
    key, table = _load_data_table(text, path)
    locations = _locations(survey)
    keys = [_site_key(location, by_plate=len(key) > len((WELL, SITE))) for location in locations]
    rows = [table.by_key.get(key) for key in keys]
    own = _with_objects(survey, locations)
    missing = [location for location, row in zip(own, rows, strict=False) if row is None]
    if own and len(missing) == len(own):
        why = f"it has {_shown_key(table.by_key)}, and the plate has {_shown_key(keys)}, by {', '.join(key)}"
        raise annotation_error("LoadData file of other image sets", path, why, "give the LoadData file of this plate")
    present = {*survey.images.columns, *survey.images.locations.column_names}
    names = {column: name for column in table.columns if (name := _image_name(column)) not in present}
    wells = {well for _, well, _ in missing} - {None}
    named = f"{'well' if len(wells) == 1 else 'wells'} {_shown(wells)}" if wells else "unknown wells"
    warnings = [f"{plural(len(missing), 'image set')} not in the LoadData file, of {named}"] if missing else []
    return _with_columns(survey, names, rows, [*table.warnings, *warnings], of_wells=())


def _load_data_table(text: str, path: str) -> tuple[tuple[str, ...], AnnotationTable]:
    """Return the columns for well and site, with that for the plate in front if there is one, and the table."""
    header = header_of(text)
    plate, well, site = (next(iter(columns_of(part, header)), None) for part in (PLATE, WELL, SITE))
    key = (*((plate,) if plate else ()), well or WELL, site or SITE)
    return key, annotation_table(text, path, key, _normalise_site_key)


def _site_key(location: PlateWellSite, *, by_plate: bool) -> Key:
    plate, well, site = location
    return *((plate,) if by_plate else ()), well, _normalise_site(site)


def _shown_key(keys: Iterable[Key]) -> str:
    first = next(iter(keys), None)
    return " ".join(str(value) for value in first) if first else "no row"


def _image_name(column: str) -> str:
    return column if column.startswith(METADATA) else f"{IMAGE_LABEL}_{column}"


def _normalise_site_key(key: Key) -> Key:
    *plates, well, site = key
    known = (known_text(plate) for plate in plates)
    return *(plate and without_decimals(plate) for plate in known), normalise_well(well or ""), _normalise_site(site)


def _normalise_site(site: int | str | None) -> str | None:
    text = known_text(site)
    number = None if text is None else site_number(text)
    return text if number is None else str(number)


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
    warnings = list(warnings)
    for column, name in names.items():
        texts = [row.get(column) if row else None for row in rows]
        if name in locations.column_names:
            texts, differences = _merged(name, texts, locations)
            warnings += differences
            locations = locations.drop_columns([name])
        is_text = kind_of(column) is ColumnKind.TEXT
        values = pa.chunked_array([pa.array(texts, pa.string())]) if is_text else infer_type(texts)
        locations = locations.append_column(name, values)
    images = replace(survey.images, locations=locations, of_wells=(*survey.images.of_wells, *of_wells))
    added = tuple(ReportWarning(what=what) for what in warnings)
    return replace(survey, images=images, warnings=(*survey.warnings, *added))


def _merged(name: str, texts: Sequence[str | None], locations: pa.Table) -> tuple[list[str | None], list[str]]:
    """Return the values of a platemap's column that the image table has, too, and a warning if they differ.

    The platemap wins. Where it has no value, the image table's stays if it is one value in each well.
    """
    others = [None if value is None else str(value) for value in locations[name].to_pylist()]
    differing = [
        pair for pair in zip(texts, others, strict=True) if pair[0] and pair[1] and not _is_same(pair[0], pair[1])
    ]
    wells = [locations[part].to_pylist() for part in (PLATE, WELL) if part in locations.column_names]
    places = list(zip(*wells, strict=True))
    constant = len({*zip(places, others, strict=True)}) == len({*places})
    merged = [text or (other if constant else text) for text, other in zip(texts, others, strict=True)]
    warnings = []
    if differing:
        mine, other = differing[0]
        what = f"{name} is {mine!r} in the platemap, which is taken, and {other!r} in the image table"
        warnings.append(f"{plural(len(differing), 'image set')} with two values of {name}: {what}")
    return merged, warnings


def _is_same(one: str, other: str) -> bool:
    try:
        return float(one) == float(other)
    except ValueError:
        return one.strip() == other.strip()


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
    warnings = [f"{plural(len(names), 'well')} {what}: {shortened(names, _SHOWN)}"] if names else []
    return [*warnings, *([f"image sets of an unknown well, {what}"] if None in wells else [])]


def _unused_name(name: str, used: Collection[str]) -> str:
    # pycytominer's `annotate` adds the same suffix to a name that both tables have.
    return f"{name}_platemap" if name in used else name
