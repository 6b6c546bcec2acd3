"""Plans from names of files and headers, without files."""

from collections.abc import Mapping

from cytobatch.config.options import PlateJob
from cytobatch.formats.base import ConversionPlan
from cytobatch.formats.csv_files import files_by_stem
from cytobatch.formats.detect import make_plan
from cytobatch.planning.inventory import Inventory


def plan_by_headers(job: PlateJob, inventory: Inventory, headers: Mapping[str, tuple[str, ...]]) -> ConversionPlan:
    """Return the plan of files whose first lines are these headers, by lower-case stem."""
    files = files_by_stem(inventory)
    heads = {files[stem].path: ",".join(header).encode() for stem, header in headers.items() if header}
    return make_plan(job, inventory, heads)
