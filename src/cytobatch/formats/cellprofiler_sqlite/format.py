"""The format of SQLite files of CellProfiler's ExportToDatabase and of cytominer-database: one file for each export."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from io import RawIOBase
from pathlib import Path, PurePosixPath

import pyarrow as pa

from cytobatch.config.option_types import SqliteReader
from cytobatch.config.presets.catalog import PRESETS, SUFFIXES, FormatName, PresetName
from cytobatch.config.wells import SiteLocation
from cytobatch.engine.duckdb import Engine
from cytobatch.errors import FastPathUnavailable
from cytobatch.formats.base import (
    ConversionPlan,
    Export,
    FormatPlan,
    FormatTraits,
    Listing,
    PlateScan,
    ReadContext,
    with_overrides,
)
from cytobatch.formats.cellprofiler_sqlite.combined import only_present
from cytobatch.formats.cellprofiler_sqlite.experiments import read_experiments
from cytobatch.formats.cellprofiler_sqlite.listing import list_databases
from cytobatch.formats.cellprofiler_sqlite.scan import choose_tables, scan_database, sqlite_preset
from cytobatch.formats.cellprofiler_sqlite.table import DatabaseTable, left_out_facts, resolve_undecided
from cytobatch.formats.defaults import FormatDefaults
from cytobatch.formats.image_sets import check_image_numbers
from cytobatch.formats.table_facts import fact_warnings
from cytobatch.formats.text_columns import check_text_columns
from cytobatch.planning.columns import IMAGE_NUMBER
from cytobatch.planning.inventory import Inventory, SourceFile
from cytobatch.readers.fallback import ReadStrategy, read_with_fallback
from cytobatch.readers.indexed_rows import IndexedRows
from cytobatch.readers.inputs import Inputs
from cytobatch.readers.numbers import Repair
from cytobatch.readers.sqlite import outline
from cytobatch.readers.sqlite import read as sqlite
from cytobatch.readers.sqlite.native.scan import find_rows, stream_pages

_COMPANIONS = ("-wal", "-journal")


class CellProfilerSqlite(FormatDefaults[DatabaseTable]):
    """One SQLite file for each export, with tables Per_Image, Per_Cells and so on, or Image, Cells and so on."""

    name = FormatName.SQLITE.value
    examples = "tables in .sqlite files"
    # SQLite does not lose rows by accident: missing rows were deleted, or never written.
    traits = FormatTraits(exact_has_rows=False, cheap_row_counts=True, indexed_rows=True)

    def claims(self, listing: Listing) -> Sequence[SourceFile]:
        """Return the files with a suffix of SQLite databases."""
        return [file for file in listing.inventory.files if file.suffix in SUFFIXES[FormatName.SQLITE]]

    def plan(self, listing: Listing, files: Sequence[SourceFile]) -> FormatPlan:
        """Return an export for each database, with its write-ahead log or journal."""
        job = listing.job
        exports = tuple(
            Export(index, file.path, (file, *_companions(file, listing.inventory)), _location_of(file))
            for index, file in enumerate(files)
        )
        preset = None if job.preset is PresetName.AUTO else with_overrides(PRESETS[job.preset], job)
        companions = {file.path: f"read with {export.path}" for export in exports for file in export.files[1:]}
        return FormatPlan(exports, preset, ignored=companions)

    def scan(self, plan: ConversionPlan, inputs: Inputs, engine: Engine) -> PlateScan:
        """Scan the declarations of every table. A file has an export for each set of tables.

        Raises LayoutError if a compartment is in no file.
        """
        found = [scan for export in plan.exports for scan in scan_database(plan, export, inputs, engine)]
        numbered = [replace(scan, export=replace(scan.export, index=index)) for index, scan in enumerate(found)]
        scans = resolve_undecided(numbered)
        preset = plan.preset or sqlite_preset(plan, scans)
        chosen = check_text_columns(choose_tables(plan, preset, scans))
        return PlateScan(
            preset,
            tuple(chosen),
            warnings=fact_warnings(chosen, left_out_facts),
            listed=list_databases(plan, inputs),
            experiments=read_experiments(plan, chosen, inputs),
        )

    def read_images(
        self, table: DatabaseTable, path: Path, columns: Sequence[str], engine: Engine
    ) -> tuple[pa.Table, Sequence[Repair]]:
        """Read the columns with their declared types. Raises InvalidTableError."""
        schema = pa.schema([table.schema.field(column) for column in columns])
        repairs: list[Repair] = []
        strategies = sqlite.strategies(engine, _sqlite_table(table, path), schema, repairs)
        rows = read_with_fallback(strategies, repairs, lambda strategy: pa.Table.from_batches(strategy(), schema))
        check_image_numbers(rows[IMAGE_NUMBER], table.source)
        return rows, repairs

    def readers(
        self, table: DatabaseTable, path: Path, schema: pa.Schema, repairs: list[Repair], context: ReadContext
    ) -> tuple[ReadStrategy, ...]:
        """Return the native reader of pages unless the job excludes it, then DuckDB's scan, then SQLite itself."""
        source = _sqlite_table(table, path)
        strategies = sqlite.strategies(context.engine, source, schema, repairs)
        if context.job.sqlite_reader is SqliteReader.NATIVE:
            strategies = (partial(stream_pages, source, schema, context.executor, repairs), *strategies)
        if table.presence_column is None:
            return strategies
        return tuple(only_present(strategy, table.presence_column) for strategy in strategies)

    def index_rows(
        self, table: DatabaseTable, path: Path, schema: pa.Schema, keys: pa.Schema, context: ReadContext
    ) -> tuple[IndexedRows, pa.Table]:
        """Return the rows by the pages of the file. Raises FastPathUnavailable if the job reads with DuckDB."""
        if context.job.sqlite_reader is SqliteReader.DUCKDB:
            raise FastPathUnavailable("the job reads SQLite with DuckDB")
        if table.presence_column is not None:
            raise FastPathUnavailable("the table has rows of several compartments")
        return find_rows(_sqlite_table(table, path), schema, keys, context.executor)

    def count_rows(self, table: DatabaseTable, path: Path) -> int | None:
        """Return the highest rowid: the number of rows if none was ever deleted."""
        return sqlite.approximate_rows(path, table.shown_name, table.schema.names)

    def write_outline(self, stream: RawIOBase, path: Path) -> Mapping[str, int] | None:
        """Write a database with the declarations alone. Return the highest row ids."""
        try:
            return outline.write_outline(stream, path)
        except FastPathUnavailable:
            return None


def _sqlite_table(table: DatabaseTable, path: Path) -> sqlite.SqliteTable:
    return sqlite.SqliteTable(path, table.shown_name, table.numbers_only)


def _companions(file: SourceFile, inventory: Inventory) -> list[SourceFile]:
    """Return the write-ahead log or journal beside a database: it may hold rows that the database lacks yet."""
    names = {f"{file.path}{suffix}" for suffix in _COMPANIONS}
    return [other for other in inventory.files if other.path in names and other.size]


def _location_of(file: SourceFile) -> SiteLocation:
    """Return the plate of `<plate>/<plate>.sqlite`, as the Cell Painting Gallery names its databases."""
    folder = PurePosixPath(file.path).parent.name
    return SiteLocation(plate=file.stem) if folder == file.stem else SiteLocation()


FORMAT = CellProfilerSqlite()
