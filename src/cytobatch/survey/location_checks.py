"""Warnings about locations: names that the job, the folders and the data do not agree on, and unknown parts."""

from collections import Counter
from collections.abc import Iterable, Sequence

import pyarrow as pa

from cytobatch.config.plural import plural
from cytobatch.errors import LayoutError
from cytobatch.formats.base import ConversionPlan
from cytobatch.formats.image_sets import ImageSets
from cytobatch.planning.columns import PLATE, SITE, WELL
from cytobatch.planning.key_columns import EXPORT
from cytobatch.report.model import ReportWarning
from cytobatch.survey.location_columns import phenix_wells, unknown_parts

_SHOWN = 5


def location_warnings(plan: ConversionPlan, images: ImageSets) -> tuple[ReportWarning, ...]:
    """Return a warning for plates whose name differs from the job's, and for folders that name another plate or well.

    Parameters
    ----------
    plan
        The exports with the locations of their folders, and the job.
    images
        The image sets, whose locations are of the data, else of the folder, else of the job.
    """
    job_plate = plan.job.plate
    warnings = _differences("the job's plate", ((job_plate, plate) for plate in _known(images, PLATE)))
    if images.table.num_rows and not plan.format.traits.single_table:
        folders = [plan.exports[index].location for index in images.table[EXPORT].to_pylist()]
        plates = zip((folder.plate for folder in folders), _known(images, PLATE), strict=False)
        wells = zip((folder.well for folder in folders), _known(images, WELL), strict=False)
        warnings += [*_differences("a folder's plate", plates), *_differences("a folder's well", wells)]
    return tuple(ReportWarning(what=what) for what in warnings)


def check_wells(plan: ConversionPlan, images: ImageSets) -> None:
    """Check that wells are known, if the job makes a profile of each. Raises LayoutError."""
    if plan.job.well_profiles and WELL not in images.locations.column_names:
        raise LayoutError(
            "no wells to make profiles of",
            where=plan.job.source,
            why="no table and no folder name has a well",
            remedy="give the well with 'well', or leave well_profiles out",
        )


def column_warnings(raw: pa.Table | None, images: ImageSets, columns: Sequence[str]) -> tuple[ReportWarning, ...]:
    """Return warnings for unknown parts of locations with columns that resemble them, and for converted wells.

    Parameters
    ----------
    raw
        The image rows as the source has them, or None.
    images
        The image sets.
    columns
        The names of all columns of the image tables.
    """
    known = [part for part in (PLATE, WELL, SITE) if part in images.locations.column_names]
    warnings = unknown_parts(known, list(dict.fromkeys(columns)))
    converted = phenix_wells(raw) if raw is not None else 0
    if converted:
        sets = plural(converted, "image set has", "image sets have")
        warnings.append(f"{sets} a well by row and column numbers, r02c03, which became B03")
    return tuple(ReportWarning(what=what) for what in warnings)


def _known(images: ImageSets, part: str) -> Sequence[str | None]:
    """Return one part of the location of each image set, or of each export if there are no image sets."""
    locations = images.locations
    count = images.table.num_rows or locations.num_rows
    values: Sequence[str | None] = (
        locations[part].slice(0, count).to_pylist() if part in locations.column_names else [None] * count
    )
    return values


def _differences(whose: str, pairs: Iterable[tuple[str | None, str | None]]) -> list[str]:
    """Return a text for the pairs of a given and a found name that differ, with both names and counts."""
    counts = Counter(pairs)
    total = sum(counts.values())
    differing = {pair: count for pair, count in counts.items() if None not in pair and pair[0] != pair[1]}
    if not differing:
        return []
    shown = "; ".join(
        f"{given!r}, but the data has {found!r} in {count:,} of {plural(total, 'image set')}"
        for (given, found), count in list(differing.items())[:_SHOWN]
    )
    more = f"; and {len(differing) - _SHOWN} more" if len(differing) > _SHOWN else ""
    return [f"{whose} is {shown}{more}"]
