"""CellProfiler's CSV files as exports: which file is which table, and which folder is an export."""

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


def export_prefix(stems: Collection[str]) -> str:
    """The prefix that CellProfiler put before every table's name (`myexpt_` of `MyExpt_Image.csv`), or nothing."""
    if _IMAGE in stems:
        return ""
    prefixes = {stem.removesuffix(_IMAGE) for stem in stems if stem.endswith(f"_{_IMAGE}")}
    return prefixes.pop() if len(prefixes) == 1 else ""


def combined_parts(header: Collection[str]) -> tuple[str, ...]:
    """The compartments whose names are the first of a header's two rows; none if it is no such header."""
    if "Image" not in header or IMAGE_NUMBER in header:
        return ()
    return tuple(sorted(set(header) - {"Image", ""}))


def csv_preset(job: PlateJob) -> Preset:
    """The preset for CellProfiler's CSV files."""
    name = PresetName.CELLPROFILER_CSV if job.preset is PresetName.AUTO else job.preset
    return with_overrides(PRESETS[name], job)


def table_names_by_stem(job: PlateJob, headers: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """Lower-case stems of the CSV files to read, each with its table's lower-case name."""
    preset = csv_preset(job)
    prefix = export_prefix(headers)
    by_table = {stem.removeprefix(prefix): stem for stem in headers if stem.startswith(prefix)}
    wanted = set(preset.compartments) | set(preset.metadata)
    if job.preset is PresetName.AUTO and job.compartments is None:
        wanted |= {
            table
            for table, stem in by_table.items()
            if {IMAGE_NUMBER, OBJECT_NUMBER} <= set(headers[stem]) and table not in _NO_COMPARTMENTS
        }
    if COMBINED in by_table and combined_parts(headers[by_table[COMBINED]]):
        wanted.add(COMBINED)
    return {stem: table for table, stem in by_table.items() if table in wanted}


def plan_exports(
    job: PlateJob,
    inventory: Inventory,
    files: Collection[SourceFile],
    names: Mapping[str, str],
    headers: Mapping[str, tuple[str, ...]],
) -> tuple[Export, ...]:
    """An export for each folder with tables. Raises LayoutError where a folder, or two levels, hold a table twice."""
    folders = _tables_by_folder(inventory, files, names)
    _split_combined(job, folders, headers)
    _check_nested_exports(inventory, folders)
    every, unusual = _usual_tables(csv_preset(job), folders)
    return tuple(
        Export(
            index,
            folder,
            tuple({table.file.path: table.file for table in tables.values()}.values()),
            _location_of_folder(inventory.root, folder),
            tables,
            tuple(table for table in every if table not in tables),
            tuple(table for table in tables if table in unusual),
        )
        for index, (folder, tables) in enumerate(folders.items())
    )


def _usual_tables(preset: Preset, folders: Mapping[str, Tables]) -> tuple[list[str], set[str]]:
    """The tables that every export should have, and those that most exports lack and nothing asks for."""
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
    """Puts a combined file's compartments in its place, where a folder has no files of theirs."""
    preset = csv_preset(job)
    everything = job.preset is PresetName.AUTO and job.compartments is None
    for tables in folders.values():
        combined = tables.pop(COMBINED, None)
        if combined is None or set(tables) - set(preset.metadata):
            continue
        for label in combined_parts(headers[combined.file.stem.lower()]):
            name = label.lower()
            if everything or name in preset.compartments:
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
    """The compartments that are there. Raises LayoutError where one that is asked for, or every one, is not."""
    preset = csv_preset(job)
    found = {table for export in exports for table in export.tables} - set(preset.metadata)
    absent = [table for table in preset.compartments if table not in found]
    if absent and (job.preset is not PresetName.AUTO or job.compartments):
        raise LayoutError(
            f"no table for compartment(s) {', '.join(absent)}",
            where=job.source,
            why=f"none of {len(exports)} export(s) has one; found: {', '.join(sorted(found)) or 'none'}",
            remedy="name the compartments that are there with 'compartments', or use preset 'auto'",
        )
    tables = {table for export in exports for table in export.tables}
    if job.metadata and not tables & set(preset.metadata):
        raise LayoutError(
            f"no table for metadata {', '.join(preset.metadata)}",
            where=job.source,
            why=f"none of {len(exports)} export(s) has one; found: {', '.join(sorted(tables))}",
            remedy="name the image tables that are there with 'metadata'",
        )
    if not found:
        raise LayoutError(
            "no compartment tables",
            where=job.source,
            why=f"only {', '.join(sorted(set(names.values())))} is there",
            remedy="check that the source holds Cells.csv, Nuclei.csv or the like",
        )
    return tuple(sorted(found))


def _location_of_folder(root: str, folder: str) -> SiteLocation:
    return location_of_folder(PurePosixPath(root.rstrip("/") if folder == "." else folder).name)
