"""Inventory to ConversionPlan: which exports there are and which tables they hold. Pure; nothing is read here.

An export is one analysis output that numbers its own images: a site, well or whole-plate folder of CSV files, or one
SQLite file.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from cytobatch.columns import IMAGE_NUMBER, OBJECT_NUMBER, table_label
from cytobatch.errors import LayoutError
from cytobatch.inventory import Inventory, SourceFile
from cytobatch.jobspec import PlateJob
from cytobatch.layouts import PRESETS, Place, Preset, PresetName, SourceKind, place_of_folder

SQLITE_SUFFIXES = frozenset({".sqlite", ".sqlite3", ".db", ".db3"})
CSV_SUFFIX = ".csv"
_COMPANIONS = ("-wal", "-journal")
_IMAGE = "image"
_NO_COMPARTMENTS = frozenset({"experiment", "object", _IMAGE})
_FILES_NAMED_IN_A_MESSAGE = 5
NOT_READ = "no table of this layout"
MISSING = "missing: other exports have this table, this one does not"


@dataclass(frozen=True, slots=True)
class CsvTable:
    """One CSV file as a table: its lower-case name (`cells`) and the name that its columns get (`Cells`)."""

    name: str
    label: str
    file: SourceFile


@dataclass(frozen=True, slots=True)
class Export:
    """One export: its path below the source, its files, its CSV tables by name, and the tables that it lacks."""

    index: int
    path: str
    files: tuple[SourceFile, ...]
    place: Place
    tables: Mapping[str, CsvTable] = field(default_factory=dict)
    missing: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


@dataclass(frozen=True, slots=True)
class ConversionPlan:
    """What will be read, and as what.

    `preset` is None where `auto` has to look into the SQLite files first. `compartments` are those of a CSV source,
    by lower-case name. `ignored` are files that no table is read from, each with the reason.
    """

    job: PlateJob
    inventory: Inventory
    kind: SourceKind
    preset: Preset | None
    compartments: tuple[str, ...]
    exports: tuple[Export, ...]
    ignored: tuple[tuple[SourceFile, str], ...]

    @property
    def size(self) -> int:
        """Bytes to read."""
        return sum(export.size for export in self.exports)


def with_overrides(preset: Preset, job: PlateJob) -> Preset:
    """The preset with what the job says in its place."""
    return replace(
        preset,
        compartments=tuple(name.lower() for name in job.compartments or preset.compartments),
        metadata=tuple(name.lower() for name in job.metadata or preset.metadata),
        identifying_columns=job.identifying_columns or preset.identifying_columns,
    )


def csv_stems(inventory: Inventory) -> dict[str, SourceFile]:
    """The first CSV file with content for each distinct lower-case stem: those whose headers tell what they are."""
    stems: dict[str, SourceFile] = {}
    for file in inventory.files:
        if file.suffix == CSV_SUFFIX and (file.stem.lower() not in stems or not stems[file.stem.lower()].size):
            stems[file.stem.lower()] = file
    return stems


def export_prefix(stems: Collection[str]) -> str:
    """The prefix that CellProfiler put before every table's name (`myexpt_` of `MyExpt_Image.csv`), or nothing."""
    if _IMAGE in stems:
        return ""
    prefixes = {stem.removesuffix(_IMAGE) for stem in stems if stem.endswith(f"_{_IMAGE}")}
    return prefixes.pop() if len(prefixes) == 1 else ""


def make_plan(job: PlateJob, inventory: Inventory, headers: Mapping[str, tuple[str, ...]]) -> ConversionPlan:
    """The plan for one plate.

    `headers` holds the column names of a CSV file for each distinct lower-case stem; those that `auto` does not know
    by name are compartments if they have ImageNumber and ObjectNumber. Raises LayoutError where nothing fits, or
    where two layouts or two levels of folders do.
    """
    names = _csv_names(job, headers)
    csv = [file for file in inventory.files if file.suffix == CSV_SUFFIX and file.stem.lower() in names]
    sqlite = [file for file in inventory.files if file.suffix in SQLITE_SUFFIXES]
    kind = _kind(job, inventory, csv, sqlite)
    if kind is SourceKind.SQLITE:
        exports = tuple(
            Export(index, file.path, (file, *_companions(file, inventory)), _place_of_sqlite(file))
            for index, file in enumerate(sqlite)
        )
        preset = None if job.preset is PresetName.AUTO else with_overrides(PRESETS[job.preset], job)
        return ConversionPlan(job, inventory, kind, preset, (), exports, _ignored(inventory, exports))
    preset = _csv_preset(job)
    exports = _csv_exports(inventory, csv, names)
    compartments = _compartments(job, preset, exports, names)
    return ConversionPlan(job, inventory, kind, preset, compartments, exports, _ignored(inventory, exports))


def _csv_preset(job: PlateJob) -> Preset:
    name = PresetName.CELLPROFILER_CSV if job.preset is PresetName.AUTO else job.preset
    return with_overrides(PRESETS[name], job)


def _csv_names(job: PlateJob, headers: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """Lower-case stems of the CSV files to read, each with its table's lower-case name."""
    preset = _csv_preset(job)
    prefix = export_prefix(headers)
    by_table = {stem.removeprefix(prefix): stem for stem in headers if stem.startswith(prefix)}
    wanted = set(preset.compartments) | set(preset.metadata)
    if job.preset is PresetName.AUTO and job.compartments is None:
        wanted |= {
            table
            for table, stem in by_table.items()
            if {IMAGE_NUMBER, OBJECT_NUMBER} <= set(headers[stem]) and table not in _NO_COMPARTMENTS
        }
    return {stem: table for table, stem in by_table.items() if table in wanted}


def _kind(job: PlateJob, inventory: Inventory, csv: list[SourceFile], sqlite: list[SourceFile]) -> SourceKind:
    allowed = set(SourceKind) if job.preset is PresetName.AUTO else PRESETS[job.preset].kinds
    found = [kind for kind, files in ((SourceKind.CSV, csv), (SourceKind.SQLITE, sqlite)) if files and kind in allowed]
    if len(found) == 1:
        return found[0]
    if found:
        raise LayoutError(
            "ambiguous layout", where=inventory.root,
            why=f"both CSV tables ({csv[0].path}) and SQLite files ({sqlite[0].path}) are there",
            remedy="name the preset of the one to convert, or point the source at it alone",
        )  # fmt: skip
    shown = ", ".join(file.path for file in inventory.files[:_FILES_NAMED_IN_A_MESSAGE])
    raise LayoutError(
        f"nothing here fits preset {job.preset.value!r}", where=inventory.root,
        why=f"of {len(inventory.files)} file(s) none is a table it knows, such as {shown}",
        remedy="check the source and the preset; tables are Image.csv, Cells.csv, … in folders, or .sqlite files",
    )  # fmt: skip


def _csv_exports(inventory: Inventory, csv: list[SourceFile], names: Mapping[str, str]) -> tuple[Export, ...]:
    folders: dict[str, dict[str, CsvTable]] = defaultdict(dict)
    for file in csv:
        table = names[file.stem.lower()]
        if table in folders[file.folder]:
            raise LayoutError(
                "ambiguous layout", where=f"{inventory.root}, folder {file.folder}",
                why=f"two files are the table {table!r}: {folders[file.folder][table].file.path} and {file.path}",
                remedy="remove one of the two",
            )  # fmt: skip
        folders[file.folder][table] = CsvTable(table, _label(file.stem, table), file)
    _refuse_nested_exports(inventory, folders)
    every = sorted({table for tables in folders.values() for table in tables})
    return tuple(
        Export(
            index, folder, tuple(table.file for table in tables.values()), _place_of_folder(inventory.root, folder),
            tables, tuple(table for table in every if table not in tables),
        )
        for index, (folder, tables) in enumerate(folders.items())
    )  # fmt: skip


def _label(stem: str, table: str) -> str:
    return table_label(stem[len(stem) - len(table) :])


def _refuse_nested_exports(inventory: Inventory, folders: Mapping[str, Mapping[str, CsvTable]]) -> None:
    compartments = {folder for folder, tables in folders.items() if set(tables) - {_IMAGE}}
    for folder in compartments:
        for parent in PurePosixPath(folder).parents:
            if str(parent) in compartments and str(parent) != folder:
                raise LayoutError(
                    "ambiguous layout", where=inventory.root,
                    why=f"compartment tables lie both in {str(parent)!r} and below it in {folder!r}; "
                    "they may hold the same objects twice",
                    remedy="point the source at one of the two levels",
                )  # fmt: skip


def _compartments(
    job: PlateJob, preset: Preset, exports: tuple[Export, ...], names: Mapping[str, str]
) -> tuple[str, ...]:
    found = {table for export in exports for table in export.tables} - set(preset.metadata)
    absent = [table for table in preset.compartments if table not in found]
    if absent and (job.preset is not PresetName.AUTO or job.compartments):
        raise LayoutError(
            f"no table for compartment(s) {', '.join(absent)}", where=job.source,
            why=f"none of {len(exports)} export(s) has one; found: {', '.join(sorted(found)) or 'none'}",
            remedy="name the compartments that are there with 'compartments', or use preset 'auto'",
        )  # fmt: skip
    tables = {table for export in exports for table in export.tables}
    if job.metadata and not tables & set(preset.metadata):
        raise LayoutError(
            f"no table for metadata {', '.join(preset.metadata)}", where=job.source,
            why=f"none of {len(exports)} export(s) has one; found: {', '.join(sorted(tables))}",
            remedy="name the image tables that are there with 'metadata'",
        )  # fmt: skip
    if not found:
        raise LayoutError(
            "no compartment tables", where=job.source, why=f"only {', '.join(sorted(set(names.values())))} is there",
            remedy="check that the source holds Cells.csv, Nuclei.csv or the like",
        )  # fmt: skip
    return tuple(sorted(found))


def _place_of_folder(root: str, folder: str) -> Place:
    if folder == ".":
        return place_of_folder(PurePosixPath(root.rstrip("/")).name)
    return place_of_folder(PurePosixPath(folder).name)


def _companions(file: SourceFile, inventory: Inventory) -> list[SourceFile]:
    """The write-ahead log or journal beside a SQLite file: rows may be there that the file itself has not yet."""
    names = {f"{file.path}{suffix}" for suffix in _COMPANIONS}
    return [other for other in inventory.files if other.path in names and other.size]


def _place_of_sqlite(file: SourceFile) -> Place:
    folder = PurePosixPath(file.path).parent.name
    return Place(plate=file.stem) if folder == file.stem else Place()


def _ignored(inventory: Inventory, exports: tuple[Export, ...]) -> tuple[tuple[SourceFile, str], ...]:
    taken = {file.path for export in exports for file in export.files}
    return tuple((file, NOT_READ) for file in inventory.files if file.path not in taken)
