"""Choose the machine for a plate: pure functions of its plan.

Fargate's sizes: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-cpu-memory-error.html
"""

from collections.abc import Iterable
from dataclasses import dataclass

from cytobatch.batch.aws.deployment import Compute, Deployment
from cytobatch.config.options import PlateJob
from cytobatch.engine.resources import ResourceLimits
from cytobatch.errors import InputDataError
from cytobatch.formats.base import ConversionPlan
from cytobatch.pipeline.scratch_estimate import scratch_need

_GIB = 2**30
_MARGIN = 1.1
"""File systems take a part of a disk, and on Fargate the container's own layers are on the scratch disk."""


@dataclass(frozen=True, slots=True, order=True)
class Size:
    """The machine of a job: whole vCPUs, and memory in MiB, in one of Fargate's combinations."""

    vcpus: int
    memory_mib: int


# Memory is not the bottleneck (0.7 GiB with 2 workers, however large the plate). Four GiB a vCPU leave room for users'
# own SQL and for wide rows, and cost a third of the vCPUs.
_SIZES = ((2 * _GIB, Size(1, 4096)), (20 * _GIB, Size(2, 8192)))
_LARGEST = Size(4, 16384)

# Jobs on one host share its scratch disk, and vCPUs do not limit their shares. A job takes more than half of a host
# with 8 vCPUs and 32 GiB, the kind that Terraform sets up, so that a second one does not fit.
_WHOLE_HOST = Size(8, 24576)


@dataclass(frozen=True, slots=True)
class PlateNeed:
    """A plate with the bytes of its source, the size of its machine, and its scratch disk in bytes."""

    job: PlateJob
    source_bytes: int
    size: Size
    scratch_bytes: int


def size_for(source_bytes: int) -> Size:
    """Return the machine size for a plate of `source_bytes`."""
    return next((size for most, size in _SIZES if source_bytes <= most), _LARGEST)


def need_of(job: PlateJob, plan: ConversionPlan) -> PlateNeed:
    """Return the needs of a plate. `job` is the submitted job, with a workspace as its source if it has a batch."""
    size = size_for(plan.size)
    limits = ResourceLimits(size.vcpus, size.memory_mib * 2**20)
    scratch = scratch_need(plan, remote=True, table_bytes=limits.table_bytes)
    return PlateNeed(job, plan.size, size, round(_MARGIN * scratch.total))


def size_on(compute: Compute, needs: Iterable[PlateNeed]) -> Size:
    """Return the size that is large enough for each of the plates; on EC2 a whole host."""
    return _WHOLE_HOST if compute is Compute.EC2_SPOT else max(need.size for need in needs)


def compute_for(need: PlateNeed, deployment: Deployment, wanted: Compute | None) -> Compute:
    """Return the kind of machine for a plate: `wanted`, else the cheapest one with a large enough scratch disk.

    Raises InputDataError if every scratch disk is too small.
    """
    kinds = [wanted] if wanted else [kind for kind in _BY_PRICE if kind in deployment.queues]
    for kind in kinds:
        if need.scratch_bytes <= deployment.scratch_gib[kind] * _GIB:
            return kind
    disks = ", ".join(f"{kind} {deployment.scratch_gib[kind]} GiB" for kind in kinds)
    raise InputDataError(
        "no scratch disk is large enough",
        where=need.job.label,
        why=f"the plate takes {need.scratch_bytes / _GIB:,.0f} GiB at most, there is {disks}",
        remedy="raise the scratch disk of EC2 Spot with Terraform",
    )


_BY_PRICE = (Compute.FARGATE_SPOT, Compute.FARGATE, Compute.EC2_SPOT)
"""EC2 Spot comes last, for plates too large for Fargate's disks, because a Fargate machine starts in a minute."""
