import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cytobatch.batch.aws.array_jobs import LARGEST_ARRAY, arrays_of, plates_in, request_of
from cytobatch.batch.aws.deployment import Compute
from cytobatch.batch.aws.sizing import PlateNeed, Size
from cytobatch.errors import JobSpecError
from tests.support.submissions import GIB, deployment, need

FOLDER = "s3://results/jobs/x"


def test_one_plate_is_a_plain_job_and_several_are_an_array() -> None:
    (plain,) = arrays_of([need()], deployment(), None, FOLDER, "B1")
    assert "arrayProperties" not in request_of(plain, deployment(), None)
    (array,) = arrays_of([need(0), need(1)], deployment(), None, FOLDER, "B1")
    request = request_of(array, deployment(), None)
    assert request["arrayProperties"] == {"size": 2}
    assert request["parameters"] == {"spec": "s3://results/jobs/x/plates-0.json"}
    assert request["jobQueue"].endswith("lab-fargate_spot")
    assert request["containerOverrides"]["resourceRequirements"] == [
        {"type": "VCPU", "value": "2"},
        {"type": "MEMORY", "value": "8192"},
    ]
    assert request["containerOverrides"]["environment"] == [{"name": "CYTOBATCH_TRUST_SPEC", "value": "true"}]
    assert "shareIdentifier" not in request


def test_a_fair_queue_has_a_share() -> None:
    (array,) = arrays_of([need()], deployment(), None, FOLDER, "B1")
    fair = request_of(array, deployment(share_identifier="all"), None)
    assert (fair["shareIdentifier"], fair["schedulingPriorityOverride"]) == ("all", 1)
    assert request_of(array, deployment(share_identifier="all"), "mine")["shareIdentifier"] == "mine"
    assert "schedulingPriorityOverride" not in request_of(array, deployment(), None)


@given(st.integers(1, 3 * LARGEST_ARRAY))
def test_no_array_is_too_large_and_no_plate_is_lost(count: int) -> None:
    plates = [need()] * count
    arrays = arrays_of(plates, deployment(), None, FOLDER, "B1")
    assert plates_in(arrays) == count
    assert all(1 <= len(array.plates) <= LARGEST_ARRAY for array in arrays)
    assert len({array.spec for array in arrays}) == len({array.name for array in arrays}) == len(arrays)


def test_plates_too_large_for_fargate_are_an_array_of_their_own() -> None:
    plates = [need(0), need(1, scratch=300 * GIB, size=Size(4, 16384)), need(2)]
    small, large = arrays_of(plates, deployment(), None, FOLDER, "B1")
    assert [one.job.plate for one in small.plates] == ["P0", "P2"]
    # A whole host, because jobs on one host share its disk.
    assert (large.compute, large.size) == (Compute.EC2_SPOT, Size(8, 24576))
    assert small.size == Size(2, 8192)


@given(st.text(min_size=1, max_size=300), st.integers(1, 2))
def test_names_are_valid_for_aws_batch(name: str, kinds: int) -> None:
    plates: list[PlateNeed] = [need(), need(scratch=300 * GIB)][:kinds]
    for array in arrays_of(plates, deployment(), None, FOLDER, name):
        assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{1,127}", array.name)


def test_a_kind_that_is_not_deployed_is_an_error() -> None:
    kinds = {Compute.FARGATE: "arn"}
    only = deployment(queues=kinds, definitions=kinds, scratch_gib={Compute.FARGATE: 200})
    with pytest.raises(JobSpecError, match="no queue of ec2_spot"):
        arrays_of([need()], only, Compute.EC2_SPOT, FOLDER, "B1")
