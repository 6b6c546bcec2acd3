"""The protocol of a file format, and the values that a format returns. Public for formats of other packages.

One plate has one format. cytobatch finds formats through the entry points `cytobatch.formats` and calls `claims` of
each. The one format that claims files plans the exports, scans their tables, and returns readers of their rows.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from io import RawIOBase
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pyarrow as pa

from cytobatch.config.options import PlateJob
from cytobatch.config.presets.catalog import Preset
from cytobatch.config.wells import SiteLocation
from cytobatch.engine.duckdb import Engine
from cytobatch.engine.executor import Executor
from cytobatch.formats.experiments import Experiment
from cytobatch.formats.image_sets import ImageSets
from cytobatch.formats.measurement_names import MeasurementNames
from cytobatch.planning.inventory import Inventory, SourceFile
from cytobatch.readers.fallback import ConcatReader, ReadStrategy
from cytobatch.readers.indexed_rows import IndexedRows
from cytobatch.readers.inputs import Inputs
from cytobatch.readers.numbers import Repair
from cytobatch.report.model import LedgerEntry, Outcome, ReportWarning

NOT_READ = "no table of this layout"
MISSING = "missing: other exports have this table, this one does not"
UNUSUAL = "unknown table: most exports have none of this name"
OBJECTS = "objects"
"""The name of the only table of a file of whole rows."""


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
    """A file as a table: its lower-case name (`cells`) and the prefix of its columns in a profile (`Cells`).

    `combined` means that the file holds all compartments side by side, and the table is one of them.
    """

    name: str
    label: str
    file: SourceFile
    combined: bool = False


@dataclass(frozen=True, slots=True)
class Export:
    """One analysis output that numbers its own images: its path below the source, its files, and its location.

    `tables` are the tables by name, if they follow from the names of files. `missing` are tables that other exports
    have. `unusual` are tables that most other exports lack, because they are misnamed or of another analysis.
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
        """Bytes to read from all files, compressed tables by an estimate."""
        return sum(file.content_size for file in self.files)


@dataclass(frozen=True, slots=True)
class FormatPlan:
    """The exports of a source, as a format plans them.

    `preset` is None if the scan decides it. `compartments` are the lower-case names of compartments, if they follow
    from the names of files. `ignored` has the reason, by path, for files that are not read as tables of their own.
    """

    exports: tuple[Export, ...]
    preset: Preset | None
    compartments: tuple[str, ...] = ()
    ignored: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ConversionPlan:
    """The exports to read, and the format that reads them.

    `preset` is None if the scan of the files decides it. `ignored` are files that are not tables, each with the reason.
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
        """Bytes to read, compressed tables by an estimate."""
        return sum(export.size for export in self.exports)


@dataclass(frozen=True, slots=True)
class SurveyedTable:
    """One table of one export: its name (`cells`), the prefix of its columns in a profile (`Cells`), and its file.

    `source` is the file's path below the source. `schema` has the columns of this table with their types.
    `source_name` is the table's name in its file, if the file has several. Text that is not a number becomes null in
    the columns `null_text_columns`, because the job declares them as numbers. A format may add fields in a subclass.
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
    """The scan of one export: valid tables by name, defects, empty tables, and tables that are not read.

    `invalid_columns` are the columns of invalid tables by name, if they are known, and `invalid_labels` their labels by
    their names in the file.
    """

    export: Export
    tables: Mapping[str, SurveyedTable]
    defects: tuple[LedgerEntry, ...] = ()
    empty: tuple[LedgerEntry, ...] = ()
    ignored: tuple[LedgerEntry, ...] = ()
    invalid_columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    invalid_labels: Mapping[str, str] = field(default_factory=dict)

    def without(self, name: str, reason: str) -> "ExportScan":
        """Return the scan without one of its tables, and with its defect."""
        table = self.tables[name]
        others = {other: self.tables[other] for other in self.tables if other != name}
        entry = failed_entry(self.export, table.source, table.shown_name, reason)
        columns = {**self.invalid_columns, name: tuple(table.schema.names)}
        labels = {**self.invalid_labels, table.shown_name: table.label}
        defects = (*self.defects, entry)
        return replace(self, tables=others, defects=defects, invalid_columns=columns, invalid_labels=labels)


@dataclass(frozen=True, slots=True)
class SingleTable:
    """The features of files of whole rows, and the columns that order and identify their rows.

    Rows are sorted by `sort_keys` within an export. `object_keys` identify an object within its export; the first of
    them may not be null. A row belongs to the image set of the same values in `image_set_keys`; without these, to the
    export's own location. With `locations_replace_columns`, columns under the names of locations are left out.
    `null_table_number` adds an empty TableNumber if exports are not numbered, as CytoTable does. `names` are for lists.
    """

    features: frozenset[str]
    sort_keys: tuple[str, ...] = ()
    object_keys: tuple[str, ...] = ()
    image_set_keys: tuple[str, ...] = ()
    locations_replace_columns: bool = False
    null_table_number: bool = False
    names: MeasurementNames = field(default_factory=MeasurementNames)


@dataclass(frozen=True, slots=True)
class PlateScan:
    """The scans of all exports, and the preset that fits them.

    A format of whole rows sets `single_table` and `images`. For other formats both are None, and the survey derives the
    image sets from the image tables. `listed` has the tables of files that hold several, by path, with the names that
    they have there: all of them, read or not. A run is not published if the ledger lacks one. `warnings` are for the
    report. `experiments` are what the analyses record about themselves.
    """

    preset: Preset
    exports: tuple[ExportScan, ...]
    single_table: SingleTable | None = None
    images: ImageSets | None = None
    warnings: tuple[ReportWarning, ...] = ()
    listed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    experiments: tuple[Experiment, ...] = ()


@dataclass(frozen=True, slots=True)
class ReadContext:
    """The resources of a format's readers: the job, DuckDB, and the threads of the run."""

    job: PlateJob
    engine: Engine
    executor: Executor


TableT_contra = TypeVar("TableT_contra", bound=SurveyedTable, contravariant=True)


class SourceFormat(Protocol[TableT_contra]):
    """One file format: its name, its traits, and the functions that plan, scan and read its files.

    `name` is the layout in reports. `examples` names its files in messages.
    """

    name: str
    examples: str
    traits: FormatTraits

    def probes(self, job: PlateJob, inventory: Inventory) -> Iterable[SourceFile]:
        """Return the files whose first bytes `claims` needs."""
        ...

    def claims(self, listing: Listing) -> Sequence[SourceFile]:
        """Return the files that are tables of this format, by names and first bytes. Reads no file."""
        ...

    def plan(self, listing: Listing, files: Sequence[SourceFile]) -> FormatPlan:
        """Return the exports of the claimed files. Raises LayoutError if they are ambiguous or incomplete."""
        ...

    def whole_files(self, plan: ConversionPlan) -> Collection[str]:
        """Return the paths of the files that `scan` reads whole; it reads only the beginnings of the others."""
        ...

    def scan(self, plan: ConversionPlan, inputs: Inputs, engine: Engine) -> PlateScan:
        """Scan the headers or declarations of all tables. Raises LayoutError if no file has the job's tables."""
        ...

    def read_images(
        self, table: TableT_contra, path: Path, columns: Sequence[str], engine: Engine
    ) -> tuple[pa.Table, Sequence[Repair]]:
        """Read columns of an image table.

        Parameters
        ----------
        table
            The image table.
        path
            Its file on the local disk.
        columns
            The names of the columns to read.
        engine
            DuckDB.

        Returns
        -------
        The columns in this order: ImageNumber as int64 without nulls, the others as the format types them, or as
        strings if it has the trait `text_image_tables`; and the repairs that reading made.

        Raises
        ------
        InvalidTableError
            If the table cannot be read whole.
        """
        ...

    def readers(
        self, table: TableT_contra, path: Path, schema: pa.Schema, repairs: list[Repair], context: ReadContext
    ) -> tuple[ReadStrategy, ...]:
        """Return ways to stream the rows of a table, the fastest first.

        Parameters
        ----------
        table
            The table.
        path
            Its file on the local disk.
        schema
            The columns to read, in this order, and their types in the record batches.
        repairs
            A list to which a reader adds the values that it replaced.
        context
            The resources to read with.

        Returns
        -------
        Functions without arguments that return record batches of `schema`, all rows in their order in the file. Each
        reads from the start. One that raises FastPathUnavailable is followed by the next.

        Raises
        ------
        InvalidTableError
            If the table cannot be read whole; the functions raise it, too.
        """
        ...

    def concat_reader(self, tables: Sequence[TableT_contra]) -> ConcatReader | None:
        """Return a reader of several small files of one schema as one table, or None if the format has none."""
        ...

    def index_rows(
        self, table: TableT_contra, path: Path, schema: pa.Schema, keys: pa.Schema, context: ReadContext
    ) -> tuple[IndexedRows, pa.Table]:
        """Index the rows of a table that is larger than memory.

        Parameters
        ----------
        table
            The table.
        path
            Its file on the local disk.
        schema
            The columns that are read by number later, and their types.
        keys
            The key columns, which are read now.
        context
            The resources to read with.

        Returns
        -------
        The rows, and the key columns of all rows in their order in the file.

        Raises
        ------
        FastPathUnavailable
            If the rows of this table cannot be read by number.
        InvalidTableError
            If the table cannot be read whole.
        """
        ...

    def count_rows(self, table: TableT_contra, path: Path) -> int | None:
        """Return the number of rows for a plan: approximate if exact counting is slow, None if unknown."""
        ...

    def write_outline(self, stream: RawIOBase, path: Path) -> Mapping[str, int] | None:
        """Write a file with the tables of a large remote file and without rows, for a plan, from a few of its bytes.

        Returns about how many rows each table has, by its name in the file; None if that is not possible.
        """
        ...


def failed_entry(export: Export, path: str, table: str | None, reason: str) -> LedgerEntry:
    """Return the ledger entry of an invalid table, or of the whole file if `table` is None."""
    return LedgerEntry(path=path, outcome=Outcome.FAILED, export=export.path, table=table, reason=reason)


def with_overrides(preset: Preset, job: PlateJob) -> Preset:
    """Return the preset with the job's own options in place of the preset's."""
    return replace(
        preset,
        compartments=tuple(name.lower() for name in job.compartments or preset.compartments),
        metadata=tuple(name.lower() for name in job.metadata or preset.metadata),
        identifying_columns=job.identifying_columns or preset.identifying_columns,
        image_columns=job.image_columns or preset.image_columns,
    )
