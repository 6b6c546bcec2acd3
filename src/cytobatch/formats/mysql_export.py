"""ExportToDatabase's files for MySQL: CSV files without a header, whose columns only an SQL script names."""

import re
from collections.abc import Mapping

from cytobatch.errors import LayoutError
from cytobatch.planning.columns import IMAGE_NUMBER
from cytobatch.planning.inventory import Inventory
from cytobatch.readers.csv.header import parse_header
from cytobatch.readers.numbers import is_number

_DATA = re.compile(r"(.*_)?[0-9]+_[0-9]+_[a-z]+", re.IGNORECASE)
_CSV, _SCRIPT = ".csv", ".sql"


def check_no_mysql_export(inventory: Inventory, heads: Mapping[str, bytes]) -> None:
    """Check that CSV files are not those that MySQL loads: `SQL_1_96_Image.CSV`. Raises LayoutError.

    They are if no other CSV file is there, and a script lies beside them or their first row holds numbers alone.
    `heads` has the first bytes of files by path.
    """
    tables = [file for file in inventory.files if file.suffix == _CSV]
    scripts = [file for file in inventory.files if file.suffix == _SCRIPT]
    if not tables or not all(_DATA.fullmatch(file.stem) for file in tables):
        return
    rows = [_first_row(heads.get(file.path, b"")) for file in tables]
    if any(IMAGE_NUMBER in row for row in rows):
        return
    headerless = [file for file, row in zip(tables, rows, strict=True) if row and all(map(is_number, row))]
    if scripts or headerless:
        shown = (headerless or tables)[0]
        raise LayoutError(
            "CSV files without a header",
            where=f"{inventory.root}, {shown.path}",
            why="ExportToDatabase wrote them for MySQL, and only its SQL script names their columns",
            remedy="load them into MySQL and export its tables, or export to CSV or SQLite",
        )


def _first_row(head: bytes) -> tuple[str, ...]:
    lines = head.decode("utf-8-sig", "replace").splitlines()
    return parse_header(lines[0]) if lines else ()
