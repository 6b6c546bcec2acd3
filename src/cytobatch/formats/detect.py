"""The plan of a plate from its listing: each installed format claims files, and the one that does plans the exports."""

from collections.abc import Mapping, Sequence
from typing import Any

from cytobatch.config.options import PlateJob
from cytobatch.config.plural import plural
from cytobatch.config.presets.catalog import PRESETS, FormatName, PresetName
from cytobatch.errors import LayoutError
from cytobatch.formats.base import NOT_READ, ConversionPlan, FormatPlan, Listing, SourceFormat
from cytobatch.formats.hidden_files import reason_not_read, without_hidden
from cytobatch.formats.lone_table import check_lone_table
from cytobatch.formats.mysql_export import check_no_mysql_export
from cytobatch.formats.odd_names import check_names, with_shown_names
from cytobatch.formats.registry import source_formats
from cytobatch.formats.unknown_sets import check_known_sets
from cytobatch.planning.inventory import Inventory, SourceFile

_REPORT = "run-report.json"
_FILES_SHOWN = 5

Claims = Sequence[tuple[SourceFormat[Any], Sequence[SourceFile]]]
"""Formats, each with the files that it claims."""


def formats_for(job: PlateJob) -> tuple[SourceFormat[Any], ...]:
    """Return the formats that the job's preset allows; with `auto`, all installed formats."""
    if job.preset is PresetName.AUTO:
        return source_formats()
    return tuple(each for each in source_formats() if each.name in PRESETS[job.preset].formats)


def files_to_probe(job: PlateJob, inventory: Inventory) -> list[SourceFile]:
    """Return the files whose first bytes the formats need to claim files, each file once; hidden files are not read."""
    visible = without_hidden(inventory)
    probes = (file for each in formats_for(job) for file in each.probes(job, visible))
    return list({file.path: file for file in probes}.values())


def make_plan(
    job: PlateJob, inventory: Inventory, heads: Mapping[str, bytes], siblings: Sequence[SourceFile] = ()
) -> ConversionPlan:
    """Plan the conversion of one plate.

    Parameters
    ----------
    job
        The plate's options, of which the preset limits the formats.
    inventory
        Every file of the source.
    heads
        The first bytes of the files of `files_to_probe`, by path.
    siblings
        The files in the folder of a source that is one file.

    Returns
    -------
    The exports, the format that reads them, and the files that are ignored.

    Raises
    ------
    LayoutError
        If no format claims a file, if two formats do, or if the claimed files are ambiguous or incomplete: also if the
        source is one table of several, or a name that is not UTF-8 is one of a table.
    """
    named, inventory = inventory, with_shown_names(inventory)
    visible = without_hidden(inventory)
    check_no_mysql_export(visible, heads)
    listing = Listing(job, visible, heads)
    if any(each.name == FormatName.CSV for each in formats_for(job)):
        check_lone_table(visible, heads, siblings)
        check_known_sets(listing)
    claims = [(each, each.claims(listing)) for each in formats_for(job)]
    chosen, files = _only_claim(listing, [(each, files) for each, files in claims if files])
    planned = chosen.plan(listing, files)
    plan = ConversionPlan(
        job, inventory, chosen, planned.preset, planned.compartments, planned.exports, _ignored(inventory, planned)
    )
    check_names(named, {file.path for export in plan.exports for file in export.files} | set(chosen.whole_files(plan)))
    return plan


def _only_claim(listing: Listing, claims: Claims) -> tuple[SourceFormat[Any], Sequence[SourceFile]]:
    """Return the only claim. Raises LayoutError if there are several, or none."""
    if len(claims) == 1:
        return claims[0]
    root, job = listing.inventory.root, listing.job
    if claims:
        raise LayoutError(
            "ambiguous layout",
            where=root,
            why=f"there are both {' and '.join(f'{each.name} ({files[0].path})' for each, files in claims)}",
            remedy="name the preset of the one to convert, or point the source at it alone",
        )
    files = listing.inventory.files
    if any(file.path.endswith(_REPORT) for file in files):
        raise LayoutError(
            "the source is a result of cytobatch",
            where=root,
            why=f"it has a {_REPORT}, and no measurements",
            remedy="give the folder of the measurements first and the result second: cytobatch run SOURCE DESTINATION",
        )
    shown = ", ".join(file.path for file in files[:_FILES_SHOWN]) or "each of them is hidden, or no file"
    raise LayoutError(
        f"nothing here fits preset {job.preset.value!r}",
        where=root,
        why=f"none of {plural(len(files), 'file')} is a known table: {shown}",
        remedy=f"check source and preset; tables are {'; '.join(each.examples for each in formats_for(job))}",
    )


def _ignored(inventory: Inventory, planned: FormatPlan) -> tuple[tuple[SourceFile, str], ...]:
    """Return the files that are not tables of their own, with reasons: unread files, then companions of read files."""
    read = {file.path for export in planned.exports for file in export.files}
    visible = {file.path for file in without_hidden(inventory).files}
    unread = [
        (file, planned.ignored.get(file.path) or (file.path not in visible and reason_not_read(file)) or NOT_READ)
        for file in inventory.files
        if file.path not in read
    ]
    files = {file.path: file for file in inventory.files}
    companions = [(files[path], reason) for path, reason in planned.ignored.items() if path in read]
    return (*unread, *companions)
