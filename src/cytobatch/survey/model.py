"""The results of a survey, as frozen values."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from cytobatch.config.presets.catalog import Preset
from cytobatch.config.wells import SiteLocation
from cytobatch.formats.base import ConversionPlan, Export, SingleTable, SurveyedTable
from cytobatch.formats.experiments import Experiment
from cytobatch.formats.image_sets import ImageSets
from cytobatch.planning.inventory import SourceFile
from cytobatch.planning.joins import CompartmentKeys, JoinPlan
from cytobatch.planning.schema import MissingColumn
from cytobatch.readers.numbers import Repair
from cytobatch.report.model import AnnotationFile, LedgerEntry, Outcome, ReportWarning
from cytobatch.survey.image_table import ImageRows


@dataclass(frozen=True, slots=True)
class TableRepair:
    """A repair of values in a column, with the paths of its export and the name of its table."""

    export: str
    table: str
    repair: Repair


@dataclass(frozen=True, slots=True)
class SurveyedExport:
    """One export with its valid tables, by name."""

    export: Export
    tables: Mapping[str, SurveyedTable]

    @property
    def index(self) -> int:
        """The export's index in the plan."""
        return self.export.index

    @property
    def path(self) -> str:
        """The export's path below the source."""
        return self.export.path


@dataclass(frozen=True, slots=True)
class TableSchema:
    """One table over all exports: its label, and the union of its columns under their source names.

    `keys` are the key columns of a compartment, or None for an image table. `features` are the columns that measure
    objects, by their source names.
    """

    name: str
    label: str
    schema: pa.Schema
    keys: CompartmentKeys | None
    features: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Survey:
    """The valid exports of a plate, the schema of each table, the joins, and the defects.

    `exports` are those that are converted, with their valid tables. `schemas` are by table name.
    `images` are the image sets and their locations. `image_rows` are the typed rows of the image tables, with all of
    their columns if the tables themselves are converted; None if there are none.
    `join` is None if nothing is joined.
    `ledger` has the entries of inputs that failed, are left out, empty or ignored; `missing` the columns that exports
    lack.
    `counted` has, for each export's index, the number of objects of each compartment in its image table.
    `repairs` are those of the image tables. `warnings` are for the report.
    `annotations` are the files that were joined to the locations.
    `single_table` describes files of whole rows, and is None for compartments.
    `integers_by_name` has by table the columns that become doubles if an export holds a fraction.
    `listed` has the names of the tables that the listing found in each file, by path; the ledger must name all of them.
    `experiments` are what the analyses record about themselves. `failed_sites` has, for the index of each export that
    is not converted and has an image table, the locations of its image sets.
    """

    plan: ConversionPlan
    preset: Preset
    exports: tuple[SurveyedExport, ...]
    schemas: Mapping[str, TableSchema]
    images: ImageSets
    image_rows: ImageRows | None
    join: JoinPlan | None
    ledger: tuple[LedgerEntry, ...]
    missing: tuple[MissingColumn, ...]
    counted: Mapping[int, Mapping[str, int]]
    repairs: tuple[TableRepair, ...]
    warnings: tuple[ReportWarning, ...] = ()
    annotations: tuple[AnnotationFile, ...] = ()
    single_table: SingleTable | None = None
    integers_by_name: Mapping[str, frozenset[str]] = field(default_factory=dict)
    listed: Mapping[str, frozenset[str]] = field(default_factory=dict)
    experiments: tuple[Experiment, ...] = ()
    failed_sites: Mapping[int, tuple[SiteLocation, ...]] = field(default_factory=dict)

    @property
    def by_table_number(self) -> bool:
        """True if all compartments have TableNumbers at the source, by which one file numbers several exports."""
        tables = [schema for schema in self.schemas.values() if schema.keys]
        return bool(tables) and all(schema.keys and schema.keys.table_number for schema in tables)


def left_out_entries(export: str, tables: Iterable[SurveyedTable]) -> list[LedgerEntry]:
    """Return ledger entries for the valid tables of an export that failed."""
    return [
        LedgerEntry(
            path=table.source,
            outcome=Outcome.LEFT_OUT,
            export=export,
            table=table.shown_name,
            reason="another table of its export failed",
        )
        for table in tables
    ]


def with_file_facts(entry: LedgerEntry, files: Mapping[str, SourceFile]) -> LedgerEntry:
    """Return the entry with the size and ETag of its file."""
    file = files.get(entry.path)
    return entry if file is None else entry.model_copy(update={"size": file.size, "etag": file.etag})
