"""Without Prefect plates run one after the other: its task runners are refused."""

import pytest

from cytobatch.config.orchestrator import Orchestrator, check_orchestrator


@pytest.mark.parametrize("runner", [None, "sequential"])
@pytest.mark.parametrize("orchestrator", list(Orchestrator))
def test_plates_run_one_after_the_other_with_and_without_prefect(
    orchestrator: Orchestrator, runner: str | None
) -> None:
    check_orchestrator(orchestrator, runner)


@pytest.mark.parametrize("runner", ["threads:2", "processes:2", "dask", "dask:tcp://host:8786"])
def test_a_task_runner_needs_prefect(runner: str) -> None:
    check_orchestrator(Orchestrator.PREFECT, runner)
    with pytest.raises(ValueError, match=f"orchestrator: none runs plates .* the task runner is '{runner}'"):
        check_orchestrator(Orchestrator.NONE, runner)
