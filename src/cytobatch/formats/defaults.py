"""A base class for formats: the functions of the protocol that most formats do not need."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from io import RawIOBase
from pathlib import Path
from typing import Generic, TypeVar

import pyarrow as pa

from cytobatch.config.options import PlateJob
from cytobatch.engine.duckdb import Engine
from cytobatch.errors import FastPathUnavailable, InternalError
from cytobatch.formats.base import ConversionPlan, ReadContext, SurveyedTable
from cytobatch.planning.inventory import Inventory, SourceFile
from cytobatch.readers.fallback import ConcatReader
from cytobatch.readers.indexed_rows import IndexedRows
from cytobatch.readers.numbers import Repair

TableT = TypeVar("TableT", bound=SurveyedTable)


class FormatDefaults(Generic[TableT]):
    """A format that probes no file, reads files whole and one by one, and does not count rows beforehand."""

    def probes(self, job: PlateJob, inventory: Inventory) -> Iterable[SourceFile]:
        """Return no file, because the names of files are enough."""
        return ()

    def whole_files(self, plan: ConversionPlan) -> Collection[str]:
        """Return every file."""
        return {file.path for export in plan.exports for file in export.files}

    def read_images(
        self, table: TableT, path: Path, columns: Sequence[str], engine: Engine
    ) -> tuple[pa.Table, Sequence[Repair]]:
        """Raise InternalError, because the format has no image tables."""
        raise InternalError("a format without image tables was asked for one", where=table.source)

    def concat_reader(self, tables: Sequence[TableT]) -> ConcatReader | None:
        """Return None, because files are read one by one."""
        return None

    def index_rows(
        self, table: TableT, path: Path, schema: pa.Schema, keys: pa.Schema, context: ReadContext
    ) -> tuple[IndexedRows, pa.Table]:
        """Raise FastPathUnavailable, because tables are read whole."""
        raise FastPathUnavailable("rows of this format are not found by number")

    def count_rows(self, table: TableT, path: Path) -> int | None:
        """Return None, because rows are only counted by reading them."""
        return None

    def write_outline(self, stream: RawIOBase, path: Path) -> Mapping[str, int] | None:
        """Return None, because a file is read from its beginning to its end."""
        return None
