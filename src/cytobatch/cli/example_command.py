"""`cytobatch example`: write a synthetic plate."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cytobatch.cli.console import out
from cytobatch.errors import ExitCode
from cytobatch.storage.access import storage_errors
from cytobatch.synthetic import PlateFormat, SyntheticPlate, write_plate

ExamplePlate = Annotated[SyntheticPlate, Parameter(name="*")]
_SMALL_PLATE = SyntheticPlate()


def example(folder: Path, *, kind: PlateFormat = PlateFormat.CSV, plate: ExamplePlate = _SMALL_PLATE) -> int:
    """Make a small made-up plate to try things on.

    Parameters
    ----------
    folder: Where to.
    kind: Site folders of CSV files, or one SQLite file.
    """
    with storage_errors(str(folder)):
        write_plate(plate, folder, kind)
    out.print(f"{plate.cell_count()} cells of {plate.wells * plate.sites} sites in {folder}")
    return ExitCode.OK
