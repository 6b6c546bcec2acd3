"""What records plates, and what that leaves possible."""

from enum import StrEnum


class Orchestrator(StrEnum):
    """What runs and records the steps of a plate."""

    PREFECT = "prefect"
    """Prefect: each plate is a flow run, each step a task run."""
    NONE = "none"
    """The same steps without Prefect, which is not imported."""


def check_orchestrator(orchestrator: Orchestrator, task_runner: str | None) -> None:
    """Raise ValueError for a task runner other than sequential without Prefect, whose task runners they are."""
    if orchestrator is Orchestrator.NONE and task_runner not in (None, "sequential"):
        raise ValueError(
            f"orchestrator: none runs plates one after the other, but the task runner is {task_runner!r}; "
            "drop one of the two"
        )
