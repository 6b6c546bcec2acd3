"""The image, as a lab and a scheduler use it."""

import filecmp
import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from cytobatch import __version__
from cytobatch.errors import ExitCode
from cytobatch.synthetic import PlateFormat, SyntheticPlate, write_plate
from tests.support.containers import HOST_NETWORK, TIMEOUT, Container, Image
from tests.support.program import Run

USER = 10001
GIB = 2**30
# Its conversion takes long enough to be stopped.
LARGE = SyntheticPlate(wells=32, sites=3, cells=60, features=250)


def settings(source: str, destination: str) -> dict[str, str]:
    return {"CYTOBATCH_SOURCE": source, "CYTOBATCH_DESTINATION": destination}


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    """A folder that the container's user, who has no account on this machine, can write."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    folder.chmod(0o777)
    return folder


@pytest.fixture
def plate(tmp_path: Path) -> Path:
    folder = tmp_path / "plate"
    write_plate(SyntheticPlate(), folder)
    return folder


@pytest.fixture
def outside(tmp_path: Path, cytobatch: Run) -> Callable[[str], bytes]:
    """Converts a source without a container, and returns the profile. It holds the source's name."""

    def profile(source: str) -> bytes:
        done = cytobatch("run", env=settings(source, str(tmp_path / "outside")))
        assert done.returncode == 0, done.stderr
        return (tmp_path / "outside" / "single_cells.parquet").read_bytes()

    return profile


def test_the_profile_of_a_mounted_folder_equals_the_one_made_outside(
    image: Image, plate: Path, scratch: Path, outside: Callable[[str], bytes]
) -> None:
    done = image.run(data=plate, scratch=scratch, env=settings(str(plate), "/scratch/out"))
    assert done.returncode == 0, done.stderr
    assert (scratch / "out" / "single_cells.parquet").read_bytes() == outside(str(plate))
    assert names_in(scratch) == {"out"}


@pytest.mark.long
def test_the_demo_plate_equals_the_one_made_outside(image: Image, plate: Path, scratch: Path) -> None:
    done = image.run("example", "/scratch/plate", scratch=scratch)
    assert done.returncode == 0, done.stderr
    files = [path.relative_to(plate) for path in plate.rglob("*") if path.is_file()]
    assert len(files) > 18
    assert filecmp.cmpfiles(plate, scratch / "plate", files, shallow=False) == (files, [], [])


def test_a_sqlite_file_is_read_without_a_network_to_load_the_extension_from(
    image: Image, scratch: Path, tmp_path: Path
) -> None:
    write_plate(SyntheticPlate(), tmp_path / "sqlite", PlateFormat.SQLITE)
    done = image.run(
        "run", data=tmp_path / "sqlite", scratch=scratch, env=settings(str(tmp_path / "sqlite"), "/scratch/out")
    )
    assert done.returncode == 0, done.stderr
    assert pq.read_metadata(scratch / "out" / "single_cells.parquet").num_rows == SyntheticPlate().cell_count()


def test_from_bucket_to_bucket(
    image: Image,
    plate: Path,
    scratch: Path,
    outside: Callable[[str], bytes],
    upload: Callable[[Path, str], str],
    s3: Any,
    bucket: str,
    aws: str,
) -> None:
    source = upload(plate, "plates/P1")
    env = settings(source, f"s3://{bucket}/profiles/P1") | {
        "AWS_ENDPOINT_URL": aws,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    done = image.run("run", scratch=scratch, env=env, network=HOST_NETWORK)
    assert done.returncode == 0, done.stderr
    assert s3.get_object(Bucket=bucket, Key="profiles/P1/single_cells.parquet")["Body"].read() == outside(source)
    assert names_in(scratch) == set()


def test_a_child_of_an_array_job_converts_its_own_plate_alone(image: Image, plate: Path, scratch: Path) -> None:
    spec = {
        "version": 1,
        "defaults": {"source": str(plate), "destination": "/scratch/{plate}"},
        "plates": [{"plate": "P1"}, {"plate": "P2"}],
    }
    env = {"CYTOBATCH_JOB_SPEC": json.dumps(spec), "AWS_BATCH_JOB_ARRAY_INDEX": "1"}
    done = image.run("run", data=plate, scratch=scratch, env=env)
    assert done.returncode == 0, done.stderr
    assert names_in(scratch) == {"P2"}
    assert (scratch / "P2" / "run-report.json").is_file()


@pytest.mark.parametrize(
    ("preset", "code", "message"),
    [("cellprofile", 2, "cellprofile"), ("auto", 3, "/empty")],
    ids=["preset", "empty source"],
)
def test_a_failure_has_its_message_and_exit_code(
    image: Image, scratch: Path, tmp_path: Path, preset: str, code: int, message: str
) -> None:
    (tmp_path / "empty").mkdir()
    env = settings(str(tmp_path / "empty"), "/scratch/out") | {"CYTOBATCH_PRESET": preset}
    done = image.run("run", data=tmp_path / "empty", scratch=scratch, env=env)
    assert (done.returncode, message in done.stderr) == (code, True), done.stderr
    assert names_in(scratch) == set()


def test_a_read_only_scratch_is_an_error(image: Image, plate: Path, scratch: Path) -> None:
    env = settings(str(plate), "/scratch/out")
    done = image.run("run", data=plate, env=env, flags=("--volume", f"{scratch}:/scratch:ro"))
    assert done.returncode == ExitCode.ACCESS, done.stderr
    assert "scratch folder of the system" in done.stderr


def test_a_terminated_run_has_its_exit_code_and_leaves_no_file(image: Image, scratch: Path, tmp_path: Path) -> None:
    write_plate(LARGE, tmp_path / "plate")
    env = settings(str(tmp_path / "plate"), "/scratch/out") | {"CYTOBATCH_WORKERS": "1"}
    container = Container(image, ["run"], data=tmp_path / "plate", scratch=scratch, env=env)
    with subprocess.Popen(container.command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        progress = []
        for line in process.stderr:
            progress.append(line)
            if line.rstrip().endswith(": convert"):
                break
        start = time.monotonic()
        subprocess.run([image.engine, "kill", "--signal", "TERM", container.name], check=True, capture_output=True)
        process.communicate(timeout=TIMEOUT)
    assert process.returncode == 143, progress
    assert time.monotonic() - start < 30, "AWS Batch would have killed it"
    assert names_in(scratch) <= {"out"}
    assert not any(scratch.rglob("out/*"))


def test_a_memory_limit_is_found_and_kept(image: Image, plate: Path, scratch: Path) -> None:
    limit = ("--memory", str(GIB))
    trial = image.python("", flags=limit)
    if trial.returncode:
        pytest.skip(f"{image.engine} cannot set a memory limit here: {trial.stderr.strip().splitlines()[-1]}")
    done = image.run("run", data=plate, scratch=scratch, env=settings(str(plate), "/scratch/out"), flags=limit)
    assert done.returncode == 0, done.stderr
    report = json.loads((scratch / "out" / "run-report.json").read_text())
    assert report["limits"]["memory_bytes"] == GIB
    assert report["peak_memory_bytes"] < GIB


def test_its_user_owns_the_scratch_volume(image: Image) -> None:
    code = "import os, tempfile; print(os.getuid(), os.getgid(), os.stat('/scratch').st_uid, tempfile.mkdtemp())"
    done = image.python(code)
    assert done.stdout.split()[:3] == [str(USER)] * 3, done.stderr
    assert done.stdout.split()[3].startswith("/scratch/")


def test_only_the_scratch_can_be_written(image: Image, scratch: Path) -> None:
    code = """
import os, pathlib
for folder in ("/", "/tmp", "/var/tmp", "/opt/cytobatch", pathlib.Path.home()):
    try:
        pathlib.Path(folder, "trial").write_text("")
    except OSError as error:
        print(folder, "refused")
    else:
        print(folder, "written")
"""
    done = image.python(code, scratch=scratch)
    answers = dict(line.split() for line in done.stdout.splitlines())
    assert answers.pop("/scratch") == "written"
    assert set(answers.values()) == {"refused"}


def test_the_metadata_of_the_image(image: Image) -> None:
    details = image.details()
    config = details["Config"]
    assert config["User"] == str(USER)
    assert config["Entrypoint"] == ["cytobatch"]
    assert config["Cmd"] == ["run"]
    assert set(config["Volumes"]) == {"/scratch"}
    labels = {name.removeprefix("org.opencontainers.image."): text for name, text in config["Labels"].items()}
    assert labels["version"] == __version__
    assert {"title", "description", "licenses", "revision", "created", "base.name", "base.digest"} <= labels.keys()
    assert f"{__version__}" in image.run("--version").stdout


def test_the_list_of_what_is_in_the_image_is_complete(image: Image) -> None:
    code = """
import importlib.metadata, json
document = json.load(open("/opt/cytobatch/sbom.cdx.json"))
listed = {(one["name"].lower(), one["version"]) for one in document["components"]}
installed = {(one.name.lower(), one.version) for one in importlib.metadata.distributions()}
print(document["bomFormat"], sorted(listed ^ installed), len(listed), ("cytobatch", "VERSION") in listed)
"""
    done = image.python(code.replace("VERSION", __version__))
    form, difference, count, is_own = done.stdout.split()
    assert (form, difference, is_own) == ("CycloneDX", "[]", "True"), done.stdout + done.stderr
    assert int(count) > 80


def test_no_build_tool_is_left(image: Image) -> None:
    code = """
import importlib.util, pathlib, shutil
commands = ("cc", "gcc", "g++", "ld", "make", "git", "pip", "pip3", "uv", "hatchling")
packages = ("pip", "setuptools", "wheel", "ensurepip", "hatchling", "pytest")
folders = ("/build", "/opt/build", "/opt/audit", "/run/secrets", "/root/.cache/pip")
print([name for name in commands if shutil.which(name)])
print([name for name in packages if importlib.util.find_spec(name)])
print([folder for folder in folders if pathlib.Path(folder).exists()])
"""
    done = image.python(code, flags=("--user", "0"))
    assert done.stdout.splitlines() == ["[]", "[]", "[]"], done.stderr


def test_all_modules_that_a_run_imports_are_compiled(image: Image) -> None:
    """Otherwise each container compiles them at its start, and discards the result at its end."""
    code = """
import importlib.util, pathlib, sys
import cytobatch.cli.app, cytobatch.batch.flows.plate, cytobatch.batch.flows.server, cytobatch.storage.obstore_client
files = [file for module in sys.modules.values() if (file := getattr(module, "__file__", None) or "").endswith(".py")]
print(len(files), [file for file in files if not pathlib.Path(importlib.util.cache_from_source(file)).exists()])
"""
    done = image.python(code)
    assert done.returncode == 0, done.stderr
    count, _, missing = done.stdout.strip().partition(" ")
    assert int(count) > 1000
    assert missing == "[]"
