"""The list of an output's columns, as its readers have it."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

Column = dict[str, Any]


def columns_of(path: Path) -> list[Column]:
    """The columns that a list names, in order."""
    document = json.loads(path.read_text())
    assert set(document) == {"format_version", "columns"}
    return list(document["columns"])


def features_of(path: Path) -> list[str]:
    """The names of the features in a list."""
    return [column["name"] for column in columns_of(path) if column["role"] == "feature"]


def assert_describes(columns: Path, parquet: Path) -> None:
    """The list has the names and types of a Parquet file, in order, and the file has the list's checksum."""
    schema = pq.read_schema(parquet)
    assert all((one["source_table"] is None) == (one["source_column"] is None) for one in columns_of(columns))
    assert [(column["name"], column["type"]) for column in columns_of(columns)] == [
        (field.name, str(field.type)) for field in schema
    ]
    assert schema.metadata[b"cytobatch.columns_sha256"].decode() == hashlib.sha256(columns.read_bytes()).hexdigest()
