"""The listing of SQLite files: every table and view of each, which the ledger must name."""

from cytobatch.errors import InvalidTableError
from cytobatch.formats.base import ConversionPlan
from cytobatch.readers.inputs import Inputs
from cytobatch.readers.sqlite import read as sqlite


def list_databases(plan: ConversionPlan, inputs: Inputs) -> dict[str, tuple[str, ...]]:
    """Return the tables and views of each database by its path; it has neither if it cannot be read."""
    listed: dict[str, tuple[str, ...]] = {}
    for path in dict.fromkeys(export.files[0].path for export in plan.exports):
        try:
            found = sqlite.list_tables_and_views(inputs.whole(path))
            listed[path] = (*found.tables, *found.views)
        except InvalidTableError:
            # The scan finds the same defect and names the file.
            listed[path] = ()
    return listed
