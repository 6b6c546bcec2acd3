import json

import pytest

from cytobatch.batch.aws.deployment import Compute, parse_deployment
from cytobatch.errors import JobSpecError
from tests.support.submissions import deployment


def test_all_outputs_of_terraform_and_the_one_alone_are_read() -> None:
    wanted = deployment()
    bare = json.loads(wanted.model_dump_json())
    whole = {"deployment": {"sensitive": False, "type": ["object", {}], "value": bare}, "other": {"value": 1}}
    assert parse_deployment(json.dumps(whole), "d.json") == wanted
    assert parse_deployment(json.dumps({"deployment": bare}), "d.json") == wanted
    assert parse_deployment(json.dumps(bare), "d.json") == wanted


def test_a_kind_that_is_not_deployed_is_absent() -> None:
    only = {Compute.FARGATE: "arn"}
    parsed = deployment(queues=only, definitions=only, scratch_gib={Compute.FARGATE: 200})
    assert list(parsed.queues) == [Compute.FARGATE]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "Expecting"),
        ("[]", "valid dictionary"),
        ("{}", "name"),
        (deployment().model_copy(update={"jobs_uri": "/tmp/jobs"}).model_dump_json(), "jobs_uri"),
        (deployment().model_copy(update={"queues": {}}).model_dump_json(), "same kinds of compute"),
        (deployment().model_copy(update={"scratch_gib": {Compute.FARGATE: 1}}).model_dump_json(), "same kinds"),
    ],
)
def test_an_invalid_deployment_is_an_error_with_a_remedy(text: str, why: str) -> None:
    with pytest.raises(JobSpecError, match=why) as caught:
        parse_deployment(text, "d.json")
    assert "d.json" in str(caught.value)
    assert "terraform output -json" in caught.value.remedy
