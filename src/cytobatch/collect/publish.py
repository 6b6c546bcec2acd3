"""The table as files: Parquet and CSV for programs, a page for people."""

import tempfile
from pathlib import Path

from cytobatch.collect.page import write_page
from cytobatch.collect.table import BatchTable, write_csv
from cytobatch.parquet import write_small_table
from cytobatch.storage import Access, faults, publish_files


def publish(table: BatchTable, destination: str, access: Access) -> list[str]:
    """Writes `batch.parquet`, `batch.csv` and `index.html` into a folder or prefix, and returns where they are.

    The same reports give the same bytes. Raises StorageError.
    """
    with tempfile.TemporaryDirectory(prefix="cytobatch-") as scratch:
        parquet, text, page = (Path(scratch, name) for name in ("batch.parquet", "batch.csv", "index.html"))
        with faults(scratch):
            arrow = table.to_arrow()
            write_small_table(parquet, arrow)
            write_csv(arrow, text)
            write_page(table, destination, page)
        # The page last, for it links to the others.
        return publish_files(destination, {path.name: path for path in (parquet, text, page)}, access)
