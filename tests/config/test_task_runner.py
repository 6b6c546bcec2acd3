"""The option `task_runner`: its text forms, and what follows from them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cytobatch.config.expand import plate_jobs
from cytobatch.config.job_spec import JobSpec, resolved_spec
from cytobatch.config.options import PlateJob, PlateOptions
from cytobatch.config.task_runner import RunnerKind, TaskRunner, common_task_runner
from cytobatch.errors import ConfigurationError, JobSpecError
from cytobatch.pipeline.resolve_jobs import parse_options
from tests.support.examples import examples

VALID = {
    "sequential": TaskRunner(),
    " Sequential ": TaskRunner(),
    "threads:4": TaskRunner(RunnerKind.THREADS, 4),
    "processes:1": TaskRunner(RunnerKind.PROCESSES, 1),
    "dask": TaskRunner(RunnerKind.DASK),
    "dask:3": TaskRunner(RunnerKind.DASK, 3),
    "dask:tcp://10.0.0.7:8786": TaskRunner(RunnerKind.DASK, None, "tcp://10.0.0.7:8786"),
    "dask:tls://head.lab:8786/": TaskRunner(RunnerKind.DASK, None, "tls://head.lab:8786"),
    "dask:tcp://[::1]:8786": TaskRunner(RunnerKind.DASK, None, "tcp://[::1]:8786"),
}
INVALID = {
    "": "is no task runner",
    "thread:2": "is no task runner",
    "threads": "has no number",
    "processes:": "is no task runner",
    "sequential:2": "has a number",
    "threads:0": "no number of plates at once",
    "threads:-1": "no number of plates at once",
    "threads:257": "no number of plates at once",
    "threads:٣": "no number of plates at once",
    "processes:2.5": "no number of plates at once",
    "threads:tcp://host:1": "no number of plates at once",
    "dask:host:8786": "no number of plates at once",
    "dask:tcp://host": "no address of a Dask scheduler",
    "dask:tcp://host:99999": "no address of a Dask scheduler",
    "dask:http://host:8786": "no address of a Dask scheduler",
    "dask:tcp://user:word@host:8786": "no address of a Dask scheduler",
}


@pytest.mark.parametrize(("text", "runner"), VALID.items())
def test_a_valid_text(text: str, runner: TaskRunner) -> None:
    assert TaskRunner.parse(text) == runner
    assert PlateOptions(task_runner=text).task_runner == str(runner)


@pytest.mark.parametrize(("text", "why"), INVALID.items())
def test_an_invalid_text_is_refused_by_name(text: str, why: str) -> None:
    with pytest.raises(JobSpecError, match="bad value for 'task_runner'") as error:
        parse_options({"task_runner": text}, "command line")
    assert why in error.value.why


counts = st.none() | st.integers(1, 256)
addresses = st.builds(
    "{}://{}:{}".format,
    st.sampled_from(["tcp", "tls"]),
    st.from_regex("[a-z]{1,9}", fullmatch=True),
    st.integers(1, 65535),
)
runners = (
    st.just(TaskRunner())
    | st.builds(TaskRunner, st.sampled_from([RunnerKind.THREADS, RunnerKind.PROCESSES]), st.integers(1, 256))
    | st.builds(TaskRunner, st.just(RunnerKind.DASK), counts)
    | st.builds(TaskRunner, st.just(RunnerKind.DASK), st.none(), addresses)
)


@settings(max_examples=examples(100))
@given(runners)
def test_the_text_of_a_runner_is_parsed_to_the_same_runner(runner: TaskRunner) -> None:
    assert TaskRunner.parse(str(runner)) == runner


@pytest.mark.parametrize(
    ("text", "elsewhere", "private"),
    [
        ("sequential", False, True),
        ("dask:2", False, True),
        ("dask:tcp://127.0.0.1:8786", False, True),
        ("dask:tcp://localhost:8786", False, True),
        ("dask:tcp://[::1]:8786", False, True),
        ("dask:tcp://10.0.0.7:8786", True, False),
        ("dask:tls://head:8786", True, True),
    ],
)
def test_a_scheduler_elsewhere_is_recognised(text: str, elsewhere: bool, private: bool) -> None:
    runner = TaskRunner.parse(text)
    assert (runner.is_elsewhere, runner.is_private) == (elsewhere, private)


def test_all_plates_of_a_run_have_one_task_runner() -> None:
    assert common_task_runner([None, "sequential"]) == TaskRunner()
    assert common_task_runner(["dask:2", "dask:2"]) == TaskRunner(RunnerKind.DASK, 2)
    with pytest.raises(ConfigurationError, match="different task runners") as error:
        common_task_runner(["dask:2", None])
    assert error.value.why == "dask:2, sequential"


def test_a_spec_names_it_once_and_a_flag_wins() -> None:
    defaults = PlateOptions(task_runner="threads:2", destination="out/{plate}")
    spec = JobSpec(defaults=defaults, plates=(PlateOptions(source="a"), PlateOptions(source="b")))
    flags = PlateOptions(task_runner="dask")
    assert [job.task_runner for job in plate_jobs(spec, PlateOptions(), None, "spec", lambda *_: [])] == [
        "threads:2"
    ] * 2
    assert [job.task_runner for job in plate_jobs(spec, flags, None, "spec", lambda *_: [])] == ["dask"] * 2


def test_it_decides_no_bytes_and_does_not_go_to_aws_batch() -> None:
    job = PlateJob(source="a", destination="b", task_runner="threads:2")
    assert "task_runner" not in job.output_options()
    assert resolved_spec([job]).plates[0].task_runner is None
