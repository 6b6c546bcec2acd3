"""Wall time, CPU and peak memory of a conversion, and their ratio to a floor taken in the same call.

The floor is what no converter can do without: reading every compartment table once with its schema known
(`pyarrow.csv`, or DuckDB's `sqlite_scan`), and writing the same Parquet from memory. Both run as processes of their
own, in turn, so that a machine that is slower for a while is slower for both; medians are shown.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter
from rich.console import Console
from rich.table import Table

from cytobatch.synthetic import PlateFormat, SyntheticPlate, write_plate

JUMP_FEATURES = {PlateFormat.CSV: 2000, PlateFormat.SQLITE: 1900}
JUMP_CELLS = 109

app = App(name="bench", help=__doc__)


def measured(work: str, plate: Path, kind: PlateFormat, folder: Path) -> dict[str, float]:
    """One run in a process of its own: seconds of wall and CPU of the work itself, the process's peak in bytes."""
    command = [sys.executable, str(Path(__file__).with_name("work.py")), work, str(plate), kind.value, str(folder)]
    answer = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONHASHSEED": "0"}
    )
    result: dict[str, float] = json.loads(answer.stdout.splitlines()[-1])
    return result


def sites_a_well(sites: int) -> int:
    """The most sites in a well, up to nine, that fill all wells alike."""
    return max(number for number in range(1, 10) if sites % number == 0)


@app.default
def bench(
    *,
    kind: PlateFormat = PlateFormat.CSV,
    sites: Annotated[int, Parameter(help="Sites of about 109 cells.")] = 40,
    features: Annotated[int | None, Parameter(help="Features a compartment; JUMP's by default.")] = None,
    runs: Annotated[int, Parameter(help="Runs of each; the median is shown.")] = 5,
) -> None:
    """Measures one kind of source."""
    console = Console()
    with tempfile.TemporaryDirectory() as folder:
        plate = Path(folder) / "plate"
        made = SyntheticPlate(
            wells=sites // sites_a_well(sites), sites=sites_a_well(sites), cells=JUMP_CELLS,
            features=features or JUMP_FEATURES[kind],
            empty_site=False,
        )  # fmt: skip
        write_plate(made, plate, kind)
        size = sum(path.stat().st_size for path in plate.rglob("*") if path.is_file())
        results: dict[str, list[dict[str, float]]] = {"convert": [], "floor": []}
        for _ in range(runs):
            for work, found in results.items():
                found.append(measured(work, plate, kind, Path(folder)))
    console.print(_table(made, kind, size, results))


def _table(plate: SyntheticPlate, kind: PlateFormat, size: int, results: dict[str, list[dict[str, float]]]) -> Table:
    sites, cells = plate.wells * plate.sites, plate.cell_count()
    title = f"{kind.value}: {sites} sites, {cells} cells, {plate.features} features, {size / 1e6:.0f} MB"
    table = Table("", "wall s", "CPU s", "peak MiB", title=title)
    medians = {
        work: {name: statistics.median(run[name] for run in runs) for name in ("wall", "cpu", "peak")}
        for work, runs in results.items()
    }
    for work, found in medians.items():
        table.add_row(work, f"{found['wall']:.2f}", f"{found['cpu']:.2f}", f"{found['peak'] / 2**20:.0f}")
    one, floor = medians["convert"], medians["floor"]
    table.add_row(
        "ratio",
        f"{one['wall'] / floor['wall']:.2f}",
        f"{one['cpu'] / floor['cpu']:.2f}",
        f"{one['peak'] / floor['peak']:.2f}",
    )
    return table


if __name__ == "__main__":
    app()
