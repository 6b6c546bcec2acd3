"""Typical mistakes of people: each has a message with what, where, why and fix, and the fixed command line works.

Each row is a wrong command line, the parts of its message, and the right one, which is run as well.
"""

import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from cytobatch.cli.app import main
from cytobatch.errors import ExitCode
from tests.support.plates import cytominer_tables, site_tables, write_sites, write_sqlite

Files = Mapping[str, str]
CONFIGURATION, INPUT, ACCESS = ExitCode.CONFIGURATION, ExitCode.INPUT_DATA, ExitCode.ACCESS
MESSAGE = re.compile(r"^error: (?P<what>.*)\n  why: (?P<why>.*)\n  fix: (?P<fix>.*)$", re.MULTILINE)
NOBODY = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_EC2_METADATA_DISABLED": "true"}
PLATEMAP = "well_position\tcompound\nA01\tDMSO\n"
SPEC = "plates: [{source: plate, destination: out}]\n"


@dataclass(frozen=True)
class Mistake:
    """A wrong command line, its message, and the right one.

    `what` has the first line's words: what is wrong and where. `files` are there before, `env` holds for the wrong
    command line and `fixed_env` for the right one, `mended` are files that are written between the two.
    """

    wrong: str
    code: ExitCode
    what: tuple[str, ...]
    why: str
    fix: str
    right: str
    files: Files = field(default_factory=dict)
    env: Files = field(default_factory=dict)
    fixed_env: Files = field(default_factory=dict)
    mended: Files = field(default_factory=dict)
    before: str = ""


WORDS = [
    Mistake("rnu plate out", CONFIGURATION, ("'rnu'",), "the command", "did you mean 'run'?", "run plate out"),
    Mistake("plate out", CONFIGURATION, ("'plate'",), "first word", "cytobatch run SOURCE", "run plate out"),
    Mistake(
        "run plate out --presett auto", CONFIGURATION, ("--presett", "run"), "no option", "'--preset'", "run plate out"
    ),
    Mistake(
        "run plate out --max_failed_export 1",
        CONFIGURATION,
        ("unknown option --max_failed_export", "run"),
        "no option has that name",
        "did you mean '--max-failed-exports'?",
        "run plate out --max-failed-exports 1",
    ),
    Mistake(
        "run plate out -memory 3GiB",
        CONFIGURATION,
        ("unknown option -memory",),
        "no option",
        "did you mean '--memory'?",
        "run plate out --memory 3GiB",
    ),
    Mistake(
        "run plate out --memory",
        CONFIGURATION,
        ("no value for --memory", "cytobatch run"),
        "no word follows",
        "--memory=VALUE",
        "run plate out --memory=3GiB",
    ),
    Mistake(
        "run my plate out",
        CONFIGURATION,
        ("too many words: 'out'", "cytobatch run"),
        "all positions are taken",
        "in quotes; usage: cytobatch run SOURCE DESTINATION",
        "run 'my plate' out",
    ),
    Mistake(
        "run plate out --join false",
        CONFIGURATION,
        ("too many words: 'false'",),
        "a flag without a value",
        "write --no-join",
        "run plate out --no-join",
    ),
    Mistake(
        "run plate out \N{EM DASH}memory 3GiB",
        CONFIGURATION,
        ("too many words: '\N{EM DASH}memory' '3GiB'",),
        "a long dash",
        "write --memory; usage",
        "run plate out --memory 3GiB",
    ),
    Mistake(
        "run plate",
        CONFIGURATION,
        ("no destination given", "command line"),
        "a plate needs a source and a destination",
        "give SOURCE and DESTINATION, set CYTOBATCH_DESTINATION",
        "run plate out",
    ),
    Mistake(
        "run plate --source plate out",
        CONFIGURATION,
        ("two values for the source",),
        "'plate' by its position and 'plate' by --source",
        "drop one of the two",
        "run --source plate --destination out",
    ),
    Mistake(
        "run plate out --plate P1 --plate P2",
        CONFIGURATION,
        ("--plate is given twice",),
        "it has one value",
        "leave one of the two out",
        "run plate out --plate P1",
    ),
    Mistake(
        "plan plate --task-runner processes:2",
        CONFIGURATION,
        ("`plan` does not take --task-runner",),
        "changes nothing",
        "leave it out",
        "plan plate",
    ),
    Mistake(
        "collect plate out",
        CONFIGURATION,
        ("no --to given", "cytobatch collect"),
        "needs it",
        "--to FOLDER",
        "collect plate out --to all",
        before="run plate out",
    ),
    Mistake(
        "run plate out --force --skip-done",
        CONFIGURATION,
        ("--force and --skip-done",),
        "up to date",
        "drop one",
        "run plate out --force",
    ),
]
VALUES = [
    Mistake(
        "run plate out --preset celprofiler_csv",
        CONFIGURATION,
        ("bad value for --preset", "command line"),
        "'celprofiler_csv' is none of its values",
        "did you mean 'cellprofiler_csv'? give one of auto,",
        "run plate out --preset cellprofiler_csv",
    ),
    Mistake(
        "run plate out --well-profiles meen",
        CONFIGURATION,
        ("bad value for --well-profiles",),
        "'meen' is none",
        "did you mean 'mean'? give one of median, mean",
        "run plate out --well-profiles mean",
    ),
    Mistake(
        "run plate out --memory 3",
        CONFIGURATION,
        ("bad value for --memory",),
        "'3' is too small, and has no unit",
        "such as 3GiB or 500MB, from 64 MiB",
        "run plate out --memory 3GiB",
    ),
    Mistake(
        "run plate out --memory '300 KB'",
        CONFIGURATION,
        ("bad value for --memory",),
        "'300 KB' is too small",
        "from 64 MiB",
        "run plate out --memory '3000 MB'",
    ),
    Mistake(
        "run plate out --memory 64MiB",
        CONFIGURATION,
        ("too little memory", "plate"),
        "this plate takes",
        "MiB with CYTOBATCH_MEMORY (--memory)",
        "run plate out --memory 1GiB",
    ),
    Mistake(
        "run plate out --workers 0",
        CONFIGURATION,
        ("bad value for --workers",),
        "'0' is too small",
        "a whole number from 1 to 256",
        "run plate out --workers 1",
    ),
    Mistake(
        "run plate out",
        CONFIGURATION,
        ("bad value for CYTOBATCH_WORKERS", "environment"),
        "'many' is no whole number",
        "a whole number from 1 to 256",
        "run plate out",
        env={"CYTOBATCH_WORKERS": "many"},
        fixed_env={"CYTOBATCH_WORKERS": "1"},
    ),
    Mistake(
        "run plate out",
        CONFIGURATION,
        ("unknown environment variable CYTOBATCH_PLATMAP",),
        "no option has that name",
        "did you mean 'CYTOBATCH_PLATEMAP'?",
        "run plate out",
        files={"map.txt": PLATEMAP},
        env={"CYTOBATCH_PLATMAP": "map.txt"},
        fixed_env={"CYTOBATCH_PLATEMAP": "map.txt"},
    ),
    Mistake(
        "run",
        CONFIGURATION,
        ("no source given",),
        "a plate needs a source",
        "set CYTOBATCH_SOURCE",
        "run",
        env={"CYTOBATCH_SOURCE": "", "CYTOBATCH_DESTINATION": "out"},
        fixed_env={"CYTOBATCH_SOURCE": "plate", "CYTOBATCH_DESTINATION": "out"},
    ),
    Mistake(
        "run plate out --data-type-cast-map {float:float32}",
        CONFIGURATION,
        ("bad value for --data-type-cast-map",),
        "'{float:float32}': it cannot be read",
        "float=float32",
        "run plate out --data-type-cast-map float=float32",
    ),
    Mistake(
        "run plate out --column-types AreaShape_Area:number",
        CONFIGURATION,
        ("bad value for --column-types",),
        "AreaShape_Area:number",
        "AreaShape_Area=number",
        "run plate out --column-types AreaShape_Area=number",
    ),
    Mistake(
        "run plate out --image-columns '*_DNA'",
        CONFIGURATION,
        ("bad value for --image-columns",),
        "no regular expression",
        "a regular expression such as",
        "run plate out --image-columns '.*_DNA'",
    ),
    Mistake(
        "run plate out --compartments 'Cells Nuclei'",
        INPUT,
        ("no table for compartment cells nuclei",),
        "none of 2 exports has one",
        "separated by commas",
        "run plate out --compartments Cells,Nuclei",
    ),
    Mistake(
        "run plate out --task-runner thread:2",
        CONFIGURATION,
        ("bad value for --task-runner",),
        "'thread:2' is no task runner",
        "one of sequential, threads:N",
        "run plate out --task-runner sequential",
    ),
    Mistake(
        "run plate out --task-runner dask:http://host",
        CONFIGURATION,
        ("bad value for --task-runner",),
        "'http://host' is no address of a Dask scheduler",
        "dask:tcp://host:8786",
        "validate plate out --orchestrator prefect --task-runner dask:tcp://host:8786",
    ),
    Mistake(
        "run plate plate.parquet --no-concat",
        CONFIGURATION,
        ("bad value for 'destination'", "command line"),
        "a .parquet file holds one joined profile, but concat is off",
        "name a folder",
        "run plate out --no-concat",
    ),
    Mistake(
        "run plate out --cache-mode persistent",
        CONFIGURATION,
        ("bad value for 'cache_mode'",),
        "cache_dir, which is not given",
        "name a cache_dir",
        "run plate out --cache-mode persistent --cache-dir cache",
    ),
    Mistake(
        "run plate out --anndata-precision float32",
        CONFIGURATION,
        ("bad value for 'anndata_precision'",),
        "anndata is not given",
        "give anndata, too",
        "validate plate out --anndata h5ad --anndata-precision float32",
    ),
    Mistake(
        "run plate out --joins 'SELECT * FORM cells'",
        CONFIGURATION,
        ("joins is not one SELECT",),
        'syntax error at or near "cells"',
        "write one SELECT in DuckDB's SQL",
        "run plate out --joins 'SELECT * FROM cells'",
    ),
    Mistake(
        "run plate out --joins 'SELECT * FROM cell'",
        CONFIGURATION,
        ("joins names cell, which is no table",),
        "the plate's tables are cells",
        "as they are listed here",
        "run plate out --joins 'SELECT * FROM cells'",
    ),
    Mistake(
        "run plate out --endpoint-url minio:9000",
        CONFIGURATION,
        ("bad value for --endpoint-url",),
        "'minio:9000': it must begin with https:// or http://",
        "a URL such as https://",
        "run plate out --endpoint-url http://minio:9000",
    ),
]
LOCATIONS = [
    Mistake("run plaet out", INPUT, ("missing or empty: plaet",), "no 'plaet' in", "/plate?", "run plate out"),
    Mistake("run empty out", INPUT, ("empty",), "the folder is empty", "has the measurements", "run plate out"),
    Mistake(
        "run out plate",
        INPUT,
        ("the source is a result of cytobatch: out",),
        "run-report.json",
        "cytobatch run SOURCE DESTINATION",
        "run plate out",
        before="run plate out",
    ),
    Mistake(
        "run plate/P1-A01-1/Cells.csv out",
        INPUT,
        ("one table of several", "Cells.csv"),
        "lie beside it",
        "give their folder as the source",
        "run plate/P1-A01-1 out",
    ),
    Mistake(
        "run screen out",
        INPUT,
        ("ambiguous layout: screen",),
        "there are both",
        "point the source at it alone",
        "run screen/csv out",
    ),
    Mistake(
        "run images out",
        INPUT,
        ("no compartment tables: images",),
        "only image is there",
        "Cells.csv, Nuclei.csv",
        "run plate out",
    ),
    Mistake(
        "run plate out --preset in-carta",
        INPUT,
        ("8 of 8 exports failed",),
        "no OBJECT ID",
        "leave out the preset 'in-carta'",
        "run plate out",
    ),
    Mistake(
        "run plate notes.txt",
        ACCESS,
        ("destination is not a folder: notes.txt",),
        "notes.txt is a file",
        "name a folder",
        "run plate notes",
        files={"notes.txt": "mine"},
    ),
    Mistake(
        "run plate plate/out", CONFIGURATION, ("lies in the source",), "the source is plate", "outside", "run plate out"
    ),
    Mistake(
        "run plate /proc/out",
        ACCESS,
        ("no such file: /proc/out",),
        "in /proc",
        "check the path",
        "run plate out",
    ),
    Mistake(
        "run s3:/bucket/plate out",
        CONFIGURATION,
        ("bad value for --source",),
        "two slashes follow s3:",
        "write s3://bucket/plate",
        "run s3://{bucket}/plate out",
    ),
    Mistake(
        "run 'C:\\screens\\plate' out",
        CONFIGURATION,
        ("bad value for --source",),
        "a path of Windows",
        "in WSL write /mnt/c/screens/plate",
        "run plate out",
    ),
    Mistake(
        "run https://bucket.s3.amazonaws.com/plate out",
        CONFIGURATION,
        ("bad value for --source",),
        "nothing here reads or writes https://",
        "s3://",
        "run s3://{bucket}/plate out",
    ),
    Mistake(
        "run s3://no-such-bucket-of-mine/plate out",
        ACCESS,
        ("no such bucket", "s3://no-such-bucket-of-mine/plate"),
        "NoSuchBucket",
        "check the name",
        "run s3://{bucket}/plate out",
    ),
    Mistake(
        "run s3://{bucket}/Plate out",
        INPUT,
        ("source is missing or empty", "/Plate"),
        "no object in the bucket has a name that begins with it",
        "upper and lower case",
        "run s3://{bucket}/plate out",
    ),
    Mistake(
        "run s3://{bucket}/plate out",
        ACCESS,
        ("no credentials", "s3://"),
        "credentials",
        "--no-sign-request",
        "run s3://{bucket}/plate out",
        env=NOBODY,
    ),
    Mistake(
        "run s3://{bucket}/plate out --profile labb",
        ACCESS,
        ("no credentials",),
        "labb",
        "a profile that exists (--profile)",
        "run s3://{bucket}/plate out",
    ),
]
FURTHER = [
    Mistake(
        "run plate out --platemap map.csv",
        ACCESS,
        ("no such file: map.csv",),
        "there is no 'map.csv' in",
        "/map.txt?",
        "run plate out --platemap map.txt",
        files={"map.txt": PLATEMAP},
    ),
    Mistake(
        "run plate out --platemap map.txt",
        INPUT,
        ("not the table it should be: map.txt",),
        "no column well_position, but Well, compound",
        "it needs the columns well_position",
        "run plate out --platemap map.txt",
        files={"map.txt": "Well\tcompound\nA01\tDMSO\n"},
        mended={"map.txt": PLATEMAP},
    ),
    Mistake(
        "run plate out --platemap map.txt",
        INPUT,
        ("platemap of other wells: map.txt",),
        "it has P24, and plate P1 has A01",
        "give the platemap of this plate",
        "run plate out --platemap map.txt",
        files={"map.txt": "well_position\tcompound\nP24\tDMSO\n"},
        mended={"map.txt": PLATEMAP},
    ),
    Mistake(
        "run plate out --platemap map.xlsx",
        INPUT,
        ("not a text table: map.xlsx",),
        "it is an Excel workbook",
        "save it as CSV",
        "run plate out --platemap map.csv",
        files={"map.xlsx": "PK\x03\x04", "map.csv": PLATEMAP.replace("\t", ",")},
    ),
    Mistake(
        "run --job-spec spec.yaml",
        ACCESS,
        ("no such file: spec.yaml",),
        "there is no 'spec.yaml' in",
        "/specs.yaml?",
        "run --job-spec specs.yaml",
        files={"specs.yaml": SPEC},
    ),
    Mistake(
        "run spec.yaml",
        CONFIGURATION,
        ("no destination given",),
        "needs a source and a destination",
        "give it with --job-spec",
        "run --job-spec spec.yaml",
        files={"spec.yaml": SPEC},
    ),
    Mistake(
        "run --job-spec spec.yaml",
        CONFIGURATION,
        ("job spec is neither JSON nor YAML: spec.yaml",),
        "(line 3, column 1)",
        "mend it",
        "run --job-spec spec.yaml",
        files={"spec.yaml": "plates:\n- source: plate\n\tdestination: out\n"},
        mended={"spec.yaml": SPEC},
    ),
    Mistake(
        "run --job-spec spec.json",
        CONFIGURATION,
        ("job spec is neither JSON nor YAML: spec.json",),
        "line 2",
        "mend it",
        "run --job-spec spec.json",
        files={"spec.json": '{"plates": [{"source": "plate", "destination": "out"}]\n'},
        mended={"spec.json": '{"plates": [{"source": "plate", "destination": "out"}]}\n'},
    ),
    Mistake(
        "run --job-spec spec.yaml",
        CONFIGURATION,
        ("unknown key 'plates.0.destinaton': spec.yaml",),
        "no such option",
        "did you mean 'destination'?",
        "run --job-spec spec.yaml",
        files={"spec.yaml": "plates: [{source: plate, destinaton: out}]"},
        mended={"spec.yaml": SPEC},
    ),
    Mistake(
        "run --job-spec spec.yaml",
        CONFIGURATION,
        ("unknown key 'source': spec.yaml",),
        "no such option",
        "below 'defaults' or 'plates'",
        "run --job-spec spec.yaml",
        files={"spec.yaml": "source: plate\ndestination: out\n"},
        mended={"spec.yaml": SPEC},
    ),
    Mistake(
        "run --job-spec spec.yaml",
        CONFIGURATION,
        ("bad value for 'plates.0.plate': spec.yaml",),
        "24512 is no text",
        "in a job spec write numbers and dates in quotes",
        "run --job-spec spec.yaml",
        files={"spec.yaml": "plates: [{plate: 24512, source: plate, destination: out}]"},
        mended={"spec.yaml": "plates: [{plate: '24512', source: plate, destination: out}]"},
    ),
    Mistake(
        "run --job-spec spec.yaml",
        CONFIGURATION,
        ("bad value for 'version': spec.yaml",),
        "2 is too large",
        "from 1 to 1",
        "run --job-spec spec.yaml",
        files={"spec.yaml": f"version: 2\n{SPEC}"},
        mended={"spec.yaml": f"version: 1\n{SPEC}"},
    ),
    Mistake(
        "run --job-spec spec.yaml",
        CONFIGURATION,
        ("plates 0 and 1 share a destination",),
        "out",
        "by {plate} in the destination",
        "run --job-spec spec.yaml",
        files={"spec.yaml": "plates: [{source: plate, destination: out}, {source: my plate, destination: out}]"},
        mended={"spec.yaml": "{defaults: {destination: 'out/{plate}'}, plates: [{source: plate}, {source: my plate}]}"},
    ),
    Mistake(
        "run 'screen/{plate}' out",
        CONFIGURATION,
        ("source names {plate}, but none is given",),
        "'screen/{plate}'",
        "'plate'",
        "run 'screen/{plate}' out --plate csv",
    ),
    Mistake(
        "run 'screen/{plate}' 'out/{palte}' --plate csv",
        CONFIGURATION,
        ("destination names {palte}",),
        "'out/{palte}'",
        "only {plate} and {batch} are known",
        "run 'screen/{plate}' 'out/{plate}' --plate csv",
    ),
    Mistake(
        "run 'screen/{plate}' 'out/{plate}' --plate 'BR*'",
        INPUT,
        ("no plate found",),
        "no folder fits 'BR*' in screen",
        "check source, batch and plate",
        "run 'screen/{plate}' 'out/{plate}' --plate 'c*'",
    ),
    Mistake(
        "run plate out",
        INPUT,
        ("at least 1 of 2 exports failed: plate",),
        "P1-A01-2/Cells.csv",
        "--max-failed-exports",
        "run plate out --max-failed-exports 1",
        files={"plate/P1-A01-2/Cells.csv": ""},
    ),
    Mistake(
        "verify plate",
        ACCESS,
        ("no result of cytobatch: plate",),
        "there is no run-report.json",
        "name the folder or the .parquet file that a run wrote",
        "verify out",
        before="run plate out",
    ),
    Mistake(
        "verify out --source plate --cells ten",
        CONFIGURATION,
        ("bad value for --cells", "cytobatch verify"),
        "'ten'",
        "a whole number or one of all",
        "verify out --source plate --cells 2",
        before="run plate out",
    ),
    Mistake(
        "example plate",
        CONFIGURATION,
        ("folder is not empty: plate",),
        "would be mixed",
        "name a new folder",
        "example new --wells 1 --sites 1",
    ),
    Mistake(
        "example new --kind sqlit --wells 1",
        CONFIGURATION,
        ("bad value for --kind", "cytobatch example"),
        "'sqlit'",
        "did you mean 'sqlite'? give one of csv, sqlite",
        "example new --kind sqlite --wells 1 --sites 1",
    ),
]
MISTAKES = [*WORDS, *VALUES, *LOCATIONS, *FURTHER]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with plates and what people keep beside them; the current one."""
    plate = write_sites(tmp_path / "plate", 2, 2)
    (tmp_path / "my plate").symlink_to(plate)
    (tmp_path / "empty").mkdir()
    (tmp_path / "screen").mkdir()
    (tmp_path / "screen" / "csv").symlink_to(plate)
    write_sqlite(tmp_path / "screen" / "sqlite" / "p.sqlite", cytominer_tables(site_tables(2), 1))
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "Image.csv").symlink_to(plate / "P1-A01-1" / "Image.csv")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CYTOBATCH_ORCHESTRATOR", "none")
    return tmp_path


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: f"{mistake.wrong} {' '.join(mistake.what)}")
def test_a_mistake_has_a_message_whose_fix_works(
    mistake: Mistake,
    folder: Path,
    bucket: str,
    upload: Callable[[Path, str], str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if "{bucket}" in mistake.wrong + mistake.right:
        upload(folder / "plate", "plate")
    write(folder, mistake.files)
    if mistake.before:
        assert main(shlex.split(mistake.before)) == ExitCode.OK
    with monkeypatch.context() as changes:
        set_all(changes, mistake.env)
        code = main(shlex.split(mistake.wrong.replace("{bucket}", bucket)))
    printed = capsys.readouterr().err
    messages = list(MESSAGE.finditer(printed))
    assert len(messages) == 1, printed
    for words in mistake.what:
        assert words in messages[0]["what"]
    assert mistake.why in messages[0]["why"]
    assert mistake.fix in messages[0]["fix"]
    assert code == mistake.code
    write(folder, mistake.mended)
    set_all(monkeypatch, mistake.fixed_env)
    assert main(shlex.split(mistake.right.replace("{bucket}", bucket))) == ExitCode.OK, capsys.readouterr().err


def test_there_are_forty_mistakes() -> None:
    assert len(MISTAKES) >= 40


def write(folder: Path, files: Files) -> None:
    for name, text in files.items():
        (folder / name).write_text(text)


def set_all(changes: Any, variables: Files) -> None:
    for name, value in variables.items():
        changes.setenv(name, value)
