"""Names of blocks with credentials, and what may stand beside them."""

from typing import Any

import pytest

from cytobatch.config.job_spec import resolved_spec
from cytobatch.config.options import PlateJob
from cytobatch.pipeline.resolve_jobs import parse_options


def job(**options: Any) -> PlateJob:
    return PlateJob(source="s3://in/P1", destination="s3://out/P1", **options)


@pytest.mark.parametrize("name", ["aws-credentials/lab", "minio-credentials/store-2"])
def test_a_block_is_known_by_type_and_name(name: str) -> None:
    assert job(credentials=name, destination_credentials=name).blocks == (name, name)


@pytest.mark.parametrize(
    "name", ["lab", "aws-credentials/", "aws-credentials/Lab", "secret/lab", "aws-credentials/a/b"]
)
def test_any_other_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="give aws-credentials/<name> or minio-credentials/<name>"):
        job(destination_credentials=name)


@pytest.mark.parametrize("end", ["", "destination_"])
def test_a_profile_and_a_block_for_one_store_are_refused(end: str) -> None:
    both = {f"{end}profile": "lab", f"{end}credentials": "aws-credentials/lab"}
    with pytest.raises(ValueError, match=f"{end}credentials: the AWS profile 'lab' is given, too"):
        job(**both)
    assert job(profile="lab", destination_credentials="aws-credentials/lab").blocks == ("aws-credentials/lab",)


def test_a_job_elsewhere_has_credentials_of_its_own_and_a_report_has_none() -> None:
    given = job(credentials="aws-credentials/lab", destination_credentials="aws-credentials/out")
    assert set(resolved_spec([given]).plates[0].explicit()) == {"source", "destination"}
    assert given.output_options() == job().output_options()
    assert parse_options({"credentials": "aws-credentials/lab"}, "flags").credentials == "aws-credentials/lab"
