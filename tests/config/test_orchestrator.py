"""Without Prefect plates run one after the other: its task runners and its blocks are refused."""

import pytest

from cytobatch.config.orchestrator import Orchestrator, check_orchestrator


@pytest.mark.parametrize("runner", [None, "sequential"])
@pytest.mark.parametrize("orchestrator", list(Orchestrator))
def test_plates_run_one_after_the_other_with_and_without_prefect(
    orchestrator: Orchestrator, runner: str | None
) -> None:
    check_orchestrator(orchestrator, runner, ())


@pytest.mark.parametrize("runner", ["threads:2", "processes:2", "dask", "dask:tcp://host:8786"])
def test_a_task_runner_needs_prefect(runner: str) -> None:
    check_orchestrator(Orchestrator.PREFECT, runner, ())
    with pytest.raises(ValueError, match=f"orchestrator: none runs plates .* the task runner is '{runner}'"):
        check_orchestrator(Orchestrator.NONE, runner, ())


def test_a_block_needs_prefect() -> None:
    check_orchestrator(Orchestrator.PREFECT, None, ["aws-credentials/lab"])
    with pytest.raises(ValueError, match=r"none does not use Prefect, but its server keeps .*'aws-credentials/lab'"):
        check_orchestrator(Orchestrator.NONE, None, ["aws-credentials/lab"])
