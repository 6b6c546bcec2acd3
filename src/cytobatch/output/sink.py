"""The protocol of sinks: one kind of output that profile rows are written to.

A new sink is one class and one line in `registry.py`.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from cytobatch.engine.executor import Executor
from cytobatch.output.column_list import FOOTER_KEY, ColumnList
from cytobatch.output.row_groups import RowGroup
from cytobatch.output.written_file import WrittenFile


class RowSource(Enum):
    """Where the row groups of a sink come from."""

    CONVERSION = auto()
    """The conversion, as it produces them. Their number is unknown until the last one is written."""
    PARQUET = auto()
    """The finished Parquet file of profile rows, whose number of rows is known."""


@dataclass(frozen=True, slots=True)
class OutputSpec:
    """One output to write.

    `features` are the columns that measure objects, in order; a table that is no profile has an empty tuple. `rows` is
    set if the sink reads a finished Parquet file. `columns` describes all columns. `centers` are the columns with x and
    y of the objects' centres, if each row is an object that has one.
    """

    path: Path
    schema: pa.Schema
    features: tuple[str, ...] = ()
    rows: int | None = None
    columns: ColumnList | None = None
    centers: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class SinkResources:
    """What a run lends its sinks: threads, key-value metadata for each file, and a callback for report warnings."""

    executor: Executor
    metadata: Mapping[str, str]
    on_warning: Callable[[str], None]


def metadata_of(output: OutputSpec, resources: SinkResources) -> dict[str, str]:
    """Return the key-value metadata of an output: those of the run, and the checksum of the list of its columns."""
    return {**resources.metadata, **({FOOTER_KEY: output.columns.sha256} if output.columns else {})}


class RowGroupWriter(Protocol):
    """Writes the row groups of one output, in order."""

    def write(self, group: RowGroup) -> None:
        """Write the next row group, which has at least one row."""
        ...

    def written(self) -> WrittenFile:
        """Describe the finished output. Call it after the context manager has ended."""
        ...


class Sink(Protocol):
    """One kind of output. An instance serves one run, from one thread."""

    @property
    def suffix(self) -> str:
        """The suffix of its files or folders, with the dot. No two sinks of a run share one."""
        ...

    @property
    def row_source(self) -> RowSource:
        """Where its row groups come from."""
        ...

    @property
    def profiles_only(self) -> bool:
        """Whether it takes only profile rows, which have features, and no tables as they are."""
        ...

    def check(self) -> None:
        """Raise ConfigurationError if the sink cannot work here. A run calls it before it reads anything."""
        ...

    def open(self, output: OutputSpec, resources: SinkResources) -> AbstractContextManager[RowGroupWriter]:
        """Return a writer of one output. If its context ends by an error, nothing is left at the output's path."""
        ...
