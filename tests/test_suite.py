"""The suite's own plugins: requests to the controller, shared resources, the record of calls, the number of workers."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing import AuthenticationError
from pathlib import Path

import pytest

from tests.support.controller import LocalController, RemoteController
from tests.support.recorder import Operation, Record
from tests.support.shared import Resources, Shared, Starter
from tests.support.workers import pytest_xdist_auto_num_workers

LIST, GET = ("s3", "ListObjectsV2"), ("s3", "GetObject")


def remote(name: str, function: Callable[..., object]) -> RemoteController:
    """Return a worker's view of a controller that answers requests of one name."""
    controller = LocalController()
    controller.register(name, function)
    return RemoteController(*controller.address())


def test_a_worker_gets_the_answer_of_the_controller() -> None:
    assert remote("sorted", sorted).request("sorted", (3, 1, 2)) == [1, 2, 3]


def test_an_error_in_the_controller_is_an_error_of_the_worker() -> None:
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        remote("divide", lambda: 1 / 0).request("divide")


def test_a_skip_in_the_controller_skips_the_workers_test() -> None:
    with pytest.raises(pytest.skip.Exception, match="no engine"):
        remote("start", lambda: pytest.skip("no engine")).request("start")


def test_a_stranger_without_the_key_gets_no_answer_and_does_no_harm() -> None:
    controller = LocalController()
    controller.register("one", lambda: 1)
    host, port, key = controller.address()
    with pytest.raises(AuthenticationError):
        RemoteController(host, port, b"x" * len(key)).request("one")
    assert RemoteController(host, port, key).request("one") == 1


def starter(log: list[str], name: str, needs: tuple[str, ...] = ()) -> Starter:
    """Return a starter that logs its start and its stop."""

    @contextmanager
    def start(resources: Resources) -> Iterator[str]:
        for other in needs:
            resources.get(other)
        log.append(f"start {name}")
        yield name
        log.append(f"stop {name}")

    return start


def test_a_resource_starts_once_for_all_who_request_it_at_once_and_stops_before_those_that_it_needs() -> None:
    log: list[str] = []
    resources = Resources({"emulator": starter(log, "emulator"), "applied": starter(log, "applied", ("emulator",))})
    resources.begin("applied")
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(resources.get, ["applied"] * 8)) == {"applied"}
    resources.close()
    assert log == ["start emulator", "start applied", "stop applied", "stop emulator"]


def report(nodeid: str, when: str, *calls: Operation) -> pytest.TestReport:
    report = pytest.TestReport(nodeid, ("", None, ""), {}, "passed", None, when)
    report.aws_calls = list(calls)
    return report


def test_the_record_has_the_calls_of_all_tests_that_have_ended() -> None:
    record = Record(timeout=60, grace=60)
    record.pytest_testnodeready()
    record.pytest_testnodeready()
    record.pytest_runtest_logreport(report("a", "call", LIST))
    record.pytest_runtest_logreport(report("a", "teardown"))
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(record.wait, frozenset({"a", "b"}))
        threading.Event().wait(0.1)
        assert not waiting.done()
        record.pytest_runtest_logreport(report("b", "teardown", GET))
        assert waiting.result() == {LIST, GET}


@pytest.mark.parametrize("fate", ["crashed", "ended early", "never ended"])
def test_the_record_is_incomplete_without_the_calls_of_a_test(fate: str) -> None:
    record = Record(timeout=0.1 if fate == "never ended" else 60, grace=0.1)
    record.pytest_testnodeready()
    record.pytest_testnodeready()
    record.pytest_runtest_logreport(report("a", "teardown", LIST))
    record.pytest_runtest_logreport(report("b", "call", GET))
    if fate == "crashed":
        record.pytest_runtest_logreport(report("b", "???"))
    if fate == "ended early":
        record.pytest_testnodedown()
    with pytest.raises(RuntimeError, match="the calls of 1 tests are not known: b"):
        record.wait(frozenset({"a", "b"}))


GROUPED = """
import os
import pytest
pytestmark = pytest.mark.xdist_group("queue")
@pytest.mark.parametrize("number", range(12))
def test_worker(number, tmp_path_factory):
    with open({log!r}, "a") as log:
        log.write(os.environ["PYTEST_XDIST_WORKER"] + "\\n")
"""


@pytest.mark.slow
def test_tests_of_one_group_run_in_one_worker(tmp_path: Path) -> None:
    # pytest-xdist does not tell when it cannot read the groups: tests of one queue then disturb each other.
    log = tmp_path / "workers.txt"
    (tmp_path / "test_group.py").write_text(GROUPED.format(log=str(log)))
    command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "--dist", "loadgroup", "-p", "no:cacheprovider"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    subprocess.run([*command, "test_group.py"], cwd=tmp_path, env=environment, check=True, capture_output=True)
    workers = log.read_text().split()
    assert (len(workers), len(set(workers))) == (12, 1)


@pytest.mark.parametrize(("variable", "workers"), [(None, 5), ("", 5), ("4", 4)])
def test_a_worker_more_than_cpus_runs_tests_unless_the_variable_has_their_number(
    variable: str | None, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTEST_XDIST_AUTO_NUM_WORKERS", raising=False)
    if variable is not None:
        monkeypatch.setenv("PYTEST_XDIST_AUTO_NUM_WORKERS", variable)
    wrapper = pytest_xdist_auto_num_workers()
    next(wrapper)
    with pytest.raises(StopIteration) as stopped:
        wrapper.send(4)
    assert stopped.value.value == workers


def test_a_later_resource_begins_with_the_first_use_of_another() -> None:
    controller, begun = LocalController(), list[str]()
    controller.register("begin", begun.append)
    controller.register("get", lambda name: f"the {name}")
    shared = Shared(controller, {"server"})
    assert begun == []
    assert [shared.get("bucket"), shared.get("bucket")] == ["the bucket", "the bucket"]
    assert begun == ["server"]
