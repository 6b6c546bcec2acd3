"""A job spec from a bucket is a stranger's: what it may not name is refused, and nothing is read, written or sent."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import cytobatch
from cytobatch.cli.app import main
from cytobatch.errors import ConfigurationError, ExitCode
from proxy import Asked, proxy
from tests.support.plates import write_sites
from tests.support.submissions import deployment

Capture = pytest.CaptureFixture[str]


@dataclass(frozen=True, slots=True)
class Lab:
    """A bucket with a spec, a bucket of others, each with a plate; a folder of this machine; the requests sent."""

    own: str
    others: str
    folder: Path
    url: str
    requests: list[Asked]
    put: Callable[[Mapping[str, Any]], str]

    def filled(self, value: Any) -> Any:
        """Return a value with the names of the lab in place of words in angle brackets, at any depth."""
        names = {"<own>": self.own, "<others>": self.others, "<folder>": str(self.folder), "<url>": self.url}
        if isinstance(value, Mapping):
            return {name: self.filled(item) for name, item in value.items()}
        if isinstance(value, str):
            for name, text in names.items():
                value = value.replace(name, text)
        return value

    def files(self) -> list[str]:
        """Return the files of the machine's folder."""
        return sorted(path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def recording(s3_url: str) -> Iterator[tuple[str, list[Asked]]]:
    with proxy(s3_url) as pair:
        yield pair


@pytest.fixture
def lab(
    s3: Any, bucket: str, recording: tuple[str, list[Asked]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Lab:
    others = f"{bucket}-of-others"
    s3.create_bucket(Bucket=others)
    folder = write_sites(tmp_path / "here" / "P1", 1).parent
    for path in (path for path in folder.rglob("*") if path.is_file()):
        for name in (bucket, others):
            s3.upload_file(str(path), name, path.relative_to(folder).as_posix())

    def put(document: Mapping[str, Any]) -> str:
        s3.put_object(Bucket=bucket, Key="spec.json", Body=json.dumps(document).encode())
        return f"s3://{bucket}/spec.json"

    monkeypatch.chdir(folder)
    url, requests = recording
    requests.clear()
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    return Lab(bucket, others, folder, url, requests, put)


GOOD = {"source": "s3://<own>/P1", "destination": "s3://<own>/out/P1"}
ATTACKS: dict[str, dict[str, Any]] = {
    "a local source": {"source": "<folder>/P1"},
    "a relative source": {"source": "P1"},
    "a source at home": {"source": "~/P1"},
    "a local destination": {"destination": "<folder>/stolen"},
    "a local platemap": {"platemap": "/etc/passwd"},
    "a local LoadData file": {"load_data": "<folder>/P1"},
    "a store of its own": {"endpoint_url": "<url>/evil"},
    "a store of its own for results": {"destination_endpoint_url": "<url>/evil"},
    "a profile": {"profile": "admin"},
    "a profile for results": {"destination_profile": "admin"},
    "credentials": {"credentials": "aws-credentials/admin"},
    "credentials for results": {"destination_credentials": "aws-credentials/admin"},
    "a cache": {"cache_dir": "<folder>/cache"},
    "a cache that stays": {"cache_mode": "persistent"},
    "a scratch folder": {"scratch_dir": "<folder>/scratch"},
    "a cluster": {"task_runner": "dask:tcp://192.0.2.1:8786"},
    "a cluster on this machine": {"task_runner": "dask:tcp://127.0.0.1:8786"},
    "an agreement to pay": {"requester_pays": True},
    "an agreement to pay among arguments": {"extra_args": {"RequestPayer": "requester"}},
    "a source of others": {"source": "s3://<others>/P1"},
    "a destination of others": {"destination": "s3://<others>/out"},
    "a platemap of others": {"platemap": "s3://<others>/map.txt"},
    "LoadData of others": {"load_data": "s3://<others>/load_data.csv"},
    "a bucket whose name begins like its own": {"source": "s3://<own>-of-others/P1"},
    "another kind of store": {"source": "gs://<own>/P1"},
    "a bucket by the plate's name": {"source": "s3://{plate}/P1", "plate": "<others>"},
    "a listing of others": {"source": "s3://<others>/{plate}", "plate": "*"},
    "a listing of a bucket by the batch's name": {"source": "s3://{batch}/{plate}", "batch": "<others>", "plate": "*"},
    "networks of others": {"source": "s3://<others>/workspace_dl", "batch": "B1"},
    "a plate that is a path": {"plate": "../P1", "source": "s3://<own>/{plate}"},
    "a plate that is the folder above": {"plate": "..", "source": "s3://<own>/x/{plate}"},
    "a batch that is a path": {"batch": "a/../../b", "plate": "P1"},
    "a path to the folder above": {"source": "s3://<own>/x/../P1"},
}


@pytest.mark.parametrize("options", ATTACKS.values(), ids=ATTACKS)
def test_what_a_spec_may_not_name_is_refused_and_nothing_else_happens(
    options: dict[str, Any], lab: Lab, capsys: Capture
) -> None:
    spec = lab.put({"plates": [lab.filled(GOOD | options)]})
    before = lab.files()
    code = main(["run", "--job-spec", spec, "--orchestrator", "none"])
    printed = capsys.readouterr()
    assert code == ExitCode.CONFIGURATION, printed.err
    assert printed.err.count("error: ") == 1
    assert repr(next(iter(options))) in printed.err or "'source'" in printed.err
    assert "CYTOBATCH_TRUST_SPEC" in printed.err
    assert [(one.method, one.path) for one in lab.requests] == [("GET", f"/{lab.own}/spec.json")]
    assert lab.files() == before


def test_the_defaults_of_a_spec_are_checked(lab: Lab, capsys: Capture) -> None:
    spec = lab.put({"defaults": lab.filled(GOOD | {"scratch_dir": "<folder>/scratch"}), "plates": [{}]})
    assert main(["run", "--job-spec", spec]) == ExitCode.CONFIGURATION
    assert f"may not have this 'scratch_dir': {spec}, defaults" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["plan", "validate", "submit", "collect"])
def test_every_command_refuses(command: str, lab: Lab, capsys: Capture) -> None:
    spec = lab.put({"plates": [lab.filled(GOOD | {"source": "s3://<others>/P1"})]})
    (lab.folder / "deployment.json").write_text(deployment().model_dump_json())
    words = {"submit": ["--deployment", "deployment.json"], "collect": ["--to", "overview"]}.get(command, [])
    assert main([command, "--job-spec", spec, *words]) == ExitCode.CONFIGURATION
    assert "outside the buckets of this run" in capsys.readouterr().err
    assert {one.path for one in lab.requests} == {f"/{lab.own}/spec.json"}


def test_the_api_refuses(lab: Lab) -> None:
    spec = lab.put({"plates": [lab.filled(GOOD | {"destination": "<folder>/out"})]})
    with pytest.raises(ConfigurationError, match="may not have this 'destination'") as caught:
        cytobatch.convert(job_spec=spec)
    assert caught.value.where == f"{spec}, plates.0"
    assert f"'{lab.folder}/out' is a path of this machine" in caught.value.why
    assert not (lab.folder / "out").exists()


ALLOWED: dict[str, tuple[dict[str, str], dict[str, str], list[str]]] = {
    "its own bucket": ({}, {}, []),
    "a bucket that the environment allows": (
        {"destination": "s3://<others>/out/P1"},
        {"CYTOBATCH_SPEC_LOCATIONS": "s3://nobody, s3://<others>"},
        [],
    ),
    "a folder that the environment allows": (
        {"source": "s3://<others>/P1"},
        {"CYTOBATCH_SPEC_LOCATIONS": "s3://<others>/P1/"},
        [],
    ),
    "the bucket of a variable": (
        {"source": "s3://<others>/P1"},
        {"CYTOBATCH_DESTINATION": "s3://<others>/out/{plate}"},
        [],
    ),
    "a local path of a flag": ({}, {}, ["--destination", "<folder>/out/{plate}"]),
    "all, if it is trusted": (
        {"source": "<folder>/P1", "destination": "s3://<others>/out", "scratch_dir": "<folder>"},
        {"CYTOBATCH_TRUST_SPEC": "true"},
        [],
    ),
}


@pytest.mark.parametrize(("options", "variables", "flags"), ALLOWED.values(), ids=ALLOWED)
def test_what_the_environment_allows_is_converted(
    options: dict[str, str],
    variables: dict[str, str],
    flags: list[str],
    lab: Lab,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, lab.filled(value))
    spec = lab.put({"plates": [lab.filled({"plate": "P1"} | GOOD | options)]})
    words = ["run", "--job-spec", spec, "--orchestrator", "none", *map(lab.filled, flags)]
    assert main(words) == ExitCode.OK, capsys.readouterr().err


@pytest.mark.parametrize("allowed", ["s3://<others>/P", "s3://<others>/P1/P1-A01", "s3://<own>"])
def test_a_folder_that_is_allowed_is_that_folder(
    allowed: str, lab: Lab, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setenv("CYTOBATCH_SPEC_LOCATIONS", lab.filled(allowed))
    spec = lab.put({"plates": [lab.filled(GOOD | {"source": "s3://<others>/P1"})]})
    assert main(["run", "--job-spec", spec]) == ExitCode.CONFIGURATION
    assert f"CYTOBATCH_SPEC_LOCATIONS=s3://{lab.others}" in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["s3://{plate}/P1", "{plate}"])
def test_the_spec_fills_no_template_of_a_flag_with_another_place(flag: str, lab: Lab, capsys: Capture) -> None:
    spec = lab.put(
        {"plates": [{"plate": lab.others if "://" in flag else "../here", "destination": f"s3://{lab.own}/x"}]}
    )
    assert main(["run", "--job-spec", spec, "--source", flag]) == ExitCode.CONFIGURATION
    assert "job spec from a bucket" in capsys.readouterr().err
    assert len(lab.requests) == 1


def test_a_folder_in_a_bucket_is_no_way_out_of_a_local_folder(s3: Any, lab: Lab, capsys: Capture) -> None:
    s3.put_object(Bucket=lab.others, Key="in/../P1/Image.csv", Body=b"x")
    words = [
        "--source",
        f"s3://{lab.others}/in/{{plate}}",
        "--plate",
        "*",
        "--destination",
        f"{lab.folder}/out/{{plate}}",
    ]
    before = lab.files()
    assert main(["run", *words, "--orchestrator", "none"]) == ExitCode.CONFIGURATION
    assert "'..' is no name of a plate" in capsys.readouterr().err
    assert lab.files() == before


def test_a_spec_of_this_machine_may_name_all(lab: Lab, capsys: Capture) -> None:
    spec = lab.folder / "spec.json"
    spec.write_text(json.dumps({"plates": [lab.filled({"source": "<folder>/P1", "destination": "s3://<others>/out"})]}))
    for document in (str(spec), spec.read_text()):
        assert main(["validate", "--job-spec", document]) == ExitCode.OK, capsys.readouterr().err
