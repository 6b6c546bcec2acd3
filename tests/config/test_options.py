"""The options as they are given, and the job with every option decided: one list of options, two states."""

import json
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import pyarrow as pa
import pytest
from pydantic import ValidationError

from cytobatch.config import options as module
from cytobatch.config.environment import Settings
from cytobatch.config.option_groups import OptionGroup
from cytobatch.config.option_types import AnnDataFormat, CacheMode, ColumnType, Split, SqliteReader
from cytobatch.config.options import PlateJob, PlateOptions
from cytobatch.config.orchestrator import Orchestrator
from cytobatch.config.presets.catalog import PresetName

EVERY_OPTION: dict[str, Any] = {
    "source": "/in",
    "destination": "/out",
    "plate": "P1",
    "batch": "B1",
    "well": "A01",
    "site": "2",
    "preset": "cellprofiler_csv",
    "compartments": ["cells"],
    "metadata": ["image"],
    "table_prefix": "RunA_",
    "identifying_columns": ["ImageNumber"],
    "image_columns": "Image_.*",
    "image_features": True,
    "column_names": "cytotable",
    "column_types": {"AreaShape_Area": "number"},
    "platemap": "/maps",
    "load_data": "/load_data.csv",
    "joins": "SELECT * FROM cells",
    "children": "first",
    "join": True,
    "concat": False,
    "well_profiles": "mean",
    "anndata": ["h5ad", "zarr"],
    "anndata_precision": "float32",
    "experiment": False,
    "data_type_cast_map": {"float": "float32"},
    "drop_null": True,
    "sort_output": False,
    "add_tablenumber": True,
    "chunk_size": 3,
    "range_size": 2**28,
    "max_failed_exports": 2,
    "generations": True,
    "endpoint_url": "http://127.0.0.1:9",
    "destination_endpoint_url": "http://127.0.0.1:8",
    # From here on runtime-only.
    "skip_done": True,
    "replace": False,
    "profile": "lab",
    "no_sign_request": True,
    "requester_pays": True,
    "extra_args": {"ExpectedBucketOwner": "1"},
    "check_md5": True,
    "store_timeout": 5.0,
    "destination_profile": "other",
    "cache_dir": "/cache",
    "cache_mode": "persistent",
    "scratch_dir": "/scratch",
    "workers": 2,
    "memory": 2**30,
    "sqlite_reader": "duckdb",
    "orchestrator": "none",
    "report_features": ["Cells_AreaShape_*"],
    "prefect_wait": 2.5,
    "task_runner": "sequential",
    "split": "always",
    "split_size": 2**30,
}
IN_PLACE_OF_PROFILES = {"credentials": "aws-credentials/lab", "destination_credentials": "minio-credentials/other"}
"""The options that a job with profiles, or without Prefect, refuses."""
OF_THE_RUN = [*list(EVERY_OPTION)[list(EVERY_OPTION).index("skip_done") :], *IN_PLACE_OF_PROFILES]


def without_none(annotation: Any) -> Any:
    """The type of an option that has a value, with its validators, without its place in the help."""
    if get_origin(annotation) is Annotated and any(isinstance(each, OptionGroup) for each in get_args(annotation)):
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in (Union, UnionType):
        (annotation,) = (part for part in get_args(annotation) if part is not NoneType)
    return annotation


def test_every_option_is_known_here() -> None:
    assert {*EVERY_OPTION, *IN_PLACE_OF_PROFILES} == set(PlateOptions.model_fields)


def test_a_job_has_the_options_and_no_others() -> None:
    assert list(PlateJob.model_fields) == list(PlateOptions.model_fields)


def test_options_and_job_agree_on_the_type_of_each_option() -> None:
    given, decided = (get_type_hints(kind, include_extras=True) for kind in (PlateOptions, PlateJob))
    for name in PlateOptions.model_fields:
        assert without_none(given[name]) == without_none(decided[name]), name


def test_options_have_no_default_and_only_a_job_decides() -> None:
    assert PlateOptions().model_dump() == dict.fromkeys(PlateOptions.model_fields)
    assert PlateOptions().explicit() == {}
    required = {name for name, field in PlateJob.model_fields.items() if field.is_required()}
    assert required == {"source", "destination"}
    job = PlateJob(source="/in", destination="/out")
    assert {name: value for name, value in job if value is not None} == {
        "source": "/in",
        "destination": "/out",
        "preset": PresetName.AUTO,
        "column_types": {},
        "join": True,
        "concat": True,
        "anndata": (),
        "experiment": True,
        "data_type_cast_map": {},
        "drop_null": False,
        "sort_output": True,
        "max_failed_exports": 0,
        "skip_done": True,
        "generations": False,
        "replace": True,
        "no_sign_request": False,
        "requester_pays": False,
        "extra_args": {},
        "check_md5": False,
        "store_timeout": 20.0,
        "cache_mode": CacheMode.TMP_DIR,
        "sqlite_reader": SqliteReader.NATIVE,
        "orchestrator": Orchestrator.PREFECT,
        "prefect_wait": 10.0,
        "split": Split.AUTO,
        "split_size": 2 * 2**30,
    }


def test_a_job_takes_every_option_as_it_is_given() -> None:
    given = PlateOptions.model_validate(EVERY_OPTION)
    job = PlateJob.model_validate(given.explicit())
    assert job.model_dump() == given.model_dump()
    assert PlateJob.model_validate_json(job.model_dump_json()) == job
    assert job.anndata == (AnnDataFormat.H5AD, AnnDataFormat.ZARR)
    assert job.column_types == {"AreaShape_Area": ColumnType.NUMBER}
    assert job.cache_dir == Path("/cache")


def test_a_job_refuses_values_that_options_refuse() -> None:
    for name, value in {"source": "", "workers": 0, "memory": 1, "max_failed_exports": -1, "chunk_size": 0}.items():
        for kind in (PlateOptions, PlateJob):
            with pytest.raises(ValidationError, match=name):
                kind.model_validate({"source": "/in", "destination": "/out", name: value})


def test_a_report_has_at_most_thirty_features() -> None:
    names = ",".join(f"Cells_Texture_{n}" for n in range(31))
    with pytest.raises(ValidationError, match="report_features"):
        PlateOptions.model_validate({"report_features": names})
    assert PlateOptions.model_validate({"report_features": "Cells_*, Nuclei_A"}).report_features == (
        "Cells_*",
        "Nuclei_A",
    )


def test_every_option_decides_the_output_or_is_of_the_run_alone() -> None:
    assert set(module._RUNTIME_ONLY_OPTIONS) == set(OF_THE_RUN)
    job = PlateJob.model_validate(EVERY_OPTION)
    wanted = {name: value for name, value in EVERY_OPTION.items() if name not in OF_THE_RUN}
    assert json.loads(json.dumps(job.output_options())) == wanted


@pytest.mark.parametrize("name", OF_THE_RUN)
def test_an_option_of_the_run_does_not_change_the_output_options(name: str) -> None:
    value = (EVERY_OPTION | IN_PLACE_OF_PROFILES)[name]
    default = PlateJob(source="/in", destination="/out", cache_dir=Path("/other"))
    assert default.output_options() == default.model_copy(update={name: value}).output_options()


def test_settings_take_every_option_from_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    options = EVERY_OPTION | IN_PLACE_OF_PROFILES
    for name, value in options.items():
        text = value if isinstance(value, str) else json.dumps(value)
        monkeypatch.setenv(f"CYTOBATCH_{name.upper()}", text)
    assert Settings().explicit() == PlateOptions.model_validate(options).explicit()


@pytest.mark.parametrize("group", ["float", "integer", "string"])
def test_casts_are_those_of_arrow(group: str) -> None:
    tests = {
        "float": (pa.types.is_floating,),
        "integer": (pa.types.is_integer, pa.types.is_floating),
        "string": (pa.types.is_string, pa.types.is_large_string),
    }
    for name in ("half_float", "float16", "float32", "double", "int8", "uint64", "string", "large_string", "binary"):
        try:
            possible = any(test(pa.type_for_alias(name)) for test in tests[group])
        except ValueError:
            possible = False
        if possible:
            assert PlateOptions(data_type_cast_map={group: name}).data_type_cast_map == {group: name}
        else:
            with pytest.raises(ValidationError, match="cannot be cast"):
                PlateOptions(data_type_cast_map={group: name})
