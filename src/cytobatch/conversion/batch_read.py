"""Read the tables of a batch of exports, each table as one for all exports that have it."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import pyarrow as pa

from cytobatch.conversion.export_batch import ExportBatch
from cytobatch.conversion.table_loader import TableGroup, TableLoader
from cytobatch.errors import FastPathUnavailable
from cytobatch.formats.base import SurveyedTable
from cytobatch.readers.fallback import ConcatenatedTables
from cytobatch.survey.model import SurveyedExport, TableSchema


class BatchRead:
    """The tables of a batch of exports while they are read, each table as one for all exports that have it.

    As soon as one table cannot be read as one, the other tables are not read as one either: the exports are then read
    one by one.
    """

    def __init__(
        self,
        loader: TableLoader,
        schemas: Mapping[str, TableSchema],
        exports: Sequence[SurveyedExport],
        names: Sequence[str],
    ) -> None:
        self.exports = tuple(exports)
        self.names = tuple(names)
        self._loader = loader
        self._schemas = schemas
        self._exports_with = {name: [export for export in exports if name in export.tables] for name in names}
        self._groups = {name: self._group(name, having) for name, having in self._exports_with.items() if having}
        self._reads_one_by_one = None in self._groups.values()

    @property
    def tables(self) -> list[SurveyedTable]:
        """All tables, in the order in which they are read."""
        return [export.tables[name] for name, having in self._exports_with.items() for export in having]

    @property
    def size(self) -> int:
        """Bytes of the exports at the source."""
        return sum(export.export.size for export in self.exports)

    @property
    def is_out_of_core(self) -> bool:
        """Whether the batch is one export whose rows are read by number, because it is larger than memory."""
        return self._loader.is_out_of_core(self.exports[0].export.size)

    def subtasks(self) -> tuple[Callable[[], ConcatenatedTables | None], ...]:
        """Return a subtask for each table, which reads it."""
        return tuple(partial(self._read, name) for name in self._exports_with)

    def batch(self, results: Sequence[ConcatenatedTables | None]) -> ExportBatch | None:
        """Return the batch made of the subtasks' results; None if the exports must be read one by one."""
        tables, export_of_row = {}, {}
        for (name, having), concatenated in zip(self._exports_with.items(), results, strict=True):
            if concatenated is None:
                return None
            tables[name] = concatenated.table
            export_of_row[name] = index_of_each_row(having, concatenated.rows)
        return ExportBatch(self.exports, tables, export_of_row)

    def _group(self, name: str, having: Sequence[SurveyedExport]) -> TableGroup | None:
        own = [export.export.tables.get(name) for export in having]
        size = sum(table.file.content_size for table in own if table is not None)
        return self._loader.group([export.tables[name] for export in having], size)

    def _read(self, name: str) -> ConcatenatedTables | None:
        """Read one table; return None if it, or another table, cannot be read as one. Raises StorageError."""
        if self._reads_one_by_one:
            return None
        schema, group = self._schemas[name].schema, self._groups.get(name)
        if group is None:
            return ConcatenatedTables(schema.empty_table(), ())
        try:
            return self._loader.read_group(group, schema)
        except FastPathUnavailable:
            self._reads_one_by_one = True
            return None


def index_of_each_row(exports: Sequence[SurveyedExport], rows: Sequence[int]) -> pa.Array:
    """Return for each row the index of its export.

    Parameters
    ----------
    exports
        The exports whose rows follow one another.
    rows
        The number of rows of each export, in the same order.

    Returns
    -------
    pa.Array
        Indices of exports in the plan: `int64, (sum(rows),)`.
    """
    indices = np.array([export.index for export in exports], np.int64)
    return pa.array(np.repeat(indices, np.array(rows, np.int64)))
