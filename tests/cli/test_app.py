"""The command line: messages, exit codes, and what a run leaves behind. No test here needs a server."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cytobatch import __version__
from cytobatch.cli.app import main
from cytobatch.config.presets.catalog import PresetName
from cytobatch.errors import ExitCode
from cytobatch.synthetic import PlateFormat
from tests.support.plates import cytominer_tables, site_tables, write_sites, write_sqlite
from tests.support.program import Run

Capture = pytest.CaptureFixture[str]


def answer(capsys: Capture, *arguments: object) -> tuple[int, str, str]:
    code = main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_plan_shows_what_a_run_would_do_and_does_nothing(tmp_path: Path, capsys: Capture) -> None:
    source = write_sites(tmp_path / "in", 3, 4)
    limits = ("--workers", 2, "--memory", "3GiB")
    code, out, _ = answer(capsys, "plan", "--source", source, "--destination", tmp_path / "out", *limits)
    assert code == 0
    assert "limits        2 workers, 3.2 GB memory" in out
    assert re.search(r"^memory        at least [34]\d\d MiB$", out, re.MULTILINE)
    for word in ("csv, preset cellprofiler_csv", "3: P1-A01-1", "12 to read", "5 columns, 12 rows", "one row for each"):
        assert word in out
    assert "single_cells.parquet" in out
    assert "run-report.json" in out
    assert not (tmp_path / "out").exists()


def test_plan_shows_an_invalid_table(tmp_path: Path, capsys: Capture) -> None:
    source = write_sites(tmp_path / "in", 2, 4)
    (source / "P1-A01-2" / "Cells.csv").write_bytes(b"")
    code, out, _ = answer(capsys, "plan", "--source", source, "--destination", tmp_path / "out")
    assert code == 0
    assert "P1-A01-2/Cells.csv" in out
    assert "empty file" in out
    assert "invalid       P1-A01-2/Cells.csv" in out


def test_plan_of_a_sqlite_file_counts_its_rows(tmp_path: Path, capsys: Capture) -> None:
    write_sqlite(tmp_path / "in" / "p.sqlite", cytominer_tables(site_tables(7), "t"))
    _, out, _ = answer(capsys, "plan", "--source", tmp_path / "in", "--destination", tmp_path / "out.parquet")
    assert "7 rows" in out
    assert "sqlite, preset cell-health" in out


def test_plan_of_a_bucket_shows_tables_rows_and_joins_of_a_few_exports(
    upload: Callable[[Path, str], str], tmp_path: Path, capsys: Capture, bucket: str
) -> None:
    uri = upload(write_sites(tmp_path / "in", 8, 4), "in")
    code, out, _ = answer(capsys, "plan", "--source", uri, "--destination", f"s3://{bucket}/out")
    assert code == 0
    assert "32 to read" in out
    assert re.search(r"^looked at     3 of 8 exports, \d.* fetched$", out, re.MULTILINE)
    assert "cells: 4 columns, about 32 rows" in out
    assert "join          one row for each object of cytoplasm" in out


def test_validate_takes_spec_environment_and_flags_together(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = tmp_path / "spec.yaml"
    spec.write_text(
        "defaults: {preset: cellprofiler_csv, destination: '/out/{plate}'}\n"
        "plates: [{plate: P1, source: /in/1}, {plate: P2, source: /in/2}]\n"
    )
    _, out, _ = answer(capsys, "validate", "--job-spec", spec)
    assert "valid: 2 plates" in out
    assert "P2: /in/2 -> /out/P2 (cellprofiler_csv)" in out
    monkeypatch.setenv("CYTOBATCH_JOB_SPEC", str(spec))
    monkeypatch.setenv("CYTOBATCH_PRESET", "cellprofiler_sqlite")
    assert "(cellprofiler_sqlite)" in answer(capsys, "validate")[1]
    assert "(auto)" in answer(capsys, "validate", "--preset", "auto")[1]
    monkeypatch.setenv("AWS_BATCH_JOB_ARRAY_INDEX", "1")
    out = answer(capsys, "validate")[1]
    assert "valid: 1 plate" in out
    assert "P2" in out


@pytest.mark.parametrize("preset", list(PresetName))
def test_every_preset_is_chosen_by_its_name(preset: PresetName, capsys: Capture) -> None:
    code, out, _ = answer(capsys, "validate", "--source", "/in", "--destination", "/out", "--preset", preset.value)
    assert code == 0
    assert f"({preset.value})" in out


def test_flags_take_lists_mappings_and_sizes(capsys: Capture) -> None:
    code, _, err = answer(
        capsys,
        "validate",
        "--source",
        "/in",
        "--destination",
        "/out",
        "--compartments",
        "cells,nuclei",
        "--memory",
        "2GiB",
        "--data-type-cast-map",
        '{"float": "float32"}',
        "--no-join",
        "--no-sign-request",
    )
    assert (code, err) == (0, "")


def test_a_spec_may_be_given_as_text(capsys: Capture) -> None:
    spec = json.dumps({"plates": [{"source": "/in", "destination": "/out"}]})
    assert answer(capsys, "validate", "--job-spec", spec)[0] == 0


def test_a_flag_whose_value_is_a_dash_is_dropped(capsys: Capture) -> None:
    spec = json.dumps({"plates": [{"source": "/in", "destination": "/out"}]})
    code, out, _ = answer(capsys, "validate", "--source", "-", "--destination", "-", "--job-spec", spec)
    assert code == 0
    assert "/in -> /out" in out
    code, out, _ = answer(capsys, "validate", "--source", "/a", "--destination", "/b", "--job-spec", "-")
    assert code == 0
    assert "/a -> /b" in out
    code, _, err = answer(capsys, "validate", "--source", "/a", "--destination", "-", "--job-spec", "-")
    assert code == 2
    assert "no destination given" in err


def test_schema_is_json_schema(capsys: Capture) -> None:
    code, out, _ = answer(capsys, "schema")
    assert code == 0
    assert json.loads(out)["title"] == "JobSpec"


def test_example_makes_a_plate(tmp_path: Path, capsys: Capture) -> None:
    code, out, _ = answer(capsys, "example", tmp_path / "p", "--wells", 1, "--sites", 2, "--features", 3)
    assert code == 0
    assert "of 2 sites" in out
    assert (tmp_path / "p" / "BR00117035-A01-1" / "Cells.csv").exists()


@pytest.mark.parametrize("kind", list(PlateFormat))
def test_an_example_of_each_format_is_known_and_has_its_platemap(
    kind: PlateFormat, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    small = ("--wells", 2, "--sites", 1, "--features", 10)
    code, out, _ = answer(capsys, "example", "~/p", "--kind", kind.value, "--platemap", "~/maps/p.txt", *small)
    assert code == 0
    assert f"next: cytobatch run {tmp_path}/p profiles --platemap {tmp_path}/maps/p.txt" in out
    code, out, _ = answer(capsys, "plan", "~/p", "--platemap", "~/maps/p.txt")
    assert code == 0
    assert "single_cells.parquet" in out
    code, _, err = answer(capsys, "example", tmp_path / "q", "--platemap", tmp_path / "maps" / "p.txt")
    assert code == ExitCode.CONFIGURATION
    assert "platemap exists" in err
    assert not (tmp_path / "q").exists()


def test_a_plan_needs_no_destination(tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write_sites(tmp_path / "in", 1)
    code, out, _ = answer(capsys, "plan", source)
    assert code == 0
    assert " DESTINATION/single_cells.parquet\n" in out
    assert " DESTINATION/run-report.json\n" in out
    _, out, _ = answer(capsys, "plan", tmp_path / "{plate}", "--plate", "i*")
    assert " DESTINATION/in/single_cells.parquet\n" in out
    monkeypatch.setenv("CYTOBATCH_DESTINATION", str(tmp_path / "out"))
    assert f" {tmp_path}/out/single_cells.parquet\n" in answer(capsys, "plan", source)[1]


def test_version(capsys: Capture) -> None:
    assert answer(capsys, "--version") == (0, f"{__version__}\n", "")


def source_of_two_kinds(folder: Path) -> Path:
    write_sqlite(folder / "p.sqlite", cytominer_tables(site_tables(2), 1))
    return write_sites(folder, 1)


def zero_bytes(folder: Path) -> Path:
    folder.mkdir()
    (folder / "p.sqlite").write_bytes(b"")
    return folder


def no_database(folder: Path) -> Path:
    folder.mkdir()
    (folder / "p.sqlite").write_bytes(b"ImageNumber,ObjectNumber\n1,1\n")
    return folder


ERRORS: list[tuple[Callable[[Path], Path], dict[str, Any], ExitCode, list[str]]] = [
    (
        write_one := lambda folder: write_sites(folder, 1),
        {"preset": "celprofiler_csv"},
        ExitCode.CONFIGURATION,
        ["bad value for --preset", "'celprofiler_csv'", "did you mean 'cellprofiler_csv'"],
    ),
    (lambda folder: folder / "nowhere", {}, ExitCode.INPUT_DATA, ["source is missing or empty", "nowhere"]),
    (source_of_two_kinds, {}, ExitCode.INPUT_DATA, ["ambiguous layout", "p.sqlite", "preset"]),
    (no_database, {}, ExitCode.INPUT_DATA, ["p.sqlite", "not a SQLite database", "max_failed_exports"]),
    (zero_bytes, {}, ExitCode.INPUT_DATA, ["p.sqlite", "empty file", "0 bytes"]),
    (write_one, {"joins": "SELECT * FROM ghosts"}, ExitCode.CONFIGURATION, ["joins names ghosts", "cells, cytoplasm"]),
    (write_one, {"joins": "SELECT 1"}, ExitCode.CONFIGURATION, ["joins names no table"]),
    (
        write_one,
        {"joins": "SELECT * FROM cells, read_text('/etc/passwd')"},
        ExitCode.CONFIGURATION,
        ["joins may not use the function read_text()"],
    ),
    (
        write_one,
        {"data-type-cast-map": '{"float": "flot"}'},
        ExitCode.CONFIGURATION,
        ["--data-type-cast-map", "'flot'"],
    ),
    (write_one, {"destination": "s3://no-such-bucket-at-all/x"}, ExitCode.ACCESS, ["s3://no-such-bucket-at-all/x"]),
    (write_one, {"source": "s3://no-such-bucket-at-all/x"}, ExitCode.ACCESS, ["s3://no-such-bucket-at-all/x"]),
]


@pytest.mark.parametrize(("source", "options", "code", "words"), ERRORS)
def test_an_error_is_one_message_an_exit_code_and_nothing_at_the_destination(
    source: Callable[[Path], Path],
    options: dict[str, Any],
    code: ExitCode,
    words: list[str],
    tmp_path: Path,
    capsys: Capture,
    aws: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The steps of a run without Prefect, which has tests of its own.
    monkeypatch.setattr("cytobatch.cli.run_command.convert_all", _without_prefect)
    options = {"source": source(tmp_path / "in"), "destination": tmp_path / "out"} | options
    flags = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    exit_code, _, err = answer(capsys, "run", *flags)
    assert exit_code == code
    assert err.count("error: ") == 1
    assert "Traceback" not in err
    assert "fix:" in err
    for word in words:
        assert word in err
    assert not (tmp_path / "out").exists()
    assert aws


def _without_prefect(jobs: list[Any], *, debug: bool) -> int:  # noqa: ARG001
    from cytobatch.pipeline.plate import run_plate  # noqa: PLC0415

    for job in jobs:
        run_plate(job)
    return 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "--sorce", "x"], ["--sorce", "--source"]),
        (["run"], ["no source given", "CYTOBATCH_SOURCE"]),
        (["run", "--source", "/in", "--destination", "/out", "--memory", "3"], ["memory"]),
        (["run", "--job-spec", "/no/such/spec.json"], ["/no/such/spec.json"]),
        (["rum"], ["rum"]),
    ],
)
def test_an_invalid_command_line_is_an_error_without_a_traceback(
    arguments: list[str], words: list[str], capsys: Capture
) -> None:
    code, _, err = answer(capsys, *arguments)
    assert code in (ExitCode.CONFIGURATION, ExitCode.ACCESS)
    assert all(word in err for word in words)
    assert "Traceback" not in err


def test_an_unexpected_error_is_shown_without_a_traceback(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> int:
        raise RuntimeError("the unforeseen")

    monkeypatch.setattr("cytobatch.cli.run_command.convert_all", fail)
    flags = ["run", "--source", "/in", "--destination", "/out"]
    code, _, err = answer(capsys, *flags)
    assert (code, "Traceback" in err) == (ExitCode.INTERNAL, False)
    assert "unexpected RuntimeError" in err
    assert "the unforeseen" in err
    assert "Traceback" in answer(capsys, *flags, "--debug")[2]


def test_lists_are_repeated_flags_or_separated_by_commas(tmp_path: Path, cytobatch: Run) -> None:
    write_sites(tmp_path / "in", 1)
    for flags in (["--compartments", "cells,nuclei"], ["--compartments", "cells", "--compartments", "nuclei"]):
        done = cytobatch("plan", "--source", "in", "--destination", "out", *flags)
        assert "compartments  cells, nuclei" in done.stdout, done.stderr
