"""The exports of CellProfiler's CSV files: a table for each file, an export for each folder and prefix."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from cytobatch.config.options import PlateJob
from cytobatch.config.plural import plural, with_noun
from cytobatch.config.presets.catalog import PRESETS, Preset, PresetName
from cytobatch.config.wells import SiteLocation, location_of_folder
from cytobatch.errors import LayoutError
from cytobatch.formats.base import Export, PlannedTable, with_overrides
from cytobatch.formats.cellprofiler_csv.combined import HeaderRows, combined_compartments, combined_stems
from cytobatch.formats.csv_names import TableFile
from cytobatch.formats.csv_suffixes import COMBINED, EXPERIMENT, IMAGE
from cytobatch.formats.table_facts import unusual_tables
from cytobatch.planning.columns import IMAGE_NUMBER, OBJECT_NUMBER, table_label
from cytobatch.planning.inventory import Inventory

_NO_COMPARTMENTS = frozenset({EXPERIMENT, COMBINED, IMAGE})

Tables = dict[str, PlannedTable]
"""The tables of an export, by lower-case name."""


@dataclass(frozen=True, slots=True)
class TableSet:
    """The folder of an export's files, and the prefix of their names as it is written."""

    folder: str
    prefix: str

    @property
    def path(self) -> str:
        """The path that distinguishes the set from others in its folder."""
        if not self.prefix:
            return self.folder
        return self.prefix if self.folder == "." else f"{self.folder}/{self.prefix}"


def csv_preset(job: PlateJob) -> Preset:
    """Return the preset for CellProfiler's CSV files, with the job's own options."""
    name = PresetName.CELLPROFILER_CSV if job.preset is PresetName.AUTO else job.preset
    return with_overrides(PRESETS[name], job)


def table_names_by_stem(job: PlateJob, headers: Mapping[str, HeaderRows]) -> dict[str, str]:
    """Return the lower-case table name of each CSV file to read, by the file's lower-case stem.

    `headers` are the first rows of files by stem, empty for files that were not read.
    """
    preset = csv_preset(job)
    combined = combined_stems(headers)
    table_names = set(preset.compartments) | set(preset.metadata)
    if job.preset is PresetName.AUTO and job.compartments is None:
        table_names |= {
            stem
            for stem, rows in headers.items()
            if {IMAGE_NUMBER, OBJECT_NUMBER} <= set(rows.first) and stem not in _NO_COMPARTMENTS
        }
    return {stem: COMBINED if stem in combined else stem for stem in headers if stem in table_names | combined}


def plan_exports(
    job: PlateJob,
    inventory: Inventory,
    files: Collection[TableFile],
    names: Mapping[str, str],
    headers: Mapping[str, HeaderRows],
) -> tuple[Export, ...]:
    """Return an export for each folder and prefix with tables.

    `names` are table names by stem. Raises LayoutError if an export has two files of one table, or if compartments lie
    at two levels of nested folders.
    """
    sets = _tables_by_set(inventory, files, names)
    _split_combined(job, sets, headers)
    _check_nested_exports(inventory, sets)
    usual, unusual = _usual_tables(csv_preset(job), sets)
    folders = Counter(key.folder for key in sets)
    return tuple(
        Export(
            index,
            key.folder if folders[key.folder] == 1 else key.path,
            tuple({table.file.path: table.file for table in tables.values()}.values()),
            _location(inventory.root, key),
            tables,
            tuple(table for table in usual if table not in tables),
            tuple(table for table in tables if table in unusual),
        )
        for index, (key, tables) in enumerate(sets.items())
    )


def _usual_tables(preset: Preset, sets: Mapping[TableSet, Tables]) -> tuple[list[str], set[str]]:
    """Return the tables that every export should have, and those that most exports and the preset lack."""
    counts = Counter(table for tables in sets.values() for table in tables)
    known = {*preset.compartments, *preset.metadata}
    unusual = unusual_tables(counts, known, len(sets))
    return sorted(set(counts) - unusual), unusual


def _tables_by_set(
    inventory: Inventory, files: Collection[TableFile], names: Mapping[str, str]
) -> dict[TableSet, Tables]:
    sets: dict[TableSet, Tables] = {}
    prefixes: dict[tuple[str, str], str] = {}
    for each in files:
        # Names may differ in case within an export, and its prefix with them: the first one stands for all.
        prefix = prefixes.setdefault((each.file.folder, each.prefix.lower()), each.prefix)
        tables = sets.setdefault(TableSet(each.file.folder, prefix), {})
        table = names[each.stem]
        if table in tables:
            raise LayoutError(
                "ambiguous layout",
                where=f"{inventory.root}, folder {each.file.folder}",
                why=f"two files are the table {table!r}: {tables[table].file.path} and {each.file.path}",
                remedy="remove one of the two",
            )
        tables[table] = PlannedTable(table, table_label(each.file.stem[len(each.prefix) :]), each.file)
    return sets


def _split_combined(job: PlateJob, sets: Mapping[TableSet, Tables], headers: Mapping[str, HeaderRows]) -> None:
    """Replace a combined file by its compartments, in exports that have no other files of compartments."""
    preset = csv_preset(job)
    all_compartments = job.preset is PresetName.AUTO and job.compartments is None
    for key, tables in sets.items():
        combined = tables.pop(COMBINED, None)
        if combined is None or set(tables) - set(preset.metadata):
            continue
        stem = combined.file.stem[len(key.prefix) :].lower()
        for label in combined_compartments(headers[stem].first):
            name = label.lower()
            if all_compartments or name in preset.compartments:
                tables[name] = PlannedTable(name, table_label(label), combined.file, combined=True)


def _check_nested_exports(inventory: Inventory, sets: Mapping[TableSet, Tables]) -> None:
    compartments = {key.folder for key, tables in sets.items() if set(tables) - {IMAGE}}
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
            f"no table for {with_noun(absent, 'compartment')}",
            where=job.source,
            why=f"none of {plural(len(exports), 'export')} has one; found: {', '.join(sorted(present)) or 'none'}",
            remedy="name those that are there with 'compartments', separated by commas, or use preset 'auto'",
        )
    if job.metadata and not tables & set(preset.metadata):
        raise LayoutError(
            f"no table for metadata {', '.join(preset.metadata)}",
            where=job.source,
            why=f"none of {plural(len(exports), 'export')} has one; found: {', '.join(sorted(tables))}",
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


def _location(root: str, key: TableSet) -> SiteLocation:
    """Return the location in the prefix of an export's files, or else in the name of its folder."""
    folder = location_of_folder(PurePosixPath(root.rstrip("/") if key.folder == "." else key.folder).name)
    return location_of_folder(key.prefix.strip(" _-.")).or_else(folder)
