"""The known schema of a synthetic plate's CSV files, for the floor and the reference."""

import csv
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv

_INTEGERS = {"ImageNumber", "ObjectNumber", "Number_Object_Number", "Metadata_Site"}
_TEXTS = ("FileName_", "PathName_", "Metadata_Plate", "Metadata_Well")


def column_type(name: str) -> pa.DataType:
    """Return a column's type by its name at the source, without the table's prefix."""
    if name in _INTEGERS or name.startswith(("Parent_", "Count_")):
        return pa.int64()
    return pa.string() if name.startswith(_TEXTS) else pa.float64()


def header(path: Path) -> list[str]:
    """Return the columns in the first line of a CSV file."""
    with path.open(newline="", encoding="utf-8") as stream:
        return next(csv.reader(stream))


def convert_options(columns: list[str]) -> pacsv.ConvertOptions:
    """Return the options for reading a file with these columns."""
    return pacsv.ConvertOptions(
        column_types={name: column_type(name) for name in columns}, null_values=[""], strings_can_be_null=True
    )
