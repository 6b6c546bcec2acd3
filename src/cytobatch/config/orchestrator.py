"""What records plates, and what that leaves possible."""

from collections.abc import Sequence
from enum import StrEnum

from cytobatch.config.bad_values import OptionConflictError


class Orchestrator(StrEnum):
    """What runs and records the steps of a plate."""

    PREFECT = "prefect"
    """Prefect: each plate is a flow run, each step a task run."""
    NONE = "none"
    """The same steps without Prefect, which is not imported."""


def check_orchestrator(orchestrator: Orchestrator, task_runner: str | None, blocks: Sequence[str]) -> None:
    """Raise ValueError for what is Prefect's without Prefect: a task runner, or a block with credentials."""
    if orchestrator is Orchestrator.NONE and blocks:
        raise OptionConflictError(
            "orchestrator",
            f"none does not use Prefect, but its server keeps the credentials {blocks[0]!r}",
            "drop one of the two, or name an AWS profile",
        )
    if orchestrator is Orchestrator.NONE and task_runner not in (None, "sequential"):
        raise OptionConflictError(
            "orchestrator",
            f"none runs plates one after the other, but the task runner is {task_runner!r}",
            "drop one of the two",
        )
