"""Every command in the documents: those for readers run as they stand, in order, and all name flags that exist."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

import cytobatch
from cytobatch.cli.app import make_app
from cytobatch.cli.help_page import HelpPage
from cytobatch.synthetic import PlateFormat, SyntheticPlate, write_plate
from tests.support.documents import DOCUMENTS, ROOT, blocks_of, commands_of, has_commands, run_blocks

DOCS = ROOT / "docs"
README = ROOT / "README.md"
RUN = tuple(DOCS / f"{name}.md" for name in ("tutorial", "recipes", "collate", "inspect"))
TESTED_ELSEWHERE = {
    "api.md": "tests/pipeline/test_api_document.py",
    "formats.md": "tests/formats/test_foreign_format.py",
    "reliability.md": "tests/test_document_commands.py",
    "notebook.md": "tests/test_document_commands.py",
    "outputs.md": "tests/test_docs.py",
    "workflow.md": "tests/test_document_commands.py",
    "verification.md": "tests/cli/test_verify_command.py",
}
NOT_RUN = {
    "aws.md": "AWS",
    "task-runners.md": "Dask cluster",
    "cytotable.md": "CytoTable",
    "contributing.md": "the suite itself",
}
"""Documents whose commands need what the suite does not have, or starts in its own way."""
BUCKETS = ("my-screen", "my-profiles", "cellpainting-gallery", "bucket")
PLATES = ("BR00117035", "BR00117036")
BATCH = "2021_04_26_Batch1"
PLATEMAP = "well_position\tcompound\nA01\tDMSO\nA02\tX\n"
GALLERY = "cpg0016-jump/source_4/workspace"


@pytest.fixture(scope="module")
def plates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two small plates, by their names."""
    folder = tmp_path_factory.mktemp("plates")
    for seed, name in enumerate(PLATES):
        write_plate(SyntheticPlate(name=name, wells=2, sites=1, seed=seed), folder / name, PlateFormat.CSV)
    return folder


@pytest.fixture(scope="module")
def profile(plates: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The result of the first plate."""
    folder = tmp_path_factory.mktemp("profiles") / PLATES[0]
    cytobatch.convert(plates / PLATES[0], folder)
    return folder


@pytest.fixture
def buckets(s3: Any, plates: Path, profile: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The buckets that documents name, with what they take from them, and the credentials that they name."""
    credentials = tmp_path / "credentials"
    credentials.write_text("[lab]\naws_access_key_id = test\naws_secret_access_key = test\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(credentials))
    for bucket in BUCKETS:
        s3.create_bucket(Bucket=bucket)
    for path in profile.iterdir():
        s3.upload_file(str(path), "bucket", f"profiles/{profile.name}/{path.name}")
    for path in (path for path in plates.rglob("*") if path.is_file()):
        name = path.relative_to(plates).as_posix()
        for bucket, prefix in (("my-screen", ""), ("my-screen", "analysis/")):
            s3.upload_file(str(path), bucket, prefix + name)
        if name.startswith(PLATES[0]):
            s3.upload_file(str(path), "cellpainting-gallery", f"{GALLERY}/analysis/{BATCH}/{name}")
    (spec,) = (block.text for block in blocks_of(DOCS / "recipes.md") if block.title == "job.yaml")
    s3.put_object(Bucket="my-screen", Key="job.yaml", Body=spec.encode())
    folder = f"{GALLERY}/metadata/platemaps/{BATCH}"
    barcodes = f"Assay_Plate_Barcode,Plate_Map_Name\n{PLATES[0]},map\n"
    s3.put_object(Bucket="cellpainting-gallery", Key=f"{folder}/barcode_platemap.csv", Body=barcodes.encode())
    s3.put_object(Bucket="cellpainting-gallery", Key=f"{folder}/platemap/map.txt", Body=PLATEMAP.encode())


@pytest.fixture
def reader(tmp_path: Path) -> Path:
    """The folder of a reader who has cloned and installed the project."""
    folder = tmp_path / "cytobatch"
    for name in ("pyproject.toml", "requirements/dev.lock", ".venv/packages", ".venv/installed"):
        path = folder / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.touch()
    shutil.copy(ROOT / "Makefile", folder)
    # `make demo` finds an environment that is up to date, and makes none.
    (folder / ".venv/bin").symlink_to(Path(sys.executable).parent)
    return folder


def put_plates(plates: Path, folder: Path) -> None:
    shutil.copytree(plates, folder / "plates")
    shutil.copytree(plates / PLATES[0], folder / "workspace/analysis" / BATCH / PLATES[0])
    (folder / "platemap.txt").write_text(PLATEMAP)


def put_profile(plates: Path, profile: Path, folder: Path) -> None:
    """Put the first plate, its result and its profile where documents have them."""
    shutil.copytree(plates / PLATES[0], folder / "plate")
    shutil.copytree(profile, folder / "profiles" / profile.name)
    shutil.copy(profile / "single_cells.parquet", folder)


def environment(folder: Path) -> dict[str, str]:
    """The environment of a reader with an empty home, whose runs do without Prefect, which takes seconds."""
    programs = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    # A make below another one prints the folder that it enters.
    inherited = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL")}
    return {**inherited, "PATH": programs, "HOME": str(folder), "CYTOBATCH_ORCHESTRATOR": "none"}


@pytest.mark.xdist_group("documents")
@pytest.mark.parametrize(
    "document",
    # README, which has the recipes that most people need, and the tutorial are in every run of the suite.
    [pytest.param(path, marks=() if path.stem == "tutorial" else pytest.mark.long) for path in RUN],
    ids=lambda path: path.stem,
)
@pytest.mark.usefixtures("aws", "buckets")
def test_the_commands_run_in_order(document: Path, reader: Path, plates: Path, profile: Path) -> None:
    if document.stem != "tutorial":  # It begins with nothing.
        put_plates(plates, reader)
    if document.stem == "inspect":
        put_profile(plates, profile, reader)
    run_blocks(document, reader, environment(reader))


@pytest.mark.xdist_group("documents")
@pytest.mark.usefixtures("aws", "buckets")
def test_the_commands_of_the_readme_run_in_order(reader: Path, plates: Path) -> None:
    put_plates(plates, reader)
    printed = run_blocks(README, reader, environment(reader))
    check_demo(printed[0], reader)


@pytest.mark.xdist_group("documents")
@pytest.mark.usefixtures("aws", "buckets")
def test_the_lines_of_a_notebook_run_in_order(reader: Path, plates: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(plates / PLATES[0], reader / "plate")
    monkeypatch.chdir(reader)
    names: dict[str, Any] = {}
    for block in blocks_of(DOCS / "notebook.md"):
        exec(block.text, names)
    assert names["report"].plate == PLATES[0]
    assert (reader / "profiles" / PLATES[0] / "run-report.json").is_file()


def test_the_lines_of_a_reader_read_the_files_of_one_publication(s3: Any, bucket: str, plates: Path) -> None:
    (block,) = (block for block in blocks_of(DOCS / "reliability.md") if block.language == "python")
    cytobatch.convert(plates / PLATES[0], f"s3://{bucket}/profiles/P1")
    names: dict[str, Any] = {"json": json, "s3": s3, "bucket": bucket}
    exec(block.text, names)
    assert len(names["content"]) == names["file"]["bytes"]
    s3.put_object(Bucket=bucket, Key="profiles/P1/single_cells.parquet", Body=b"of another run")
    with pytest.raises(ClientError, match="PreconditionFailed"):
        exec(block.text, names)


def check_demo(printed: str, folder: Path) -> None:
    """Check that the last word of what `make demo` prints is the address of the plate's page."""
    address = printed.rsplit(maxsplit=1)[-1].removeprefix("file://")
    assert address.endswith("report.html")
    assert (folder / address).is_file()


@pytest.mark.long
def test_the_commands_for_a_prefect_server_run_in_order(prefect_url: str, tmp_path: Path) -> None:
    for name in ("prefect.yaml", "automations"):
        (tmp_path / name).symlink_to(ROOT / name)
    run_blocks(DOCS / "workflow.md", tmp_path, {**environment(tmp_path), "PREFECT_API_URL": prefect_url})


@pytest.mark.long
@pytest.mark.xdist_group("documents")
@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="this is no clone of the repository")
@pytest.mark.usefixtures("aws", "buckets")
def test_the_readme_leads_from_a_clone_and_an_empty_home_to_results(tmp_path: Path, plates: Path) -> None:
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    put_plates(plates, clone)
    (tmp_path / "home").mkdir()
    # The folder of the Python that runs this test has the command already, which a newcomer has not.
    folders = [folder for folder in os.environ["PATH"].split(":") if Path(folder) != Path(sys.executable).parent]
    settings = Path.home() / ".config/pip/pip.conf"
    pip = {"PIP_CONFIG_FILE": str(settings)} if settings.exists() else {}
    variables = {**pip, **os.environ, "PATH": ":".join(folders), "HOME": str(tmp_path / "home")}
    variables.pop("VIRTUAL_ENV", None)
    check_demo(run_blocks(clone / "README.md", clone, variables)[0], clone)
    built = subprocess.run(["make", "docs"], cwd=clone, env=variables, capture_output=True, check=True)
    assert Path(built.stdout.decode().split()[-1]).is_file()


def test_every_document_with_commands_is_run_or_has_a_reason() -> None:
    with_commands = {path for path in DOCUMENTS if path.parent == DOCS and has_commands(path)}
    others = {DOCS / name for name in (*TESTED_ELSEWHERE, *NOT_RUN)}
    assert with_commands == set(RUN) | others
    assert [name for name in TESTED_ELSEWHERE.values() if not (ROOT / name).exists()] == []


def test_only_commands_of_other_programs_are_left_out() -> None:
    left_out = [block.not_run for path in (README, *RUN) for block in blocks_of(path) if block.not_run is not None]
    assert left_out == ["needs a container engine", "needs collate"]


@pytest.mark.parametrize(
    "document",
    [path for path in DOCUMENTS if any(commands_of(path))],
    ids=lambda path: path.relative_to(ROOT).as_posix(),
)
def test_every_command_has_flags_and_values_that_exist(document: Path) -> None:
    program = make_app(HelpPage(all_options=False))
    for words in commands_of(document):
        program.parse_args(words[1:], exit_on_error=False, print_error=False)
