"""What a run costs before and after its work: a tiny plate, the whole process, without and with a Prefect server.

Without `PREFECT_API_URL` a run brings its own server; with it, it reports to one that is up. The two are run in turn,
so that a machine that is slower for a while is slower for both; medians are shown. Wall is from the start of the
process to the first row of Parquet on the scratch disk, and to its exit; CPU is user and system, children included.
"""

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter
from rich.console import Console
from rich.table import Table

from cytobatch.synthetic import PlateFormat, SyntheticPlate, write_plate

START_SECONDS = 180
POLL_SECONDS = 0.005
MAGIC_BYTES = 4  # what a Parquet file holds before its first row
OWN = ("CYTOBATCH_", "PREFECT_")

app = App(name="start", help=__doc__)


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds of one run, or the medians of many."""

    first_row: float
    exit: float
    cpu: float


def clean_environment() -> dict[str, str]:
    """The environment without settings of cytobatch and Prefect."""
    return {name: value for name, value in os.environ.items() if not name.startswith(OWN)}


@contextmanager
def prefect_server(folder: Path) -> Iterator[str]:
    """Within it, a Prefect server as a user would have one answers at the URL of its API."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "prefect",
        "server",
        "start",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--no-ui",
    ]
    environment = clean_environment() | {
        "PREFECT_HOME": str(folder), "DO_NOT_TRACK": "1", "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    }  # fmt: skip
    url = f"http://127.0.0.1:{port}/api"
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            wait_for(f"{url}/health", process)
            yield url
        finally:
            process.terminate()
            process.wait(30)


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    """Waits until a server answers."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"no answer from {url}")


def one_run(plate: Path, environment: Mapping[str, str]) -> Cost:
    """One run of the program in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        scratch, out, log = (Path(folder) / name for name in ("scratch", "out", "log"))
        scratch.mkdir()
        command = [
            sys.executable, "-m", "cytobatch", "run", "--source", str(plate), "--destination", str(out),
            "--scratch-dir", str(scratch),
        ]  # fmt: skip
        with log.open("wb") as told:
            start = time.monotonic()
            process = subprocess.Popen(command, env={**environment}, stdout=told, stderr=subprocess.STDOUT)
            first, cpu = watched(process.pid, scratch, start)
            end = time.monotonic()
        process.wait()
        if not (out / "run-report.json").exists():
            raise RuntimeError(f"the run failed:\n{log.read_text()}")
    return Cost(first, end - start, cpu)


def watched(pid: int, scratch: Path, start: float) -> tuple[float, float]:
    """Seconds from the start to the first row under the folder, and of CPU when the process has ended."""
    first = 0.0
    while True:
        if not first and any(path.stat().st_size > MAGIC_BYTES for path in written(scratch)):
            first = time.monotonic() - start
        ended, _, used = os.wait4(pid, os.WNOHANG)
        if ended:
            return first, used.ru_utime + used.ru_stime
        time.sleep(POLL_SECONDS)


def written(scratch: Path) -> list[Path]:
    """The Parquet files that a run has begun."""
    try:
        return list(scratch.glob("*/out/*.parquet"))
    except FileNotFoundError:  # the run just removed its folders
        return []


def costs(runs: int, variants: Mapping[str, Mapping[str, str]], plate: Path) -> dict[str, Cost]:
    """The medians of the runs of each variant, which is a name and what its environment adds."""
    found: dict[str, list[Cost]] = {name: [] for name in variants}
    for _ in range(runs):
        for name, added in variants.items():
            found[name].append(one_run(plate, clean_environment() | dict(added)))
    return {name: median(many) for name, many in found.items()}


def median(many: list[Cost]) -> Cost:
    """The median of each figure."""
    return Cost(*(statistics.median(figures) for figures in zip(*map(astuple, many), strict=True)))


def start_costs(runs: int = 5) -> dict[str, Cost]:
    """The medians without a server and with one, and their ratio."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "server"
        home.mkdir()
        plate = Path(folder) / "plate"
        write_plate(SyntheticPlate(), plate, PlateFormat.CSV)
        with prefect_server(home) as url:
            medians = costs(runs, {"no server": {}, "server": {"PREFECT_API_URL": url}}, plate)
    one, other = medians["no server"], medians["server"]
    return medians | {"ratio": Cost(*(a / b for a, b in zip(astuple(one), astuple(other), strict=True)))}


@app.default
def main(
    *,
    runs: Annotated[int, Parameter(help="Runs of each; the median is shown.")] = 5,
    as_json: Annotated[bool, Parameter(name="--json", help="Print JSON in place of a table.")] = False,
) -> None:
    """Measures the fixed cost of a run."""
    found = start_costs(runs)
    if as_json:
        print(json.dumps({name: asdict(cost) for name, cost in found.items()}))
        return
    table = Table("", "first row s", "exit s", "CPU s", title="tiny plate, process start to")
    for name, cost in found.items():
        table.add_row(name, *(f"{figure:.2f}" for figure in astuple(cost)))
    Console().print(table)


if __name__ == "__main__":
    app()
