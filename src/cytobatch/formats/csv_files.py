"""Functions for formats of CSV files: headers before planning, checks of last lines, readers, and counts of rows."""

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pyarrow as pa

from cytobatch.config.options import PlateJob
from cytobatch.config.presets.catalog import USUAL_TABLES, PresetName
from cytobatch.formats.base import (
    ExportScan,
    Listing,
    ReadContext,
    SurveyedTable,
)
from cytobatch.formats.csv_names import table_files
from cytobatch.formats.csv_suffixes import COMBINED, EXPERIMENT, IMAGE
from cytobatch.planning.inventory import Inventory, SourceFile
from cytobatch.readers.csv import read as csv
from cytobatch.readers.csv.body import text_of
from cytobatch.readers.csv.chunks import stream_chunks
from cytobatch.readers.csv.concat import read_group
from cytobatch.readers.csv.dialect import PLAIN, beginning_text, count_lines
from cytobatch.readers.csv.field_limit import LONGEST_FIELD
from cytobatch.readers.csv.header import CUT_END, CsvShape, ends_with_newline, invalid_file, parse_header
from cytobatch.readers.fallback import ConcatenatedTables, ConcatReader, ReadStrategy
from cytobatch.readers.inputs import BEGINNING, Inputs
from cytobatch.readers.numbers import Repair

_COMPARTMENTS = USUAL_TABLES - {IMAGE}
_KNOWN = USUAL_TABLES | {EXPERIMENT}
"""The tables whose content follows from the name. An experiment's may be long, and the survey reads all of it."""
_FEW_COMPARTMENTS = 2
"""A plate with fewer usual compartments than this may have them in one file."""


@dataclass(frozen=True, slots=True)
class CsvTable(SurveyedTable):
    """A table in a CSV file.

    `shape` describes its columns and header lines. `complete` is True if the last line ends with a newline, False if
    not, and None if that is checked when the rows are read. `first_text` has, by column, the values of measurements in
    the first row that are not numbers.
    """

    shape: CsvShape = field(kw_only=True)
    complete: bool | None = field(default=True, kw_only=True)
    first_text: Mapping[str, str] = field(default_factory=dict, kw_only=True)


def files_by_stem(inventory: Inventory) -> dict[str, SourceFile]:
    """Return a CSV file for each lower-case stem: the first one with content, or else the last one.

    Stems are without the prefix of an export. Files of one stem are the same table in different exports, so that one
    header of each stem is enough.
    """
    stems: dict[str, SourceFile] = {}
    for each in table_files(inventory).values():
        if each.stem not in stems or not stems[each.stem].size:
            stems[each.stem] = each.file
    return stems


def files_of_unknown_stems(job: PlateJob, inventory: Inventory) -> Iterable[SourceFile]:
    """Return the files whose content does not follow from their names, so that their headers must be read.

    Where a plate lacks most of the usual compartments, any file may be the one that has all of them side by side.
    """
    files = files_by_stem(inventory)
    lacking = len(_COMPARTMENTS & set(files)) < _FEW_COMPARTMENTS
    any_table = job.preset is PresetName.AUTO and job.compartments is None
    for stem, file in files.items():
        unknown = lacking or (any_table and stem not in _KNOWN)
        if file.size and stem != IMAGE and (unknown or stem.endswith(COMBINED)):
            yield file


def first_row(path: str, inputs: Inputs) -> tuple[str, ...]:
    """Return the first row of a CSV file of any dialect; empty if it is not a row of CSV."""
    with inputs.beginning(path).open("rb") as stream:
        beginning = stream.read(BEGINNING)
        while True:
            text, delimiter = beginning_text(beginning)
            is_whole = "\n" in text or "\r" in text or len(beginning) >= LONGEST_FIELD
            more = b"" if is_whole else stream.read(len(beginning))
            if not more:
                return parse_header(text, delimiter)
            beginning += more


def headers_by_stem(listing: Listing) -> dict[str, tuple[str, ...]]:
    """Return the first row of a CSV file for each lower-case stem; empty if it was not read."""
    return {
        stem: parse_header(*beginning_text(listing.heads.get(file.path, b"")))
        for stem, file in files_by_stem(listing.inventory).items()
    }


def csv_table(scan: ExportScan, name: str) -> CsvTable | None:
    """Return a table of a scan if it is a CSV table, else None."""
    table = scan.tables.get(name)
    return table if isinstance(table, CsvTable) else None


def check_last_lines(scans: Sequence[ExportScan], inputs: Inputs) -> list[ExportScan]:
    """Fail tables whose last line has no newline, because they are cut short.

    If no file of the plate ends with a newline, that is the writer's style and not a defect.
    """
    tables = [table for scan in scans for table in scan.tables.values() if isinstance(table, CsvTable)]
    if not any(table.complete for table in tables) and not _any_complete(tables, inputs):
        return [_mark_incomplete(scan) for scan in scans]
    result = []
    for scan in scans:
        checked = scan
        for name, table in scan.tables.items():
            if isinstance(table, CsvTable) and table.complete is False:
                checked = checked.without(name, ": ".join(CUT_END))
        result.append(checked)
    return result


def _any_complete(tables: Iterable[CsvTable], inputs: Inputs) -> bool:
    """Return True if a table whose end was not read yet ends with a newline. Usually only the first one is read."""
    return any(ends_with_newline(inputs.whole(table.source)) for table in tables if table.complete is None)


def _mark_incomplete(scan: ExportScan) -> ExportScan:
    tables = {
        name: replace(table, complete=False) if isinstance(table, CsvTable) else table
        for name, table in scan.tables.items()
    }
    return replace(scan, tables=tables)


def csv_readers(
    table: CsvTable, path: Path, schema: pa.Schema, repairs: list[Repair], context: ReadContext
) -> tuple[ReadStrategy, ...]:
    """Return the ways to stream a CSV table, as `SourceFormat.readers` does.

    A large file is read in chunks by several threads first, and then in one stream. Raises InvalidTableError if the
    last line has no newline.
    """
    if table.complete is None and not ends_with_newline(path):
        raise invalid_file(path, *CUT_END)
    one_stream = functools.partial(csv.stream, path, table.shape, schema, repairs, table.null_text_columns)
    shape = table.shape
    if shape.file_columns is not None or shape.dialect != PLAIN or path.stat().st_size <= csv.SMALL_FILE:
        return (one_stream,)
    return functools.partial(stream_chunks, path, table.shape, schema, context.executor), one_stream


def csv_concat_reader(tables: Sequence[CsvTable]) -> ConcatReader | None:
    """Return a reader of CSV files of one shape and schema as one table, or None if they differ."""
    shape, schema = tables[0].shape, tables[0].schema
    if shape.file_columns is not None or shape.dialect != PLAIN:
        return None
    if not all(each.shape == shape and each.schema.equals(schema) for each in tables):
        return None

    def read(paths: Sequence[Path], columns: pa.Schema) -> ConcatenatedTables:
        return read_group(text_of(paths, shape.header_lines), shape, columns)

    return read


def count_csv_rows(table: CsvTable, path: Path) -> int:
    """Return the number of lines below the header."""
    return max(0, count_lines(path, table.shape.dialect) - table.shape.header_lines)
