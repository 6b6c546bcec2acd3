"""Inventory to ConversionPlan: which exports there are and which tables they hold. Pure; nothing is read here.

An export is one analysis output that numbers its own images: a site, well or whole-plate folder of CSV files, one
SQLite file, or one file of an instrument that writes whole rows.
"""

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from cytobatch.config.options import PlateJob
from cytobatch.config.presets.presets import PRESETS, SUFFIXES, PresetName, SourceKind
from cytobatch.config.presets.wells import SiteLocation, location_of_file
from cytobatch.errors import LayoutError
from cytobatch.formats.cellprofiler_csv.exports import (
    COMBINED,
    CSV_SUFFIX,
    csv_compartments,
    csv_exports,
    csv_names,
    csv_preset,
)
from cytobatch.formats.incarta.columns import is_incarta, was_incarta
from cytobatch.planning.inventory import Inventory, SourceFile
from cytobatch.planning.model import (
    NOT_READ,
    ConversionPlan,
    Export,
    with_overrides,
)

_COMPANIONS = ("-wal", "-journal")
_FILES_NAMED_IN_A_MESSAGE = 5

_SINGLE_TABLE_PRESETS = {SourceKind.IN_CARTA: PresetName.IN_CARTA, SourceKind.NPZ: PresetName.DEEPPROFILER}


def make_plan(job: PlateJob, inventory: Inventory, headers: Mapping[str, tuple[str, ...]]) -> ConversionPlan:
    """The plan for one plate.

    `headers` holds the first row of a CSV file for each distinct lower-case stem; those that `auto` does not know by
    name are compartments if they have ImageNumber and ObjectNumber. Raises LayoutError where nothing fits, or where
    two layouts or two levels of folders do.
    """
    names = csv_names(job, headers)
    files = _files_by_kind(job, inventory, names, headers)
    kind = _kind(job, inventory, files)
    if kind is SourceKind.CSV:
        exports = csv_exports(job, inventory, files[kind], names, headers)
        compartments = csv_compartments(job, exports, names)
        return _plan(job, inventory, kind, exports, csv_preset(job).name, compartments)
    if kind is SourceKind.SQLITE:
        exports = tuple(
            Export(index, file.path, (file, *_companions(file, inventory)), _location_of_sqlite(file))
            for index, file in enumerate(files[kind])
        )
        return _plan(job, inventory, kind, exports, None if job.preset is PresetName.AUTO else job.preset)
    _check_joins(job, kind)
    return _plan(job, inventory, kind, _single_table_exports(inventory, kind, files[kind]), _SINGLE_TABLE_PRESETS[kind])


def _plan(  # noqa: PLR0913, PLR0917  all that a plan is made of
    job: PlateJob,
    inventory: Inventory,
    kind: SourceKind,
    exports: tuple[Export, ...],
    name: PresetName | None,
    compartments: tuple[str, ...] = (),
) -> ConversionPlan:
    preset = None if name is None else with_overrides(PRESETS[name], job)
    taken = {file.path for export in exports for file in export.files}
    ignored = [(file, _why_ignored(file)) for file in inventory.files if file.path not in taken]
    if kind is SourceKind.SQLITE:
        # Read by SQLite itself, with the database that comes first among an export's files.
        ignored += [(file, f"read with {export.path}") for export in exports for file in export.files[1:]]
    return ConversionPlan(job, inventory, kind, preset, compartments, exports, tuple(ignored))


def _why_ignored(file: SourceFile) -> str:
    if file.suffix == CSV_SUFFIX and file.stem.lower() == COMBINED:
        return f"{NOT_READ}, or its compartments have files of their own"
    return NOT_READ


def _files_by_kind(
    job: PlateJob, inventory: Inventory, names: Mapping[str, str], headers: Mapping[str, tuple[str, ...]]
) -> dict[SourceKind, list[SourceFile]]:
    """The files of each kind that the job's preset allows."""
    stems = {SourceKind.CSV: set(names), SourceKind.IN_CARTA: _incarta_stems(job, headers)}
    allowed = set(SourceKind) if job.preset is PresetName.AUTO else PRESETS[job.preset].kinds
    return {
        kind: [
            file
            for file in inventory.files
            if file.suffix in SUFFIXES[kind] and (kind not in stems or file.stem.lower() in stems[kind])
        ]
        for kind in SourceKind
        if kind in allowed
    }


def _incarta_stems(job: PlateJob, headers: Mapping[str, tuple[str, ...]]) -> set[str]:
    """The stems of IN Carta's files; where there is one, damaged and empty ones beside it are meant to be such, too."""
    if job.preset is PresetName.IN_CARTA:
        return set(headers)
    if not any(is_incarta(header) for header in headers.values()):
        return set()
    return {stem for stem, header in headers.items() if not header or was_incarta(header)}


def _kind(job: PlateJob, inventory: Inventory, files: Mapping[SourceKind, Sequence[SourceFile]]) -> SourceKind:
    found = [kind for kind, own in files.items() if own]
    if len(found) == 1:
        return found[0]
    if found:
        raise LayoutError(
            "ambiguous layout",
            where=inventory.root,
            why=f"there are both {' and '.join(f'{kind} ({files[kind][0].path})' for kind in found)}",
            remedy="name the preset of the one to convert, or point the source at it alone",
        )
    shown = ", ".join(file.path for file in inventory.files[:_FILES_NAMED_IN_A_MESSAGE])
    raise LayoutError(
        f"nothing here fits preset {job.preset.value!r}",
        where=inventory.root,
        why=f"of {len(inventory.files)} file(s) none is a table it knows, such as {shown}",
        remedy="check source and preset; tables are Image.csv, Cells.csv, … in folders, .sqlite files, IN Carta's CSV "
        "files or DeepProfiler's .npz files",
    )


def _check_joins(job: PlateJob, kind: SourceKind) -> None:
    said = [name for name in ("compartments", "metadata", "joins") if getattr(job, name) is not None]
    if said:
        raise LayoutError(
            f"{said[0]} does not fit this source",
            where=job.source,
            why=f"{kind} files have whole rows, without compartments to join",
            remedy=f"leave {said[0]} out",
        )


def _single_table_exports(inventory: Inventory, kind: SourceKind, files: Sequence[SourceFile]) -> tuple[Export, ...]:
    root = PurePosixPath(inventory.root.rstrip("/")).parts
    return tuple(
        Export(index, file.path, (file,), _location_of_npz(root, file) if kind is SourceKind.NPZ else SiteLocation())
        for index, file in enumerate(files)
    )


def _location_of_npz(root: Sequence[str], file: SourceFile) -> SiteLocation:
    # The names above a file tell where it was taken, even those above the source.
    return location_of_file(str(PurePosixPath(*root, file.path)))


def _companions(file: SourceFile, inventory: Inventory) -> list[SourceFile]:
    """The write-ahead log or journal beside a SQLite file: rows may be there that the file itself has not yet."""
    names = {f"{file.path}{suffix}" for suffix in _COMPANIONS}
    return [other for other in inventory.files if other.path in names and other.size]


def _location_of_sqlite(file: SourceFile) -> SiteLocation:
    folder = PurePosixPath(file.path).parent.name
    return SiteLocation(plate=file.stem) if folder == file.stem else SiteLocation()
