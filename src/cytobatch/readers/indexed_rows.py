"""The protocol of tables whose rows are read by their number, because they are larger than memory."""

from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from cytobatch.readers.numbers import Repair


class IndexedRows(Protocol):
    """The rows of a table, found in the file by their number. Several threads may read at once."""

    @property
    def leaves(self) -> int:
        """The number of blocks that hold the rows."""
        ...

    def leaves_of(self, rows: npt.NDArray[np.int64]) -> int:
        """Return the number of blocks that hold these rows: int64, (rows,), ascending."""
        ...

    def read(self, rows: npt.NDArray[np.int64]) -> tuple[pa.Table, list[Repair]]:
        """Read rows by number: int64, (rows,), ascending. Raises InvalidTableError if the file has changed."""
        ...
