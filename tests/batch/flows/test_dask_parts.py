"""One plate in parts on a Dask cluster: real workers, some of which are killed, and the report of one machine."""

import hashlib
import json
import pickle
import re
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from cytobatch.batch.plate_work import worker_lost
from cytobatch.config.options import PlateJob
from cytobatch.errors import ExitCode, StorageError, WorkerVersionError
from cytobatch.pipeline.plate import run_plate
from dask_processes import DaskProcesses, dask_processes
from tests.support.plates import site_tables, with_column, write_site, write_sites
from tests.support.program import lines_to, run_program, started_program

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("prefect_dask") is None, reason="prefect-dask is not installed"),
]

RANGE = 1500
"""Source bytes of about three sites."""
OF_A_MACHINE = {"started", "finished", "seconds", "peak_memory_bytes", "limits", "report", "page", "destination"}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskProcesses]:
    with dask_processes(tmp_path_factory.mktemp("cluster"), 2) as processes:
        yield processes


def comparable(report: Mapping[str, Any]) -> dict[str, Any]:
    """All of a report but times, the machine, and the destination."""
    kept = {key: value for key, value in report.items() if key not in OF_A_MACHINE}
    kept["options"] = {key: value for key, value in report["options"].items() if key != "destination"}
    kept["outputs"] = [
        {**output, "path": Path(output["path"]).name, "stored": [file["sha256"] for file in output["stored"]]}
        for output in report["outputs"]
    ]
    return kept


def report_in(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "run-report.json").read_text()))


def with_text_in_nuclei(source: Path, *sites: int) -> Path:
    """Make the tables of some sites invalid behind their first row, which only the conversion finds."""
    for site in sites:
        path = source / f"P1-A01-{site}" / "Nuclei.csv"
        path.write_text(path.read_text().replace(f"{1000 * site + 200}", "text"))
    return source


def with_fraction(source: Path) -> Path:
    """Write a plate whose last site has a fraction in a count."""
    for number, counts in enumerate([[1.0, 2.0, 3.0]] * 5 + [[1.0, 2.5, 3.0]], 1):
        tables = site_tables(offset=1000.0 * number)
        tables["Image"] = with_column(tables["Image"], "Metadata_Site", pa.array([number]))
        tables["Cells"] = tables["Cells"].append_column("Children_Speckles_Count", pa.array(counts))
        write_site(source / f"P1-A01-{number}", tables)
    return source


def test_plates_in_parts_have_the_outputs_and_reports_of_one_machine(cluster: DaskProcesses, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    plates: dict[str, dict[str, Any]] = {
        "PLAIN": {"well_profiles": "median"},
        "FAILED": {"max_failed_exports": 2},
        "MANY": {"max_failed_exports": 1},
        "FRACTION": {},
        "APART": {"concat": False},
        "SMALL": {"range_size": 2**20},
        "NEVER": {"split": "never"},
    }
    for name in plates:
        write_sites(folder / name, 6) if name != "FRACTION" else with_fraction(folder / name)
    for name in ("FAILED", "MANY"):
        with_text_in_nuclei(folder / name, 2, 5)
    given = [{"plate": name, "source": str(folder / name), **options} for name, options in plates.items()]
    defaults = {"destination": str(tmp_path / "out" / "{plate}"), "split_size": 0, "range_size": RANGE}
    spec = json.dumps({"defaults": defaults, "plates": given})
    done = run_program("run", "--job-spec", spec, "--task-runner", f"dask:{cluster.address}", folder=tmp_path)
    assert done.returncode == 3, done.stderr
    assert "at least 2 of 6 exports failed" in done.stderr
    assert "1 of 7 plates failed" in done.stderr
    assert len(re.findall(r"^FRACTION: is converted in \d+ parts$", done.stderr, re.MULTILINE)) == 2
    assert "APART: is converted on one machine: concat is off" in done.stderr
    assert "SMALL: is converted on one machine: its valid exports are one range" in done.stderr
    assert not re.search("NEVER: (part|is converted)", done.stderr)
    for name, options in plates.items():
        if name == "MANY":
            assert not (tmp_path / "out" / name).exists()
            continue
        every = {"source": str(folder / name), "plate": name, "range_size": RANGE, "split_size": 0, **options}
        report = run_plate(PlateJob(destination=str(tmp_path / "one" / name), **every))
        assert comparable(report_in(tmp_path / "out" / name)) == comparable(json.loads(report.to_json())), name
        assert {path.name for path in (tmp_path / "out" / name).iterdir()} == {
            path.name for path in (tmp_path / "one" / name).iterdir()
        }


@pytest.mark.long
def test_parts_go_through_a_bucket(
    tmp_path: Path, s3: Any, bucket: str, aws: str, upload: Callable[[Path, str], str]
) -> None:
    source = upload(write_sites(tmp_path / "in", 8), "in")
    one = run_plate(PlateJob(source=source, destination=str(tmp_path / "one"), range_size=RANGE))
    flags = ["run", "--source", source, "--destination", f"s3://{bucket}/out", "--endpoint-url", aws]
    flags += ["--split", "always", "--range-size", str(RANGE), "--task-runner", "dask:2"]
    done = run_program(*flags, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(re.findall(r"in: part \d starts on", done.stderr)) == 3
    keys = [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket, Prefix="out")["Contents"]]
    assert sorted(keys) == ["out/columns.json", "out/report.html", "out/run-report.json", "out/single_cells.parquet"]
    report = json.loads(s3.get_object(Bucket=bucket, Key="out/run-report.json")["Body"].read())
    sums = {Path(output["path"]).name: output["sha256"] for output in report["outputs"]}
    assert sums == {Path(output.path).name: output.sha256 for output in one.outputs}


def test_without_a_cluster_a_run_says_that_it_splits_nothing(tmp_path: Path) -> None:
    source = write_sites(tmp_path / "in", 2)
    flags = ["--source", str(source), "--destination", str(tmp_path / "out"), "--orchestrator", "none"]
    done = run_program("run", *flags, "--split", "always", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "in: is converted on one machine: split needs workers of a Dask cluster" in done.stderr
    assert "one machine" not in run_program("run", *flags, folder=tmp_path).stderr


def test_a_worker_with_another_pyarrow_is_refused() -> None:
    parts: Any = import_module("cytobatch.batch.flows.dask_parts")
    parts.check_pyarrow(pa.__version__)
    with pytest.raises(WorkerVersionError, match="another version of pyarrow"):
        parts.check_pyarrow("0.9")


def test_a_plate_whose_part_has_lost_several_workers_is_not_tried_again() -> None:
    plates: Any = import_module("cytobatch.batch.flows.plates")
    lost = worker_lost("P1", "KilledWorker", "the worker of part 3")
    assert lost.exit_code is ExitCode.STORAGE
    assert "the worker of part 3 was lost: P1" in str(lost)
    assert not plates._is_retried(None, None, SimpleNamespace(data=lost))
    assert plates._is_retried(None, None, SimpleNamespace(data=StorageError("store failed")))


class Opened:
    """Notes that it was unpickled."""

    opened = False

    def __setstate__(self, _state: object) -> None:
        Opened.opened = True


def test_a_survey_that_has_changed_on_its_way_is_not_unpickled() -> None:
    parts: Any = import_module("cytobatch.batch.flows.dask_parts")
    changed = Opened()
    changed.__dict__["state"] = 1
    content = pickle.dumps(changed)
    with pytest.raises(StorageError, match="changed on its way"):
        parts.read_plate(content, "0" * 64, "P1")
    assert not Opened.opened
    parts.read_plate(content, hashlib.sha256(content).hexdigest(), "P1")
    assert Opened.opened


def running(cluster: DaskProcesses, source: Path, out: Path) -> AbstractContextManager[subprocess.Popen[str]]:
    """Run the program on a cluster with a plate that takes a while, in parts."""
    paths = ("--source", str(source), "--destination", str(out))
    parts = ("--split", "always", "--range-size", "40000", "--task-runner", f"dask:{cluster.address}")
    return started_program("run", *paths, *parts, folder=out.parent)


def address_in(line: str) -> str:
    (address,) = re.findall(r"starts on .* \((.*)\)$", line.strip())
    return str(address)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sites(tmp_path_factory.mktemp("large") / "in", 300, 10)


def assert_done(process: subprocess.Popen[str], source: Path, out: Path, tmp_path: Path) -> str:
    """Assert that a run ends well, with the outputs of one machine and nothing else, and return its other lines."""
    assert process.stderr is not None
    rest = process.stderr.read()
    assert process.wait() == 0, rest
    one = run_plate(PlateJob(source=str(source), destination=str(tmp_path / "one"), range_size=40000))
    assert comparable(report_in(out)) == comparable(json.loads(one.to_json()))
    names = ["columns.json", "report.html", "run-report.json", "single_cells.parquet"]
    assert sorted(path.name for path in out.iterdir()) == names
    return rest


@pytest.mark.long
def test_a_part_of_a_worker_that_is_killed_is_converted_by_another(large: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with dask_processes(tmp_path, 3) as cluster, running(cluster, large, out) as process:
        publisher = address_in(lines_to(process, "in: starts on")[-1])
        line = lines_to(process, rf"part \d+ starts on (?!.*{publisher})")[-1]
        cluster.workers[address_in(line)].send_signal(signal.SIGKILL)
        rest = assert_done(process, large, out, tmp_path)
    assert "in: starts on" not in rest


@pytest.mark.long
def test_a_plate_whose_publisher_is_killed_begins_again_and_leaves_no_parts(large: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with dask_processes(tmp_path, 3) as cluster, running(cluster, large, out) as process:
        publisher = address_in(lines_to(process, "in: starts on")[-1])
        lines_to(process, r"part \d+ starts on")
        cluster.workers[publisher].send_signal(signal.SIGKILL)
        rest = assert_done(process, large, out, tmp_path)
    assert "in: starts on" in rest


@pytest.mark.long
def test_sigterm_stops_the_parts_and_removes_them(large: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with dask_processes(tmp_path, 2) as cluster, running(cluster, large, out) as process:
        lines_to(process, r"part [34] starts on")
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 143
        assert not out.exists()
        assert [worker.poll() for worker in cluster.workers.values()] == [None, None]
