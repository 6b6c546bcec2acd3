"""Group plates into array jobs, split large arrays, and build the request of each job. Pure.

Limits: https://docs.aws.amazon.com/batch/latest/userguide/service_limits.html (an array has 2 to 10,000 children) and
https://docs.aws.amazon.com/batch/latest/APIReference/API_SubmitJob.html (a name has up to 128 of A-Z a-z 0-9 - _).
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from cytobatch.batch.aws.deployment import Compute, Deployment
from cytobatch.batch.aws.sizing import PlateNeed, Size, compute_for, size_on
from cytobatch.config.variables import PREFIX
from cytobatch.errors import JobSpecError

LARGEST_ARRAY = 10_000
_LONGEST_NAME = 128
_PRIORITY = 1


@dataclass(frozen=True, slots=True)
class ArrayJob:
    """A planned job: its name, the plates of its children in order, and their machines.

    `spec` is the future URI of the resolved spec of these plates. A job of one plate is a plain job without children.
    """

    name: str
    spec: str
    compute: Compute
    size: Size
    plates: tuple[PlateNeed, ...]


def arrays_of(
    needs: Sequence[PlateNeed], deployment: Deployment, wanted: Compute | None, folder: str, name: str
) -> tuple[ArrayJob, ...]:
    """Return the jobs of a submission whose files are in `folder`: one array or several for each kind of compute.

    Raises JobSpecError if the deployment lacks the `wanted` compute, InputDataError if no scratch disk is large enough.
    """
    if wanted is not None and wanted not in deployment.queues:
        raise JobSpecError(
            f"no queue of {wanted}",
            where=deployment.name,
            why=f"it has {', '.join(sorted(deployment.queues))}",
            remedy="choose one of these, or set it up with Terraform",
        )
    kinds = [compute_for(need, deployment, wanted) for need in needs]
    by_compute = {kind: [need for need, own in zip(needs, kinds, strict=True) if own is kind] for kind in Compute}
    slices = [
        (kind, plates[first : first + LARGEST_ARRAY])
        for kind, plates in by_compute.items()
        for first in range(0, len(plates), LARGEST_ARRAY)
    ]
    return tuple(
        ArrayJob(
            name=_name(name, number if len(slices) > 1 else None),
            spec=f"{folder}/plates-{number}.json",
            compute=kind,
            size=size_on(kind, needs_of_slice),
            plates=tuple(needs_of_slice),
        )
        for number, (kind, needs_of_slice) in enumerate(slices)
    )


def _name(text: str, number: int | None) -> str:
    end = "" if number is None else f"-{number}"
    safe = re.sub(r"[^A-Za-z0-9_-]+", "-", f"cytobatch-{text}").strip("-")
    return safe[: _LONGEST_NAME - len(end)] + end


def request_of(array: ArrayJob, deployment: Deployment, share: str | None) -> dict[str, Any]:
    """Return the arguments of SubmitJob."""
    requirements = (("VCPU", array.size.vcpus), ("MEMORY", array.size.memory_mib))
    share = share or deployment.share_identifier
    return {
        "jobName": array.name,
        "jobQueue": deployment.queues[array.compute],
        "jobDefinition": deployment.definitions[array.compute],
        "parameters": {"spec": array.spec},
        "containerOverrides": {
            "resourceRequirements": [{"type": kind, "value": str(value)} for kind, value in requirements],
            # The spec is the submitter's own, in the folder that submitters alone may write to.
            "environment": [{"name": f"{PREFIX}TRUST_SPEC", "value": "true"}],
        },
        **({"arrayProperties": {"size": len(array.plates)}} if len(array.plates) > 1 else {}),
        # A fair-share queue requires both, and any other queue refuses either.
        **({"shareIdentifier": share, "schedulingPriorityOverride": _PRIORITY} if share else {}),
    }


def plates_in(arrays: Iterable[ArrayJob]) -> int:
    """Return the number of plates in all arrays."""
    return sum(len(array.plates) for array in arrays)
