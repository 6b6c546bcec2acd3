"""The list of an output's columns, as a document beside it: the role, the parts of the name, and the source of each."""

import functools
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from cytobatch.output.file_content import FileContent
from cytobatch.output.written_file import ITSELF, WrittenFile

COLUMNS_FORMAT_VERSION = 1
"""Keys may be added under a version, but never changed."""
SUFFIX = ".json"
FOOTER_KEY = "cytobatch.columns_sha256"
"""The key of a Parquet footer with the checksum of the list of the file's columns."""


class ColumnRole(StrEnum):
    """What a column is used for."""

    FEATURE = "feature"
    """It measures objects."""
    METADATA = "metadata"
    """It identifies or describes an object, a site or a well."""
    IMAGE = "image"
    """It describes the images of a site: names of files, and what an image table has about whole images."""


class OutputColumn(NamedTuple):
    """One column of an output: a tuple, because thousands are made for a plate of a second.

    `type` is Arrow's name of its type. `compartment` is the prefix of the columns of its objects. `channels` are two
    for a measurement of a pair of images. The source is a table by its lower-case name, and its column there; both are
    None for values that do not come from one column of one table.
    """

    name: str
    role: ColumnRole = ColumnRole.METADATA
    type: str = ""
    compartment: str | None = None
    feature_group: str | None = None
    channels: tuple[str, ...] = ()
    source_table: str | None = None
    source_column: str | None = None


_encode = json.JSONEncoder(ensure_ascii=False).encode


def _line(column: OutputColumn) -> str:
    """Return a column as JSON. Columns differ in the first and the last value; few have what is between."""
    name, *_, source_column = column
    return f'{{"name": {_encode(name)}, {_shared(column[1:-1])}, "source_column": {_encode(source_column)}}}'


@functools.lru_cache(maxsize=4096)
def _shared(values: tuple[object, ...]) -> str:
    return _encode(dict(zip(OutputColumn._fields[1:-1], values, strict=True)))[1:-1]


@dataclass(frozen=True)
class ColumnList:
    """The columns of one output, or of several outputs that have the same, in their order.

    `name` is the name of the document below the destination.
    """

    name: str
    columns: tuple[OutputColumn, ...]

    @cached_property
    def content(self) -> bytes:
        """The document: JSON in UTF-8, a column on each line, the same bytes for the same columns."""
        lines = ",\n".join(map(_line, self.columns))
        return f'{{"format_version": {COLUMNS_FORMAT_VERSION}, "columns": [\n{lines}\n]}}\n'.encode()

    @cached_property
    def sha256(self) -> str:
        """The checksum of the document."""
        return hashlib.sha256(self.content).hexdigest()

    def features(self) -> Sequence[OutputColumn]:
        """Return the columns that measure objects."""
        return [column for column in self.columns if column.role is ColumnRole.FEATURE]

    def write(self, folder: Path) -> WrittenFile:
        """Write the document below a folder. It has no rows; its columns are those that it describes."""
        path = folder / self.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.content)
        return WrittenFile(path, 0, len(self.columns), {ITSELF: FileContent.of(self.content)})
