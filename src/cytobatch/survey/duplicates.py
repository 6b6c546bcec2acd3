"""Exports that hold the same image set twice, such as a copied folder or a file that was downloaded twice.

Three tests find them. Exports are alike if all of their files are, byte for byte; files of whole rows, if their first
rows are. Image sets are the same if plate, well, site and the names of their image files are, and no other metadata
differs. Crops of one site share all of these, and are told apart by their folders' names. Which of the two is meant is
unknown, so that the rows stay.
"""

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath

from cytobatch.config.natural_order import natural_key
from cytobatch.engine.duckdb import Engine
from cytobatch.errors import InvalidTableError
from cytobatch.formats.image_sets import ImageSets
from cytobatch.planning.columns import IMAGE_NUMBER, PLATE, SITE, WELL
from cytobatch.planning.inventory import SourceFile
from cytobatch.planning.key_columns import EXPORT, IMAGE, TABLE
from cytobatch.readers.inputs import BEGINNING, Inputs
from cytobatch.report.model import ReportWarning
from cytobatch.survey.location_columns import location_columns
from cytobatch.survey.model import Survey, SurveyedExport
from cytobatch.survey.same_rows import exports_of_same_rows

_GROUPS_SHOWN = 3
_EXPORTS_NAMED = 10
_FILE_NAME = re.compile(r"(Image_)?FileName_.+")
# A file of several images has a frame or a series for each.
_IDENTITY = re.compile(r"(Image_)?((FileName|Frame|Series)_.+|Metadata_.+)")
_CROP = re.compile(r".+[-_][A-Za-z]{1,2}[0-9]{1,2}[-_](s|f|site)?[0-9]+[-_](?P<crop>[0-9]+)", re.IGNORECASE)

Group = tuple[str, ...]
"""The names of exports, or of their images, that hold the same."""


def duplicate_warnings(survey: Survey, inputs: Inputs, engine: Engine) -> tuple[ReportWarning, ...]:
    """Return the warnings for exports or image sets that stand twice in a plate.

    Parameters
    ----------
    survey
        The survey, whose exports are compared.
    inputs
        The plate's files. Files are read whole only if their sizes and beginnings are equal.
    engine
        Reads image tables again, for the names of image files.

    Raises
    ------
    StorageError
        If a file cannot be fetched.
    """
    exports = [export for export in survey.exports if _has_objects(survey, export)]
    alike = _alike_exports(exports, inputs)
    copies = {export.index for group in alike for export in group[1:]}
    same = _same_image_sets(survey, copies, inputs, engine)
    others = [export for export in exports if export.index not in copies]
    saved_again = exports_of_same_rows(survey, others, inputs, engine)
    groups = [tuple(export.path for export in group) for group in alike]
    return (
        *_warnings(groups, "alike byte for byte, so that the profile has the same objects twice"),
        *_warnings(
            [tuple(export.path for export in group) for group in saved_again],
            "the same first rows of the same wells and sites, so that the profile may have the same objects twice",
        ),
        *_warnings(same, "the same image set by plate, well, site and file names, which the profile then has twice"),
    )


def _warnings(groups: Sequence[Group], what: str) -> Iterator[ReportWarning]:
    if groups:
        shown = "; ".join(" and ".join(map(repr, group[:_EXPORTS_NAMED])) for group in groups[:_GROUPS_SHOWN])
        more = f"; and {len(groups) - _GROUPS_SHOWN} more" if len(groups) > _GROUPS_SHOWN else ""
        names = [name for group in groups for name in group]
        yield ReportWarning(what=f"{what}: {shown}{more}", exports=len(names), first_exports=names[:_EXPORTS_NAMED])


def _has_objects(survey: Survey, export: SurveyedExport) -> bool:
    """Return False if an export has no rows of objects: files of empty sites are alike."""
    return any(table.has_rows for name, table in export.tables.items() if name not in survey.preset.metadata)


def _alike_exports(exports: Iterable[SurveyedExport], inputs: Inputs) -> list[list[SurveyedExport]]:
    """Return groups of at least two exports whose files are equal byte for byte, the original first.

    Equal ETags are equal contents. ETags of one content differ if it was uploaded in parts, or with another key.
    """
    groups = []
    for candidates in _refined(_refined([list(exports)], _sizes), partial(_beginnings, inputs)):
        versions = defaultdict[Hashable, list[SurveyedExport]](list)
        for export in candidates:
            versions[_etags(export) or export.index].append(export)
        firsts = [version[0] for version in versions.values()]
        alike = _refined([firsts], partial(_contents, inputs)) if len(firsts) > 1 else []
        found = {export.index for group in alike for export in group}
        alike += [[first] for first in firsts if first.index not in found]
        merged = ([each for first in group for each in versions[_etags(first) or first.index]] for group in alike)
        groups += [group for group in merged if len(group) > 1]
    # `Day0 (1).csv` sorts before `Day0.csv`, but is its copy.
    ordered = [sorted(group, key=lambda export: (len(export.path), natural_key(export.path))) for group in groups]
    return sorted(ordered, key=lambda group: group[0].index)


def _refined(
    groups: Iterable[list[SurveyedExport]], key: Callable[[SurveyedExport], Hashable]
) -> list[list[SurveyedExport]]:
    """Split groups by a key, and return the parts that have at least two exports."""
    result = []
    for group in groups:
        parts = defaultdict[Hashable, list[SurveyedExport]](list)
        for export in group:
            parts[key(export)].append(export)
        result += [part for part in parts.values() if len(part) > 1]
    return result


def _sizes(export: SurveyedExport) -> Hashable:
    # Tables of one file have its size each. Two sets of tables in one file have other names.
    return tuple(
        sorted(
            (name, table.source_name or "", _file(export, table.source).size) for name, table in export.tables.items()
        )
    )


def _etags(export: SurveyedExport) -> tuple[str, ...]:
    """Return the ETags of an export's files, or () if one of them has none."""
    etags = [file.etag for file in _files(export)]
    return tuple(etag for etag in etags if etag) if all(etags) else ()


def _beginnings(inputs: Inputs, export: SurveyedExport) -> Hashable:
    digests = []
    for file in _files(export):
        with inputs.beginning(file.path).open("rb") as stream:
            digests.append(hashlib.sha256(stream.read(min(BEGINNING, file.size))).digest())
    return tuple(digests)


def _contents(inputs: Inputs, export: SurveyedExport) -> Hashable:
    digests = []
    for file in _files(export):
        with inputs.whole(file.path).open("rb") as stream:
            digests.append(hashlib.file_digest(stream, "sha256").digest())
    return tuple(digests)


def _files(export: SurveyedExport) -> list[SourceFile]:
    """Return the files of an export's tables, by the names of the tables."""
    sources = dict.fromkeys(export.tables[name].source for name in sorted(export.tables))
    companions = [file for file in export.export.files if file.path not in sources]
    return [*(_file(export, source) for source in sources), *companions]


def _file(export: SurveyedExport, path: str) -> SourceFile:
    return next(file for file in export.export.files if file.path == path)


def _same_image_sets(survey: Survey, skipped: Collection[int], inputs: Inputs, engine: Engine) -> list[Group]:
    """Return groups of image sets with the same plate, well, site, file names and other metadata.

    `skipped` has the indices of exports that are copies of another.
    """
    exports = {export.index: export for export in survey.exports if export.index not in skipped}
    by_location = defaultdict[Hashable, list[ImageSet]](list)
    for image_set in _located(survey.images):
        if image_set.export in exports:
            by_location[image_set.location].append(image_set)
    candidates = [group for group in by_location.values() if len(group) > 1]
    owners = sorted({image_set.export for group in candidates for image_set in group})
    identities = {owner: _identities(survey, exports[owner], inputs, engine) for owner in owners}
    groups = []
    for candidate in candidates:
        same = defaultdict[Hashable, list[str]](list)
        for image_set in candidate:
            identity = identities[image_set.export].get(image_set.row)
            if identity is not None:
                same[identity].append(image_set.shown(exports[image_set.export]))
        groups += [tuple(dict.fromkeys(names)) for names in same.values()]
    return [group for group in groups if len(group) > 1]


@dataclass(frozen=True, slots=True)
class ImageSet:
    """An image set: its location, the index of its export, its row in the export's image table, and its number.

    `is_only` is True if the export has no other.
    """

    location: Hashable
    export: int
    row: int
    number: str
    is_only: bool

    def shown(self, export: SurveyedExport) -> str:
        """Return the name of the image set in messages."""
        return export.path if self.is_only else f"image {self.number} of {export.path}"


def _located(images: ImageSets) -> Iterator[ImageSet]:
    """Yield the numbered image sets whose well is known."""
    table, locations = images.table, images.locations
    if IMAGE not in table.column_names or WELL not in locations.column_names:
        return
    count = table.num_rows
    places = locations.select([name for name in (PLATE, WELL, SITE) if name in locations.column_names]).slice(0, count)
    owners = table[EXPORT].to_pylist()
    numbers = table.select([name for name in (TABLE, IMAGE) if name in table.column_names]).to_pylist()
    totals, rows = Counter(owners), Counter[int]()
    for place, owner, number in zip(places.to_pylist(), owners, numbers, strict=True):
        row = rows[owner]
        rows[owner] += 1
        if place[WELL] is not None:
            shown = "/".join(str(value) for value in number.values())
            yield ImageSet(tuple(place.values()), owner, row, shown, totals[owner] == 1)


def _identities(survey: Survey, export: SurveyedExport, inputs: Inputs, engine: Engine) -> Mapping[int, Hashable]:
    """Return by row of an image table the names of its image files and its metadata, where it has file names.

    It is empty if the table cannot be read, because the survey needs none of these columns.
    """
    table = next((export.tables[name] for name in survey.preset.metadata if name in export.tables), None)
    if table is None:
        return {}
    known = set(location_columns(table.schema.names))
    names = [name for name in table.schema.names if _IDENTITY.fullmatch(name) and name not in known]
    columns = dict.fromkeys((IMAGE_NUMBER, *names))
    try:
        rows, _ = survey.plan.format.read_images(table, inputs.whole(table.source), tuple(columns), engine)
    except InvalidTableError:
        return {}
    crop = _CROP.fullmatch(PurePosixPath(export.path).name)
    own = crop["crop"] if crop else None
    return {
        number: (own, *((name, row[name]) for name in sorted(names) if row[name] is not None))
        for number, row in enumerate(rows.to_pylist())
        if any(row[name] for name in names if _FILE_NAME.fullmatch(name))
    }
