from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cytobatch.batch.aws.deployment import Compute
from cytobatch.batch.aws.sizing import Size, compute_for, need_of, size_for, size_on
from cytobatch.config.options import PlateJob
from cytobatch.errors import InputDataError
from cytobatch.pipeline.plate import plan_plate
from tests.support.plates import write_sites
from tests.support.submissions import GIB, deployment, need

# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-cpu-memory-error.html
FARGATE = {1: range(2, 9), 2: range(4, 17), 4: range(8, 31)}


def test_a_need_is_that_of_the_plan(tmp_path: Path) -> None:
    source = write_sites(tmp_path / "in", 3, 4)
    job = PlateJob(source=str(source), destination="/out")
    _, plan = plan_plate(job, tmp_path)
    plate_need = need_of(job, plan)
    assert plate_need.source_bytes == sum(path.stat().st_size for path in source.rglob("*.csv"))
    assert plate_need.scratch_bytes >= 2 * plate_need.source_bytes
    assert plate_need.size == Size(1, 4096)


@given(st.integers(0, 10**12))
def test_every_size_is_one_that_fargate_has(size: int) -> None:
    machine = size_for(size)
    assert machine.memory_mib % 1024 == 0
    assert machine.memory_mib // 1024 in FARGATE[machine.vcpus]
    assert size_for(size + 10**9) >= machine


def test_an_array_gets_a_size_that_is_enough_for_each_plate() -> None:
    plates = [need(size=Size(1, 4096)), need(size=Size(4, 16384)), need()]
    assert size_on(Compute.FARGATE, plates) == Size(4, 16384)
    assert size_on(Compute.EC2_SPOT, plates[:1]) == Size(8, 24576)


def test_the_cheapest_disk_that_is_large_enough_is_taken() -> None:
    whole = deployment()
    assert compute_for(need(), whole, None) is Compute.FARGATE_SPOT
    assert compute_for(need(scratch=201 * GIB), whole, None) is Compute.EC2_SPOT
    assert compute_for(need(), whole, Compute.EC2_SPOT) is Compute.EC2_SPOT
    kinds = {Compute.FARGATE: "arn"}
    only = deployment(queues=kinds, definitions=kinds, scratch_gib={Compute.FARGATE: 200})
    assert compute_for(need(), only, None) is Compute.FARGATE


@pytest.mark.parametrize(("scratch", "wanted"), [(2000 * GIB, None), (300 * GIB, Compute.FARGATE)])
def test_a_plate_too_large_for_every_disk_is_an_error(scratch: int, wanted: Compute | None) -> None:
    with pytest.raises(InputDataError, match="no scratch disk is large enough") as caught:
        compute_for(need(7, scratch=scratch), deployment(), wanted)
    assert caught.value.where == "P7"
    assert "GiB" in caught.value.why
