"""The protocol of a file format, and the values that a format returns. Public for formats that other packages bring.

One plate has one format. cytobatch finds formats through the entry points `cytobatch.formats` and asks each which files
it claims. Then it asks the one that claims any for its exports, for a scan of their tables, and for readers of rows.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cytobatch.config.options import PlateJob
from cytobatch.config.presets.catalog import Preset
from cytobatch.config.wells import SiteLocation
from cytobatch.engine.duckdb import Engine
from cytobatch.engine.executor import Executor
from cytobatch.formats.image_sets import ImageSets
from cytobatch.planning.inventory import Inventory, SourceFile
from cytobatch.readers.fallback import ConcatReader, ReadStrategy
from cytobatch.readers.inputs import Inputs
from cytobatch.readers.numbers import Repair
from cytobatch.report.model import LedgerEntry, Outcome

NOT_READ = "no table of this layout"
MISSING = "missing: other exports have this table, this one does not"
UNUSUAL = "unknown table: most exports have none of this name"
OBJECTS = "objects"
"""The name of the one table of a file of whole rows."""


@dataclass(frozen=True, slots=True)
class FormatTraits:
    """Facts about a format that decide how its tables are checked.

    `single_table`: a file has one row for each object, so that nothing is joined.
    `text_image_tables`: image tables are read as text, and all rows of the plate decide a column's type.
    `may_be_cut_short`: a file may end early between two rows, so that missing objects mean a damaged file.
    `exact_has_rows`: `SurveyedTable.has_rows` is exact, so that the survey records empty tables.
    `cheap_row_counts`: rows are counted without reading them.
    `numbers_exports`: several exports get a TableNumber by default.
    `indexed_rows`: `index_rows` finds rows by number, so that tables larger than memory are read in parts.
    """

    single_table: bool = False
    text_image_tables: bool = False
    may_be_cut_short: bool = False
    exact_has_rows: bool = True
    cheap_row_counts: bool = False
    numbers_exports: bool = True
    indexed_rows: bool = False


@dataclass(frozen=True, slots=True)
class Listing:
    """The files of a source before they are planned: the job, every file, and the first bytes of the probed files."""

    job: PlateJob
    inventory: Inventory
    heads: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class PlannedTable:
    """A file as a table: its lower-case name (`cells`) and the name that its columns get (`Cells`).

    `combined` means that the file holds all compartments side by side, of which this is one.
    """

    name: str
    label: str
    file: SourceFile
    combined: bool = False


@dataclass(frozen=True, slots=True)
class Export:
    """One analysis output that numbers its own images: its path below the source, its files, and its location.

    `tables` are the tables by name, where names of files tell them; `missing` are tables that other exports have;
    `unusual` are tables that most other exports lack, because they are misnamed or of another analysis.
    """

    index: int
    path: str
    files: tuple[SourceFile, ...]
    location: SiteLocation
    tables: Mapping[str, PlannedTable] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    unusual: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


@dataclass(frozen=True, slots=True)
class FormatPlan:
    """The exports of a source, as a format plans them.

    `preset` is None where the scan decides it. `compartments` are the lower-case names that the files' names tell.
    `ignored` has the reason, by path, for files that are not read as tables of their own.
    """

    exports: tuple[Export, ...]
    preset: Preset | None
    compartments: tuple[str, ...] = ()
    ignored: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ConversionPlan:
    """The exports to read, and the format that reads them.

    `preset` is None where the format has to look into the files first. `ignored` are files that are not tables, each
    with the reason.
    """

    job: PlateJob
    inventory: Inventory
    format: "SourceFormat[Any]"
    preset: Preset | None
    compartments: tuple[str, ...]
    exports: tuple[Export, ...]
    ignored: tuple[tuple[SourceFile, str], ...]

    @property
    def size(self) -> int:
        """Bytes to read."""
        return sum(export.size for export in self.exports)


@dataclass(frozen=True, slots=True)
class SurveyedTable:
    """One table of one export: its name (`cells`), the name that its columns get (`Cells`), and its file.

    `source` is the file's path below the source. `schema` has the table's own columns, typed. `source_name` is the
    table's name in its file, where the file has several. Text that is not a number becomes null in the columns
    `null_text_columns`, because the job declares them as numbers. A format may add fields in a subclass.
    """

    name: str
    label: str
    source: str
    schema: pa.Schema
    has_rows: bool
    source_name: str | None = None
    null_text_columns: frozenset[str] = frozenset()

    @property
    def shown_name(self) -> str:
        """The name of the table in its source."""
        return self.source_name or self.name

    @property
    def full_name(self) -> str:
        """The table's name in a user's SQL: its name in the source in lower case, such as `per_cells`."""
        return self.shown_name.lower()


@dataclass(frozen=True, slots=True)
class ExportScan:
    """One export as far as it is scanned: valid tables by name, defects, empty tables, and tables that are not read."""

    export: Export
    tables: Mapping[str, SurveyedTable]
    defects: tuple[LedgerEntry, ...] = ()
    empty: tuple[LedgerEntry, ...] = ()
    ignored: tuple[LedgerEntry, ...] = ()

    def without(self, name: str, reason: str) -> "ExportScan":
        """Return the scan with one of its tables invalid for this reason."""
        table = self.tables[name]
        rest = {other: self.tables[other] for other in self.tables if other != name}
        entry = failed_entry(self.export, table.source, table.shown_name, reason)
        return replace(self, tables=rest, defects=(*self.defects, entry))


@dataclass(frozen=True, slots=True)
class SingleTable:
    """The features of files of whole rows, and the columns by which their rows are ordered and identified.

    Rows are sorted by `sort_keys` within an export. `object_keys` identify an object within its export; the first of
    them may not be null. A row belongs to the image set of the same values in `image_set_keys`; without these, to the
    export's own location. With `locations_replace_columns`, columns under the names of locations are left out.
    `null_table_number` adds an empty TableNumber where exports are not numbered, as CytoTable does.
    """

    features: frozenset[str]
    sort_keys: tuple[str, ...] = ()
    object_keys: tuple[str, ...] = ()
    image_set_keys: tuple[str, ...] = ()
    locations_replace_columns: bool = False
    null_table_number: bool = False


@dataclass(frozen=True, slots=True)
class PlateScan:
    """All exports as a format scanned them, under the preset that fits them.

    `single_table` and `images` are those of a format of whole rows; for others, image tables tell the image sets.
    """

    preset: Preset
    exports: tuple[ExportScan, ...]
    single_table: SingleTable | None = None
    images: ImageSets | None = None


@dataclass(frozen=True, slots=True)
class ReadContext:
    """The means by which a format's readers read: the job, DuckDB, and the threads of the run."""

    job: PlateJob
    engine: Engine
    executor: Executor


class IndexedRows(Protocol):
    """The rows of a table whose place in the file is known by their number. Several threads may read at once."""

    @property
    def leaves(self) -> int:
        """The number of blocks that hold the rows."""
        ...

    def leaves_of(self, rows: npt.NDArray[np.int64]) -> int:
        """Return the number of blocks that hold these rows."""
        ...

    def read(self, rows: npt.NDArray[np.int64]) -> tuple[pa.Table, list[Repair]]:
        """Read rows by number, in ascending order. Raises InvalidTableError if the file has changed."""
        ...


TableT_contra = TypeVar("TableT_contra", bound=SurveyedTable, contravariant=True)


class SourceFormat(Protocol[TableT_contra]):
    """One file format: everything that cytobatch asks of it.

    `name` is the layout in reports. `examples` names its files in messages.
    """

    name: str
    examples: str
    traits: FormatTraits

    def probes(self, job: PlateJob, inventory: Inventory) -> Iterable[SourceFile]:
        """Return the files whose first bytes decide which files the format claims."""
        ...

    def claims(self, listing: Listing) -> Sequence[SourceFile]:
        """Return the files that are tables of this format. Reads nothing."""
        ...

    def plan(self, listing: Listing, files: Sequence[SourceFile]) -> FormatPlan:
        """Return the exports that the claimed files make. Raises LayoutError if they are ambiguous or incomplete."""
        ...

    def whole_files(self, plan: ConversionPlan) -> Collection[str]:
        """Return the paths of the files that a scan reads whole; it reads only the beginnings of the others."""
        ...

    def scan(self, plan: ConversionPlan, inputs: Inputs, engine: Engine) -> PlateScan:
        """Scan heads or declarations of all tables. Raises LayoutError if the job's tables are in no file."""
        ...

    def read_images(
        self, table: TableT_contra, path: Path, columns: Sequence[str], engine: Engine
    ) -> tuple[pa.Table, Sequence[Repair]]:
        """Read columns of an image table, ImageNumber as int64. Raises InvalidTableError."""
        ...

    def readers(
        self, table: TableT_contra, path: Path, schema: pa.Schema, repairs: list[Repair], context: ReadContext
    ) -> tuple[ReadStrategy, ...]:
        """Return the ways to stream the columns of `schema`, the fastest first. Raises InvalidTableError."""
        ...

    def concat_reader(self, tables: Sequence[TableT_contra]) -> ConcatReader | None:
        """Return a reader of several small files of one schema as one table, or None if the format has none."""
        ...

    def index_rows(
        self, table: TableT_contra, path: Path, schema: pa.Schema, keys: pa.Schema, context: ReadContext
    ) -> tuple[IndexedRows, pa.Table]:
        """Return the rows of a table that is larger than memory, and its key columns.

        Raises FastPathUnavailable if its rows cannot be read by number, InvalidTableError.
        """
        ...

    def count_rows(self, table: TableT_contra, path: Path) -> int | None:
        """Return the number of rows for a plan, approximate where exact counting is slow; None if unknown."""
        ...


def failed_entry(export: Export, path: str, table: str | None, reason: str) -> LedgerEntry:
    """Return the ledger entry of an invalid table; without a table, of the whole file."""
    return LedgerEntry(path=path, outcome=Outcome.FAILED, export=export.path, table=table, reason=reason)


def unusual_tables(counts: Mapping[str, int], known: Collection[str], exports: int) -> set[str]:
    """Return the tables, counted by export, that most exports lack and that the preset does not name."""
    return {table for table, count in counts.items() if table not in known and 2 * count < exports}


def with_overrides(preset: Preset, job: PlateJob) -> Preset:
    """Return the preset with the job's own options in its place."""
    return replace(
        preset,
        compartments=tuple(name.lower() for name in job.compartments or preset.compartments),
        metadata=tuple(name.lower() for name in job.metadata or preset.metadata),
        identifying_columns=job.identifying_columns or preset.identifying_columns,
        image_columns=job.image_columns or preset.image_columns,
    )
