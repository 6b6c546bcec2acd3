"""Options, environment and job spec resolved to plates, as the command line and the API share it."""

from pathlib import Path

import pytest
from cloudpathlib import S3Client

from cytobatch.config.environment import read_settings
from cytobatch.config.options import PlateOptions
from cytobatch.errors import JobSpecError
from cytobatch.pipeline.resolve_jobs import load_spec, parse_options, path_as_text, resolve_jobs


def test_a_list_that_is_not_valid_json_is_a_job_spec_error() -> None:
    with pytest.raises(JobSpecError, match="bad value for 'compartments': command line"):
        parse_options({"compartments": "[cells"}, "command line")


def test_a_cloud_path_becomes_its_uri_and_is_not_fetched() -> None:
    path = S3Client(no_sign_request=True).CloudPath("s3://no-such-bucket-at-all/P1")
    assert parse_options({"source": path}, "keyword arguments").source == "s3://no-such-bucket-at-all/P1"


def test_paths_become_text_at_any_depth() -> None:
    document = {"plates": [{"source": Path("/in"), "workers": 2}], "paths": (Path("/a"), "b")}
    assert path_as_text(document) == {"plates": [{"source": "/in", "workers": 2}], "paths": ["/a", "b"]}


@pytest.mark.parametrize(
    ("document", "where"),
    [(None, "command line and environment"), ({"plates": [{}]}, "job spec"), ('{"plates": [{}]}', "job spec")],
)
def test_an_error_names_where_the_options_come_from(
    document: str | dict[str, list[dict[str, str]]] | None, where: str
) -> None:
    with pytest.raises(JobSpecError, match="no source given") as caught:
        resolve_jobs(PlateOptions(), document, "command line")
    assert caught.value.where == where


def test_an_error_names_the_path_of_the_spec(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text("plates: [{}]")
    with pytest.raises(JobSpecError) as caught:
        resolve_jobs(PlateOptions(), str(path), "command line")
    assert caught.value.where == str(path)


def test_an_empty_mapping_is_a_spec_without_plates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CYTOBATCH_JOB_SPEC", '{"plates": [{"source": "/in", "destination": "/out"}]}')
    assert len(resolve_jobs(PlateOptions(), None, "command line")) == 1
    assert len(resolve_jobs(PlateOptions(), "", "command line")) == 1
    with pytest.raises(JobSpecError, match="no 'plates' given"):
        resolve_jobs(PlateOptions(), {}, "command line")
    with pytest.raises(JobSpecError):
        load_spec({"plates": []}, read_settings(), PlateOptions())
