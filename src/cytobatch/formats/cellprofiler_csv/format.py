"""CellProfiler's ExportToSpreadsheet as a format: a CSV file for each table, a folder or prefix for each export."""

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
from cytobatch.formats.cellprofiler_csv.combined import check_edited, header_rows
from cytobatch.formats.cellprofiler_csv.copies import check_copies, check_lone_copies, copies_of, files_to_compare
from cytobatch.formats.cellprofiler_csv.experiments import experiment_files, read_experiments
from cytobatch.formats.cellprofiler_csv.exports import csv_preset, plan_compartments, plan_exports, table_names_by_stem
from cytobatch.formats.cellprofiler_csv.listing import list_combined, with_unread_compartments
from cytobatch.formats.cellprofiler_csv.prefixes import choose_prefix
from cytobatch.formats.cellprofiler_csv.same_images import check_same_images
from cytobatch.formats.cellprofiler_csv.scan import scan_export
from cytobatch.formats.csv_files import (
    CsvTable,
    check_last_lines,
    count_csv_rows,
    csv_concat_reader,
    csv_readers,
    files_by_stem,
    files_of_unknown_stems,
)
from cytobatch.formats.csv_names import table_files
from cytobatch.formats.csv_suffixes import COMBINED, other_copies
from cytobatch.formats.defaults import FormatDefaults
from cytobatch.formats.header_columns import header_facts
from cytobatch.formats.image_sets import check_image_numbers
from cytobatch.formats.table_facts import fact_warnings
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
        """Return one CSV file for each name from which its content does not follow, and the files that have copies."""
        return (*files_of_unknown_stems(job, inventory), *files_to_compare(table_files(inventory).values()))

    def claims(self, listing: Listing) -> Sequence[SourceFile]:
        """Return the CSV files with the names of the preset's tables, or with headers of compartments; no copies."""
        names = table_names_by_stem(listing.job, header_rows(listing))
        files = table_files(listing.inventory)
        copies = copies_of(files.values())
        return [each.file for path, each in files.items() if each.stem in names and path not in copies]

    def plan(self, listing: Listing, files: Sequence[SourceFile]) -> FormatPlan:
        """Return an export for each folder and prefix that has tables. Raises LayoutError."""
        job, root = listing.job, listing.inventory.root
        headers = header_rows(listing)
        check_edited(root, files_by_stem(listing.inventory), headers)
        names = table_names_by_stem(job, headers)
        all_files = table_files(listing.inventory)
        claimed, others = choose_prefix(job, [all_files[file.path] for file in files])
        tables, originals = set(files), copies_of(all_files.values())
        copies = {path: original for path, original in originals.items() if original in tables}
        check_lone_copies(root, files)
        check_copies(listing, copies)
        exports = plan_exports(job, listing.inventory, claimed, names, headers)
        compartments = plan_compartments(job, exports, names)
        combined = [path for path, each in all_files.items() if COMBINED in (each.stem, names.get(each.stem))]
        read = {file.path for export in exports for file in export.files}
        ignored = {path: _COMBINED_IGNORED for path in combined if path not in read}
        ignored |= {path: f"a copy of {original.path}, which is read" for path, original in copies.items()}
        twins = other_copies(listing.inventory)
        ignored |= {path: f"{kept.path} is read in its place" for path, kept in twins.items()} | others
        return FormatPlan(exports, csv_preset(job), compartments, ignored)

    def whole_files(self, plan: ConversionPlan) -> Collection[str]:
        """Return the paths of the image tables, and of the files that record the analysis."""
        metadata = plan.preset.metadata if plan.preset else ()
        tables = [(name, table) for export in plan.exports for name, table in export.tables.items()]
        images = {table.file.path for name, table in tables if name in metadata and not table.combined}
        return images | {each.file.path for each in experiment_files(plan)}

    def scan(self, plan: ConversionPlan, inputs: Inputs, engine: Engine) -> PlateScan:
        """Scan the first lines of every table, and whole files if columns of unknown kind need all values."""
        if plan.preset is None:
            raise InternalError("a plan of CSV files has no preset", where=plan.job.source)
        scans = [scan_export(plan, export, inputs, plan.preset.metadata) for export in plan.exports]
        check_same_images(plan.job.source, plan.preset, scans, inputs)
        checked = resolve_text_columns(check_last_lines(scans, inputs), inputs)
        listed = list_combined(plan, inputs)
        named = tuple(with_unread_compartments(plan, checked, listed))
        warnings = fact_warnings(named, header_facts)
        experiments = read_experiments(plan, inputs)
        return PlateScan(plan.preset, named, warnings=warnings, listed=listed, experiments=experiments)

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


FORMAT = CellProfilerCsv()
