"""The exports of CellProfiler's CSV files: a table for each file by its name or header, an export for each folder."""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from pathlib import PurePosixPath

from cytobatch.config.options import PlateJob
from cytobatch.config.presets.catalog import PRESETS, Preset, PresetName
from cytobatch.config.wells import SiteLocation, location_of_folder
from cytobatch.errors import LayoutError
from cytobatch.formats.base import Export, PlannedTable, unusual_tables, with_overrides
from cytobatch.formats.csv_files import COMBINED
from cytobatch.planning.columns import IMAGE_NUMBER, OBJECT_NUMBER, table_label
from cytobatch.planning.inventory import Inventory, SourceFile

_IMAGE = "image"
_NO_COMPARTMENTS = frozenset({"experiment", COMBINED, _IMAGE})

Tables = dict[str, PlannedTable]
"""The tables of an export, by lower-case name."""


def export_prefix(stems: Collection[str]) -> str:
    """Return the prefix that CellProfiler put before every table's name (`myexpt_` of `MyExpt_Image.csv`), or ""."""
    if _IMAGE in stems:
        return ""
    prefixes = {stem.removesuffix(_IMAGE) for stem in stems if stem.endswith(f"_{_IMAGE}")}
    return prefixes.pop() if len(prefixes) == 1 else ""


def combined_compartments(header: Collection[str]) -> tuple[str, ...]:
    """Return the compartments in the first of a combined file's two header rows, or () for any other header."""
    if "Image" not in header or IMAGE_NUMBER in header:
        return ()
    return tuple(sorted(set(header) - {"Image", ""}))


def csv_preset(job: PlateJob) -> Preset:
    """Return the preset for CellProfiler's CSV files, with the job's own options."""
    name = PresetName.CELLPROFILER_CSV if job.preset is PresetName.AUTO else job.preset
    return with_overrides(PRESETS[name], job)


def table_names_by_stem(job: PlateJob, headers: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """Return the lower-case table name of each CSV file to read, by the file's lower-case stem.

    `headers` are the first rows of files by stem, empty for files that were not read.
    """
    preset = csv_preset(job)
    prefix = export_prefix(headers)
    by_table = {stem.removeprefix(prefix): stem for stem in headers if stem.startswith(prefix)}
    table_names = set(preset.compartments) | set(preset.metadata)
    if job.preset is PresetName.AUTO and job.compartments is None:
        table_names |= {
            table
            for table, stem in by_table.items()
            if {IMAGE_NUMBER, OBJECT_NUMBER} <= set(headers[stem]) and table not in _NO_COMPARTMENTS
        }
    if COMBINED in by_table and combined_compartments(headers[by_table[COMBINED]]):
        table_names.add(COMBINED)
    return {stem: table for table, stem in by_table.items() if table in table_names}


def plan_exports(
    job: PlateJob,
    inventory: Inventory,
    files: Collection[SourceFile],
    names: Mapping[str, str],
    headers: Mapping[str, tuple[str, ...]],
) -> tuple[Export, ...]:
    """Return an export for each folder with tables.

    `names` are table names by stem. Raises LayoutError if a folder has two files of one table, or if compartments lie
    at two levels of nested folders.
    """
    folders = _tables_by_folder(inventory, files, names)
    _split_combined(job, folders, headers)
    _check_nested_exports(inventory, folders)
    usual, unusual = _usual_tables(csv_preset(job), folders)
    return tuple(
        Export(
            index,
            folder,
            tuple({table.file.path: table.file for table in tables.values()}.values()),
            _location_of_folder(inventory.root, folder),
            tables,
            tuple(table for table in usual if table not in tables),
            tuple(table for table in tables if table in unusual),
        )
        for index, (folder, tables) in enumerate(folders.items())
    )


def _usual_tables(preset: Preset, folders: Mapping[str, Tables]) -> tuple[list[str], set[str]]:
    """Return the tables that every export should have, and those that most exports and the preset lack."""
    counts = Counter(table for tables in folders.values() for table in tables)
    known = {*preset.compartments, *preset.metadata}
    unusual = unusual_tables(counts, known, len(folders))
    return sorted(set(counts) - unusual), unusual


def _tables_by_folder(
    inventory: Inventory, files: Collection[SourceFile], names: Mapping[str, str]
) -> dict[str, Tables]:
    folders: dict[str, Tables] = defaultdict(dict)
    for file in files:
        table = names[file.stem.lower()]
        if table in folders[file.folder]:
            raise LayoutError(
                "ambiguous layout",
                where=f"{inventory.root}, folder {file.folder}",
                why=f"two files are the table {table!r}: {folders[file.folder][table].file.path} and {file.path}",
                remedy="remove one of the two",
            )
        folders[file.folder][table] = PlannedTable(table, _label(file.stem, table), file)
    return folders


def _split_combined(job: PlateJob, folders: dict[str, Tables], headers: Mapping[str, tuple[str, ...]]) -> None:
    """Replace a combined file by its compartments, in folders that have no other files of compartments."""
    preset = csv_preset(job)
    all_compartments = job.preset is PresetName.AUTO and job.compartments is None
    for tables in folders.values():
        combined = tables.pop(COMBINED, None)
        if combined is None or set(tables) - set(preset.metadata):
            continue
        for label in combined_compartments(headers[combined.file.stem.lower()]):
            name = label.lower()
            if all_compartments or name in preset.compartments:
                tables[name] = PlannedTable(name, table_label(label), combined.file, combined=True)


def _label(stem: str, table: str) -> str:
    return table_label(stem[len(stem) - len(table) :])


def _check_nested_exports(inventory: Inventory, folders: Mapping[str, Mapping[str, PlannedTable]]) -> None:
    compartments = {folder for folder, tables in folders.items() if set(tables) - {_IMAGE}}
    for folder in compartments:
        for parent in PurePosixPath(folder).parents:
            if str(parent) in compartments and str(parent) != folder:
                raise LayoutError(
                    "ambiguous layout",
                    where=inventory.root,
                    why=f"compartment tables lie both in {str(parent)!r} and below it in {folder!r}; "
                    "they may hold the same objects twice",
                    remedy="point the source at one of the two levels",
                )


def plan_compartments(job: PlateJob, exports: tuple[Export, ...], names: Mapping[str, str]) -> tuple[str, ...]:
    """Return the compartments of the exports. Raises LayoutError if one that the job names, or every one, is absent."""
    preset = csv_preset(job)
    tables = {table for export in exports for table in export.tables}
    present = tables - set(preset.metadata)
    absent = [table for table in preset.compartments if table not in present]
    if absent and (job.preset is not PresetName.AUTO or job.compartments):
        raise LayoutError(
            f"no table for compartment(s) {', '.join(absent)}",
            where=job.source,
            why=f"none of {len(exports)} export(s) has one; found: {', '.join(sorted(present)) or 'none'}",
            remedy="name the compartments that are there with 'compartments', or use preset 'auto'",
        )
    if job.metadata and not tables & set(preset.metadata):
        raise LayoutError(
            f"no table for metadata {', '.join(preset.metadata)}",
            where=job.source,
            why=f"none of {len(exports)} export(s) has one; found: {', '.join(sorted(tables))}",
            remedy="name the image tables that are there with 'metadata'",
        )
    if not present:
        raise LayoutError(
            "no compartment tables",
            where=job.source,
            why=f"only {', '.join(sorted(set(names.values())))} is there",
            remedy="check that the source holds Cells.csv, Nuclei.csv or the like",
        )
    return tuple(sorted(present))


def _location_of_folder(root: str, folder: str) -> SiteLocation:
    return location_of_folder(PurePosixPath(root.rstrip("/") if folder == "." else folder).name)
