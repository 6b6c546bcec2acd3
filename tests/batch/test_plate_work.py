"""A plate as work for any process: what travels, what is refused, and how it is stopped."""

import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cytobatch import __version__
from cytobatch.batch.plate_events import EventListener, PlateEvent, PlateNotice
from cytobatch.batch.plate_work import (
    Placement,
    PlateWork,
    convert_work,
    report_of,
    running_plates,
    stop_plates,
)
from cytobatch.config.options import PlateJob
from cytobatch.errors import ConfigurationError, InternalError, StorageError
from cytobatch.pipeline.plate import run_plate
from cytobatch.report.model import RunReport
from tests.support.examples import examples
from tests.support.plates import write_sites

texts = st.text(min_size=1, max_size=20)
paths = st.text(st.characters(codec="utf-8", exclude_characters="\0:"), min_size=1, max_size=20)
jobs = st.builds(
    PlateJob,
    source=paths,
    destination=paths.filter(lambda text: not text.endswith(".parquet")),
    plate=st.none() | texts,
    compartments=st.none() | st.lists(texts, max_size=3).map(tuple),
    memory=st.none() | st.integers(2**26, 2**40),
    scratch_dir=st.none() | st.just(Path("/scratch")),
    extra_args=st.dictionaries(texts, texts, max_size=2),
    sort_output=st.booleans(),
)


@settings(max_examples=examples(50))
@given(jobs)
def test_a_job_arrives_as_it_was_sent(job: PlateJob) -> None:
    arrived = PlateWork.parse(PlateWork.of(job, "run", Placement.PROCESS).model_dump_json()).plate_job()
    assert arrived == job
    assert arrived.output_options() == job.output_options()


def test_the_task_runner_stays_behind() -> None:
    job = PlateJob(source="in", destination="out", task_runner="threads:2")
    assert PlateWork.of(job, "run", Placement.THREAD).plate_job().task_runner is None


def test_work_of_another_version_is_refused_even_if_it_has_another_form() -> None:
    with pytest.raises(ConfigurationError, match="another version of cytobatch") as error:
        PlateWork.parse(json.dumps({"version": "999.0", "something": "else"}))
    assert error.value.why == f"the worker has {__version__}, and the run 999.0"
    assert error.value.where.startswith("worker on ")


def work() -> tuple[PlateWork, PlateJob]:
    job = PlateJob(source="in", destination="out", plate="P1")
    return PlateWork.of(job, "run-1", Placement.THREAD), job


def test_a_report_comes_back_without_what_may_be_long(tmp_path: Path) -> None:
    job = PlateJob(source=str(write_sites(tmp_path / "in", 2)), destination=str(tmp_path / "out"))
    sent = PlateWork.of(job, "run-1", Placement.THREAD)
    events: list[PlateEvent] = []

    def convert(job: PlateJob, on_event: EventListener) -> RunReport:
        on_event(PlateNotice(job.label, "begins"))
        return run_plate(job)

    report = report_of(convert_work(sent, job, convert, events.append))
    whole = RunReport.model_validate_json((tmp_path / "out" / "run-report.json").read_text())
    assert events == [PlateNotice("in", "begins")]
    assert (report.counts, report.outputs, report.warnings) == (whole.counts, whole.outputs, whole.warnings)
    assert len(whole.ledger) == 8
    assert report.ledger == []


def test_an_error_of_cytobatch_comes_back_as_it_is_and_any_other_as_an_internal_error() -> None:
    error = StorageError("disk is full", where="/scratch")

    def fails(*_: object) -> NoReturn:
        raise error

    def breaks(*_: object) -> NoReturn:
        raise ZeroDivisionError("division by zero")

    with pytest.raises(StorageError) as raised:
        convert_work(*work(), fails, print)
    assert raised.value is error
    with pytest.raises(InternalError, match="unexpected ZeroDivisionError: P1"):
        convert_work(*work(), breaks, print)


def test_plates_of_a_run_are_stopped_and_clean_up_and_others_go_on() -> None:
    ended = dict[str, str]()
    go_on = threading.Event()

    def convert(run: str) -> None:
        def converter(*_: object) -> NoReturn:
            try:
                while not go_on.is_set():
                    time.sleep(0.01)
            finally:
                ended[run] = "cleaned up"
            raise StorageError("went on")

        job = PlateJob(source="in", destination="out", plate=run)
        try:
            convert_work(PlateWork.of(job, run, Placement.THREAD), job, converter, print)
        except (StorageError, InternalError) as error:
            ended[run] += f", {error.what}"

    threads = [threading.Thread(target=convert, args=(run,)) for run in ("one", "two")]
    for thread in threads:
        thread.start()
    while running_plates("one") + running_plates("two") < 2:
        time.sleep(0.01)
    stop_plates("one")
    threads[0].join(10)
    assert (running_plates("one"), running_plates("two")) == (0, 1)
    go_on.set()
    threads[1].join(10)
    assert ended == {"one": "cleaned up, the plate was stopped", "two": "cleaned up, went on"}


TRACED = """
import sys
import threading
from cytobatch.batch.plate_work import Placement, PlateWork, convert_work, stop_plates
from cytobatch.config.options import PlateJob
from cytobatch.errors import CytobatchError, StorageError

def convert(*_):
    if sys.argv[1] == "stopped":
        stop_plates("one")
    raise StorageError("ends")

job = PlateJob(source="in", destination="out")
try:
    convert_work(PlateWork.of(job, "one", Placement.THREAD), job, convert, print)
except CytobatchError as error:
    print(error.what)
sys.settrace(lambda *_: None)
threading.current_thread()
"""


@pytest.mark.parametrize(("mode", "what"), [("ended", "ends"), ("stopped", "the plate was stopped")])
def test_a_thread_can_be_traced_after_its_plate(mode: str, what: str) -> None:
    command = [sys.executable, "-c", TRACED, mode]
    assert subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout == f"{what}\n"


def test_a_plate_that_ends_while_it_is_stopped_leaves_a_thread_that_goes_on() -> None:
    def convert(*_: object) -> NoReturn:
        raise StorageError("ends")

    for _ in range(200):
        thread = threading.Thread(target=stop_plates, args=("run-1",))
        thread.start()
        with pytest.raises((StorageError, InternalError)):
            convert_work(*work(), convert, print)
        thread.join()
    assert running_plates("run-1") == 0
