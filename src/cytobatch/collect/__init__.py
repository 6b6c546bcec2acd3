"""The run reports of a batch of plates, gathered into one table and one page."""

from cytobatch.collect.publish import publish
from cytobatch.collect.rows import PlateRow, PlateState, RunSummary, each_row
from cytobatch.collect.table import BatchTable, gather

__all__ = ["BatchTable", "PlateRow", "PlateState", "RunSummary", "each_row", "gather", "publish"]
