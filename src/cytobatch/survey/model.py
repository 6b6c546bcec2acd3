"""What a survey finds, as frozen values."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pyarrow as pa

from cytobatch.config.presets.catalog import Preset
from cytobatch.formats.base import ConversionPlan, Export, SingleTable, SurveyedTable
from cytobatch.formats.image_sets import ImageSets
from cytobatch.planning.inventory import SourceFile
from cytobatch.planning.joins import CompartmentKeys, JoinPlan
from cytobatch.planning.schema import MissingColumn
from cytobatch.readers.numbers import Repair
from cytobatch.report.model import AnnotationFile, LedgerEntry, Outcome, ReportWarning
from cytobatch.survey.image_table import ImageRows


@dataclass(frozen=True, slots=True)
class TableRepair:
    """A repair, and the export and table in which it was made."""

    export: str
    table: str
    repair: Repair


@dataclass(frozen=True, slots=True)
class SurveyedExport:
    """One export with the tables that were found sound."""

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

    `keys` are those of a compartment; an image table has none. `features` are the columns that measure objects, by
    their source names.
    """

    name: str
    label: str
    schema: pa.Schema
    keys: CompartmentKeys | None
    features: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Survey:
    """What will be converted: sound exports, each table's schema, how they join, and what was found wrong.

    `image_rows` have all columns of the image tables where the tables themselves are wanted. `join` is None where
    nothing is joined. `ledger` holds the inputs that are settled already. `counted` has for each export how many
    objects of each compartment its image table counts; `repairs` are those of the image tables, `warnings` what a
    reader of the profile should know already, `annotations` the files that were joined to its locations.
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

    @property
    def by_table_number(self) -> bool:
        """Whether the source numbers its exports itself, within one file."""
        tables = [schema for schema in self.schemas.values() if schema.keys]
        return bool(tables) and all(schema.keys and schema.keys.table_number for schema in tables)


def left_out_entries(export: str, tables: Iterable[SurveyedTable]) -> list[LedgerEntry]:
    """Ledger entries for the sound tables of an export that failed."""
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
    """The entry with its file's size and ETag."""
    file = files.get(entry.path)
    return entry if file is None else entry.model_copy(update={"size": file.size, "etag": file.etag})
