"""The public API: `import cytobatch`."""

import inspect
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import cytobatch
from cytobatch import convert, errors
from cytobatch.config.option_types import Aggregation, AnnDataFormat, CacheMode
from cytobatch.config.options import PlateJob
from cytobatch.config.presets.catalog import PresetName
from cytobatch.report.model import RunReport
from cytobatch.synthetic import PlateFormat, SyntheticPlate, write_plate
from tests.conftest import Run
from tests.pipeline.test_skip_done import old_sites
from tests.support.plates import site_tables, write_site, write_sites
from tests.support.subprocesses import run_python

STEPS = ["plan", "survey", "convert", "publish", "report"]


@pytest.fixture
def plate(tmp_path: Path) -> Path:
    return write_sites(tmp_path / "in", 2, 4)


def job_of(*arguments: Any, **options: Any) -> PlateJob:
    """Return the job that the API resolves its arguments to."""
    return cytobatch.plan(*arguments, **options).plan.job


# The package's face


def test_every_public_name_is_listed_and_there() -> None:
    assert cytobatch.__all__ == sorted(cytobatch.__all__)
    assert set(cytobatch.__all__) <= set(dir(cytobatch))
    for name in cytobatch.__all__:
        assert getattr(cytobatch, name)


def test_the_help_of_the_package_begins_with_its_functions() -> None:
    """`help(cytobatch)` shows the docstring first; classes follow with all that they inherit."""
    assert cytobatch.__doc__
    functions = [name for name in cytobatch.__all__ if name.islower() and not name.startswith("_")]
    assert [name for name in functions if f"\n    {name}(" not in cytobatch.__doc__] == []
    for name in functions:
        documented = inspect.getdoc(getattr(cytobatch, name)) or ""
        assert [part for part in ("Parameters", "Returns", "Raises") if f"\n{part}\n---" not in documented] == []


def test_every_class_of_error_is_public() -> None:
    def subclasses(kind: type[Exception]) -> set[type[Exception]]:
        return {kind}.union(*(subclasses(child) for child in kind.__subclasses__()))

    declared = {kind for kind in subclasses(errors.CytobatchError) if kind.__module__ == errors.__name__}
    assert {getattr(cytobatch, kind.__name__) for kind in declared} == declared


def test_a_name_that_is_not_public_is_an_attribute_error() -> None:
    name = "unknown_name"
    with pytest.raises(AttributeError, match="module 'cytobatch' has no attribute 'unknown_name'"):
        getattr(cytobatch, name)


def test_the_import_of_the_package_imports_nothing_else() -> None:
    modules = run_python(
        """
        import sys
        before = set(sys.modules)
        import cytobatch
        assert cytobatch.__version__ and dir(cytobatch)
        print(sorted(set(sys.modules) - before))
        """
    )
    assert modules == "['cytobatch']\n"


def test_an_error_class_costs_no_import_of_the_pipeline() -> None:
    run_python("import sys, cytobatch; cytobatch.StorageError; assert not {'pyarrow', 'pydantic'} & set(sys.modules)")


# Options


OPTIONS: list[tuple[str, Any, Any]] = [
    ("compartments", "cells,nuclei", ["cells", "nuclei"]),
    ("compartments", '["cells", "nuclei"]', ("cells", "nuclei")),
    ("memory", "3GiB", 3 * 2**30),
    ("workers", "2", 2),
    ("preset", "auto", PresetName.AUTO),
    ("join", "false", False),
    ("sort_output", "no", False),
    ("well_profiles", "median", Aggregation.MEDIAN),
    ("anndata", "h5ad,zarr", [AnnDataFormat.H5AD, "zarr"]),
    ("column_types", "AreaShape_Area=text", {"AreaShape_Area": "text"}),
    ("data_type_cast_map", '{"float": "float32"}', {"float": "float32"}),
    ("cache_mode", "tmp_dir", CacheMode.TMP_DIR),
    ("scratch_dir", "/tmp", Path("/tmp")),
]


@pytest.mark.parametrize(("name", "text", "value"), OPTIONS, ids=[f"{name}={text}" for name, text, _ in OPTIONS])
def test_a_keyword_takes_the_text_of_a_flag_or_a_value_of_the_options_type(
    name: str, text: str, value: Any, plate: Path, tmp_path: Path
) -> None:
    by_text, by_value = (job_of(plate, tmp_path / "out", **{name: given}) for given in (text, value))
    assert by_text == by_value
    assert name in by_text.model_fields_set


def test_a_name_with_a_comma_in_a_list_stays_whole(plate: Path, tmp_path: Path) -> None:
    job = job_of(plate, tmp_path / "out", identifying_columns=["Location, X", "Area"])
    assert job.identifying_columns == ("Location, X", "Area")


def test_source_and_destination_are_text_or_paths_in_any_position(plate: Path, tmp_path: Path) -> None:
    jobs = [
        job_of(plate, tmp_path / "out"),
        job_of(str(plate), str(tmp_path / "out")),
        job_of(destination=tmp_path / "out", source=plate),
    ]
    assert jobs[0] == jobs[1] == jobs[2]


def test_a_keyword_wins_over_the_environment_and_that_over_the_spec(
    plate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = {"defaults": {"workers": 5, "well": "B02", "site": "7"}, "plates": [{"source": str(plate)}]}
    monkeypatch.setenv("CYTOBATCH_WORKERS", "4")
    monkeypatch.setenv("CYTOBATCH_WELL", "C03")
    monkeypatch.setenv("CYTOBATCH_DESTINATION", str(tmp_path / "out"))
    job = job_of(job_spec=spec, workers=3)
    assert (job.workers, job.well, job.site) == (3, "C03", "7")
    assert job.destination == str(tmp_path / "out")


def test_none_leaves_an_option_to_the_environment(plate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CYTOBATCH_WORKERS", "4")
    assert job_of(plate, tmp_path / "out", workers=None).workers == 4


def test_the_environment_may_give_all(plate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CYTOBATCH_SOURCE", str(plate))
    monkeypatch.setenv("CYTOBATCH_DESTINATION", str(tmp_path / "out"))
    assert cytobatch.convert().counts.rows == 8


# Job specs


def spec_of(plates: Mapping[str, Path], destination: Path) -> dict[str, Any]:
    return {
        "defaults": {"destination": destination / "{plate}"},
        "plates": [{"plate": name, "source": source} for name, source in plates.items()],
    }


def test_a_job_spec_is_a_mapping_json_text_or_a_path(plate: Path, tmp_path: Path) -> None:
    document = spec_of({"P1": plate}, tmp_path)
    text = json.dumps(document, default=str)
    path = tmp_path / "spec.json"
    path.write_text(text)
    jobs = [job_of(job_spec=spec) for spec in (document, text, path, str(path))]
    assert all(job == jobs[0] for job in jobs)
    assert (jobs[0].plate, jobs[0].destination) == ("P1", str(tmp_path / "P1"))


def test_several_plates_are_refused_by_name_until_one_is_picked(
    plate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = spec_of({f"P{number}": plate for number in range(12)}, tmp_path)
    with pytest.raises(cytobatch.ConfigurationError, match="12 plates match, but one is expected") as caught:
        cytobatch.convert(job_spec=document)
    assert caught.value.why == "they are P0, P1, P2, P3, P4, P5, P6, P7, P8, P9 and 2 more"
    assert "array_index=0 to 11" in caught.value.remedy
    assert job_of(job_spec=document, array_index=3).plate == "P3"
    assert job_of(job_spec=document, array_index=0).plate == "P0"
    monkeypatch.setenv("AWS_BATCH_JOB_ARRAY_INDEX", "5")
    assert job_of(job_spec=document).plate == "P5"
    assert job_of(job_spec=document, array_index=3).plate == "P3"
    with pytest.raises(cytobatch.JobSpecError, match="no plate has array index 12"):
        cytobatch.convert(job_spec=document, array_index=12)


def test_a_plate_of_a_pattern_is_picked_by_its_name(tmp_path: Path) -> None:
    for name in ("P1", "P2"):
        write_site(tmp_path / "in" / name, site_tables(2, plate=name))
    folders = (f"{tmp_path}/in/{{plate}}", f"{tmp_path}/out/{{plate}}")
    with pytest.raises(cytobatch.ConfigurationError, match="2 plates match"):
        cytobatch.convert(*folders, plate="*")
    assert cytobatch.convert(*folders, plate="P2").source == str(tmp_path / "in" / "P2")


# Errors


@pytest.mark.parametrize(
    ("options", "message", "remedy"),
    [
        ({"wokers": 2}, "unknown option 'wokers'", "did you mean 'workers'?"),
        ({"progres": print}, "unknown option 'progres'", "did you mean 'progress'?"),
        ({"task_runner": "threads:2"}, "option 'task_runner' is of the command alone", "use `cytobatch run`"),
        ({"credentials": "aws-credentials/lab"}, "option 'credentials' is of the command alone", "an AWS profile"),
        ({"zzz": 2}, "unknown option 'zzz'", "known options: source, destination, plate"),
        ({"preset": "celprofiler_csv"}, "bad value for 'preset'", "did you mean 'cellprofiler_csv'?"),
        ({"memory": "3"}, "bad value for 'memory'", "3GiB"),
        ({"workers": 0}, "bad value for 'workers'", "from 1 to 256"),
        ({"compartments": "[cells"}, "bad value for 'compartments'", "separated by commas"),
        ({"job_spec": {}}, "no 'plates' given", "source"),
        ({"job_spec": {"plates": [{"sorce": "/in"}]}}, "unknown key 'plates.0.sorce'", "did you mean 'source'?"),
        ({"array_index": -1}, "bad value for 'array_index': -1", "the position of a plate"),
        ({"array_index": 1}, "no plate has array index 1", "array of the spec's size"),
    ],
)
def test_an_option_that_is_not_valid_is_refused(
    options: dict[str, Any], message: str, remedy: str, plate: Path, tmp_path: Path
) -> None:
    with pytest.raises(cytobatch.JobSpecError) as caught:
        cytobatch.convert(plate, tmp_path / "out", **options)
    assert caught.value.what == message
    assert remedy in caught.value.remedy
    assert caught.value.exit_code == errors.ExitCode.CONFIGURATION


def test_an_unknown_variable_is_refused(plate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CYTOBATCH_WOKERS", "2")
    with pytest.raises(cytobatch.JobSpecError, match="unknown environment variable CYTOBATCH_WOKERS"):
        cytobatch.convert(plate, tmp_path / "out")


def test_missing_arguments_are_named(plate: Path) -> None:
    with pytest.raises(cytobatch.JobSpecError, match="no source given: keyword arguments and environment"):
        cytobatch.convert()
    with pytest.raises(cytobatch.JobSpecError, match="no destination given"):
        cytobatch.convert(plate)


def test_an_error_has_the_exit_code_of_the_command_line(tmp_path: Path) -> None:
    with pytest.raises(cytobatch.SourceNotFoundError) as caught:
        cytobatch.convert(tmp_path / "nowhere", tmp_path / "out")
    assert caught.value.exit_code == errors.ExitCode.INPUT_DATA
    assert isinstance(caught.value, cytobatch.CytobatchError)


# What it does


def test_the_report_is_returned_and_published(plate: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    report = cytobatch.convert(plate, tmp_path / "out")
    published = (tmp_path / "out" / "run-report.json").read_text()
    assert RunReport.model_validate_json(published) == report
    assert capfd.readouterr() == ("", "")


def test_each_step_is_announced_as_it_starts(plate: Path, tmp_path: Path) -> None:
    out, announced = tmp_path / "out", list[tuple[cytobatch.StepStarted, bool, bool]]()

    def progress(event: cytobatch.StepStarted | cytobatch.PlateProgress) -> None:
        if isinstance(event, cytobatch.StepStarted):
            announced.append((event, (out / "single_cells.parquet").exists(), (out / "run-report.json").exists()))

    cytobatch.convert(plate, out, plate="BR1", progress=progress)
    assert [(started.plate, started.step) for started, _, _ in announced] == [("BR1", step) for step in STEPS]
    assert [profile for _, profile, _ in announced] == [False] * 4 + [True]
    # The journal stands in the report's place from the first output on.
    assert [report for _, _, report in announced] == [False] * 4 + [True]


@pytest.mark.parametrize("step", STEPS[:4])
def test_an_exception_of_the_callback_ends_the_conversion_and_leaves_nothing(
    step: str, plate: Path, tmp_path: Path
) -> None:
    def progress(event: cytobatch.StepStarted | cytobatch.PlateProgress) -> None:
        if event.step == step:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cytobatch.convert(plate, tmp_path / "out", scratch_dir=tmp_path / "scratch", progress=progress)
    assert not (tmp_path / "out").exists()
    assert list((tmp_path / "scratch").iterdir()) == []


def test_a_plan_converts_nothing(plate: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    description = cytobatch.plan(plate, tmp_path / "out")
    assert description.outputs == tuple(
        str(tmp_path / "out" / name) for name in ("single_cells.parquet", "columns.json")
    )
    assert description.report == str(tmp_path / "out" / "run-report.json")
    assert dict(description.rows) == {"cells": 8, "cytoplasm": 8, "nuclei": 10, "image": 2}
    assert not (tmp_path / "out").exists()
    assert capfd.readouterr() == ("", "")


def test_a_plate_that_is_up_to_date_is_skipped(tmp_path: Path) -> None:
    source, steps = old_sites(tmp_path / "in"), list[str]()
    first = cytobatch.convert(source, tmp_path / "out")
    options = {"skip_done": True, "progress": lambda started: steps.append(started.step)}
    assert cytobatch.convert(source, tmp_path / "out", **options) == first
    assert steps == ["plan"]


def test_prefect_and_pandas_are_not_imported(plate: Path, tmp_path: Path) -> None:
    run_python(
        """
        import sys, cytobatch
        report = cytobatch.convert(*sys.argv[1:])
        assert report.cells("Metadata_Well", wells="A01").num_rows and report.wells().num_rows
        others = ("prefect", "cyclopts", "rich", "uvicorn", "pandas")
        assert not [name for name in sys.modules if name.split(".")[0] in others]
        """,
        plate,
        tmp_path / "out",
    )


@pytest.mark.slow
def test_api_and_command_line_write_the_same_bytes(
    tmp_path: Path, cytobatch: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind in (PlateFormat.CSV, PlateFormat.SQLITE):
        write_plate(SyntheticPlate(wells=2, sites=2), tmp_path / kind.value, kind)
    options = {"well_profiles": "median", "workers": 2}
    plates = [
        {"source": kind.value, "destination": f"run/{kind.value}"} for kind in (PlateFormat.CSV, PlateFormat.SQLITE)
    ]
    done = cytobatch("run", "--job-spec", json.dumps({"defaults": options, "plates": plates}))
    assert done.returncode == 0, done.stderr
    # The source's path is in the Parquet metadata: relative, as the command line had it.
    monkeypatch.chdir(tmp_path)
    for kind in (PlateFormat.CSV, PlateFormat.SQLITE):
        report = convert(kind.value, f"api/{kind.value}", **options)
        names = [Path(output.path).name for output in report.outputs]
        own = ["experiment.parquet"] if kind is PlateFormat.CSV else []
        lists = ["columns.json", "profiles.columns.json"]
        assert names == ["single_cells.parquet", "profiles.parquet", *own, *lists]
        for name in names:
            by_api, by_command_line = (tmp_path / way / kind.value / name for way in ("api", "run"))
            assert by_api.read_bytes() == by_command_line.read_bytes()
