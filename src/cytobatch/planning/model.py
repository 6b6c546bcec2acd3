"""What will be read, and as what: frozen values."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from cytobatch.config.options import PlateJob
from cytobatch.config.presets.presets import Preset, SourceKind
from cytobatch.config.presets.wells import SiteLocation
from cytobatch.planning.inventory import Inventory, SourceFile

NOT_READ = "no table of this layout"
MISSING = "missing: other exports have this table, this one does not"
UNUSUAL = "unknown table: most exports have none of this name"


@dataclass(frozen=True, slots=True)
class CsvTable:
    """A CSV file as a table: its lower-case name (`cells`) and the name that its columns get (`Cells`).

    `combined` says that it is one part of a file that holds all compartments side by side.
    """

    name: str
    label: str
    file: SourceFile
    combined: bool = False


@dataclass(frozen=True, slots=True)
class Export:
    """One export: its path below the source, its files, its CSV tables by name, and the tables that it lacks.

    `unusual` are those of its tables that most other exports lack: misnamed, or of another analysis.
    """

    index: int
    path: str
    files: tuple[SourceFile, ...]
    location: SiteLocation
    tables: Mapping[str, CsvTable] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    unusual: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


@dataclass(frozen=True, slots=True)
class ConversionPlan:
    """What will be read, and as what.

    `preset` is None where `auto` has to look into the SQLite files first. `compartments` are those of a CSV source,
    by lower-case name. `ignored` are files that are no tables, each with the reason.
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


def unusual_tables(counts: Mapping[str, int], known: Collection[str], exports: int) -> set[str]:
    """Tables, counted by export, that most exports lack and nothing asks for: misnamed, or of another analysis."""
    return {table for table, count in counts.items() if table not in known and 2 * count < exports}


def with_overrides(preset: Preset, job: PlateJob) -> Preset:
    """The preset with what the job says in its place."""
    return replace(
        preset,
        compartments=tuple(name.lower() for name in job.compartments or preset.compartments),
        metadata=tuple(name.lower() for name in job.metadata or preset.metadata),
        identifying_columns=job.identifying_columns or preset.identifying_columns,
        image_columns=job.image_columns or preset.image_columns,
    )
