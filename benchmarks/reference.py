"""A plain, slow reference for synthetic plates: the expected profile, computed without cytobatch.

Tables are read with pyarrow's CSV reader or the standard library's sqlite3, joined by dictionaries of keys, and their
columns get the names of a profile. A profile and its reference are compared by rows and by a checksum of each column.
"""

import sqlite3
import sys
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
from cyclopts import App

from checksums import Checksums
from typed import column_type, convert_options, header

Tables = dict[str, pa.Table]

_NAMES = ("Image", "Cells", "Cytoplasm", "Nuclei")
_BASE = "Cytoplasm"
_PARENTS = ("Cells", "Nuclei")
_TABLE_NUMBER = "TableNumber"
_FETCHED_ROWS = 500
_SHOWN = 10

app = App(name="reference", help=__doc__)


def csv_exports(plate: Path) -> Iterator[Tables]:
    """Yield the tables of each folder; if there are several, with the CRC-32 of the image table as TableNumber."""
    folders = sorted(path.parent for path in plate.rglob("Image.csv"))
    for folder in folders:
        tables = {name: _read_csv(folder / f"{name}.csv") for name in _NAMES}
        if len(folders) > 1:
            number = pa.scalar(zlib.crc32((folder / "Image.csv").read_bytes()), pa.int64())
            tables = {
                name: table.append_column(_TABLE_NUMBER, pa.repeat(number, table.num_rows))
                for name, table in tables.items()
            }
        yield tables


def _read_csv(path: Path) -> pa.Table:
    return pacsv.read_csv(path, convert_options=convert_options(header(path)))


def sqlite_export(path: Path) -> Tables:
    """Return the tables of a file; columns lose the prefix with the table's name."""
    with closing(sqlite3.connect(path)) as connection:
        return {name: _read_sqlite(connection, name) for name in _NAMES}


def _read_sqlite(connection: sqlite3.Connection, name: str) -> pa.Table:
    cursor = connection.execute(f'SELECT * FROM "{name}"')
    columns = [column[0].removeprefix(f"{name}_") for column in cursor.description]
    types = [pa.string() if column == _TABLE_NUMBER else column_type(column) for column in columns]
    schema = pa.schema(list(zip(columns, types, strict=True)))
    chunks = []
    while rows := cursor.fetchmany(_FETCHED_ROWS):
        values = zip(*rows, strict=True)
        arrays = [pa.array(column, kind) for column, kind in zip(values, types, strict=True)]
        chunks.append(pa.Table.from_arrays(arrays, schema=schema))
    return pa.concat_tables(chunks) if chunks else schema.empty_table()


def _keys(table: pa.Table, number: str | None) -> list[tuple[object, ...]]:
    """Return the key of each row of an export: TableNumber if there is one, image, and an object number."""
    names = [_TABLE_NUMBER] if _TABLE_NUMBER in table.column_names else []
    names += ["ImageNumber"] + ([number] if number else [])
    return list(zip(*(table[name].to_pylist() for name in names), strict=True))


def _fitting(base: pa.Table, own: str | None, other: pa.Table, its: str | None) -> pa.Table:
    """Return the matching row of another table for each row of the base; nulls where no row matches."""
    row_of = {key: row for row, key in enumerate(_keys(other, its))}
    if len(row_of) != other.num_rows:
        raise ValueError("the plate has one key twice")
    return other.combine_chunks().take(pa.array([row_of.get(key) for key in _keys(base, own)], pa.int64()))


def joined(tables: Tables, *, database: bool) -> pa.Table:
    """Return the profile of one export."""
    base = tables[_BASE]
    parts = {_BASE: base, "Image": _fitting(base, None, tables["Image"], None)}
    for parent in _PARENTS:
        parts[parent] = _fitting(base, f"Parent_{parent}", tables[parent], "ObjectNumber")
    columns = {
        new: part[column]
        for name, part in parts.items()
        for column in part.column_names
        for new in _profile_names(name, column, database=database)
    }
    return pa.table(columns)


def _profile_names(table: str, column: str, *, database: bool) -> tuple[str, ...]:
    """Return the names of a source column in a profile: zero, one or two."""
    if column in ("ImageNumber", _TABLE_NUMBER):
        return (f"Metadata_{column}",) if table == _BASE else ()
    if table == "Image":
        return _image_names(column, database=database)
    if column == "ObjectNumber":
        if database:
            return (f"Metadata_{table}_{column}",)
        return ("Metadata_ObjectNumber",) if table == _BASE else ()
    if column == "Number_Object_Number" or column.startswith("Parent_"):
        return (f"Metadata_{table}_{column}",)
    return (f"{table}_{column}",)


def _image_names(column: str, *, database: bool) -> tuple[str, ...]:
    if column.startswith("Count_"):
        return (f"Metadata_{column}",)
    if column.startswith("FileName_"):
        return (f"Image_{column}",)
    if column in ("Metadata_Plate", "Metadata_Well") and database:
        return (column, f"Metadata_Image_{column}")
    return (column,) if column.startswith("Metadata_") else ()


def expected(plate: Path) -> Checksums:
    """Return the checksums that a profile of the plate must have."""
    checksums = Checksums()
    database = next(plate.glob("*.sqlite"), None)
    for tables in [sqlite_export(database)] if database else csv_exports(plate):
        checksums.add(joined(tables, database=database is not None))
    return checksums


def reached(profile: Path) -> Checksums:
    """Return the checksums of a profile."""
    checksums = Checksums()
    file = pq.ParquetFile(profile)
    for number in range(file.num_row_groups):
        checksums.add(file.read_row_group(number))
    return checksums


@app.default
def compare(plate: Path, profile: Path) -> int:
    """Print the differences of a profile from its reference; the exit code is 1 if there are any."""
    reference = expected(plate)
    differences = reference.differences(reached(profile))
    for line in differences[:_SHOWN]:
        print(line)
    if len(differences) > _SHOWN:
        print(f"and {len(differences) - _SHOWN} more")
    if not differences:
        print(f"{reference.rows:,} rows, {len(reference.columns):,} columns equal")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(app())
