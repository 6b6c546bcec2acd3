"""CellProfiler's ExportToSpreadsheet as a format: a CSV file for each table, a folder for each export."""

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

import pyarrow as pa

from cytobatch.config.options import PlateJob
from cytobatch.config.presets.catalog import FormatName
from cytobatch.engine.duckdb import Engine
from cytobatch.errors import InternalError
from cytobatch.formats.base import (
    NOT_READ,
    ConversionPlan,
    FormatPlan,
    FormatTraits,
    Listing,
    PlateScan,
    ReadContext,
)
from cytobatch.formats.cellprofiler_csv.exports import csv_preset, plan_compartments, plan_exports, table_names_by_stem
from cytobatch.formats.cellprofiler_csv.scan import scan_export
from cytobatch.formats.csv_files import (
    COMBINED,
    CSV_SUFFIX,
    CsvTable,
    check_last_lines,
    count_csv_rows,
    csv_concat_reader,
    csv_readers,
    files_of_unknown_stems,
    headers_by_stem,
)
from cytobatch.formats.defaults import FormatDefaults
from cytobatch.formats.image_sets import check_image_numbers
from cytobatch.formats.text_columns import resolve_text_columns
from cytobatch.planning.columns import IMAGE_NUMBER
from cytobatch.planning.inventory import Inventory, SourceFile
from cytobatch.readers.csv import read as csv
from cytobatch.readers.fallback import ConcatReader, ReadStrategy
from cytobatch.readers.inputs import Inputs
from cytobatch.readers.numbers import Repair, read_numbers

_COMBINED_IGNORED = f"{NOT_READ}, or its compartments have files of their own"


class CellProfilerCsv(FormatDefaults[CsvTable]):
    """Folders with Image.csv, Cells.csv and other compartments; or one combined file under two header rows."""

    name = FormatName.CSV.value
    examples = "Image.csv, Cells.csv, … in folders"
    traits = FormatTraits(text_image_tables=True, may_be_cut_short=True)

    def probes(self, job: PlateJob, inventory: Inventory) -> Iterable[SourceFile]:
        """Return one CSV file for each name from which its content does not follow."""
        return files_of_unknown_stems(job, inventory)

    def claims(self, listing: Listing) -> Sequence[SourceFile]:
        """Return the CSV files with the names of the preset's tables, or with headers of compartments."""
        names = table_names_by_stem(listing.job, headers_by_stem(listing))
        return [file for file in _csv_files(listing) if file.stem.lower() in names]

    def plan(self, listing: Listing, files: Sequence[SourceFile]) -> FormatPlan:
        """Return an export for each folder that has tables. Raises LayoutError."""
        headers = headers_by_stem(listing)
        names = table_names_by_stem(listing.job, headers)
        exports = plan_exports(listing.job, listing.inventory, files, names, headers)
        compartments = plan_compartments(listing.job, exports, names)
        ignored = {file.path: _COMBINED_IGNORED for file in _csv_files(listing) if file.stem.lower() == COMBINED}
        read = {file.path for export in exports for file in export.files}
        unread = {path: reason for path, reason in ignored.items() if path not in read}
        return FormatPlan(exports, csv_preset(listing.job), compartments, unread)

    def whole_files(self, plan: ConversionPlan) -> Collection[str]:
        """Return the paths of the image tables."""
        metadata = plan.preset.metadata if plan.preset else ()
        tables = [(name, table) for export in plan.exports for name, table in export.tables.items()]
        return {table.file.path for name, table in tables if name in metadata and not table.combined}

    def scan(self, plan: ConversionPlan, inputs: Inputs, engine: Engine) -> PlateScan:
        """Scan the first lines of every table, and whole files if columns of unknown kind need all values."""
        if plan.preset is None:
            raise InternalError("a plan of CSV files has no preset", where=plan.job.source)
        scans = [scan_export(plan, export, inputs, plan.preset.metadata) for export in plan.exports]
        return PlateScan(plan.preset, tuple(resolve_text_columns(check_last_lines(scans, inputs), inputs)))

    def read_images(
        self, table: CsvTable, path: Path, columns: Sequence[str], engine: Engine
    ) -> tuple[pa.Table, Sequence[Repair]]:
        """Read the columns as strings, but ImageNumber as int64. Raises InvalidTableError."""
        rows = csv.read_text(path, table.shape, tuple(columns))
        numbers, _ = read_numbers(IMAGE_NUMBER, rows[IMAGE_NUMBER], pa.int64(), table.source)
        check_image_numbers(numbers, table.source)
        return rows.set_column(rows.column_names.index(IMAGE_NUMBER), IMAGE_NUMBER, numbers), ()

    def readers(
        self, table: CsvTable, path: Path, schema: pa.Schema, repairs: list[Repair], context: ReadContext
    ) -> tuple[ReadStrategy, ...]:
        """Return Arrow's readers of CSV. Raises InvalidTableError."""
        return csv_readers(table, path, schema, repairs, context)

    def concat_reader(self, tables: Sequence[CsvTable]) -> ConcatReader | None:
        """Return a reader of many small files as one."""
        return csv_concat_reader(tables)

    def count_rows(self, table: CsvTable, path: Path) -> int | None:
        """Return the number of lines below the header."""
        return count_csv_rows(table, path)


def _csv_files(listing: Listing) -> list[SourceFile]:
    return [file for file in listing.inventory.files if file.suffix == CSV_SUFFIX]


FORMAT = CellProfilerCsv()
