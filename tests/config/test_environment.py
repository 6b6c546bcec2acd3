import pytest

from cytobatch.config.environment import prefect_server_is_given, read_batch_settings, read_settings
from cytobatch.config.options import PlateOptions
from cytobatch.config.variables import debug_requested
from cytobatch.errors import JobSpecError


def test_every_option_is_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CYTOBATCH_SOURCE", "s3://in/P1")
    monkeypatch.setenv("CYTOBATCH_COMPARTMENTS", "cells,nuclei")
    monkeypatch.setenv("CYTOBATCH_JOIN", "false")
    monkeypatch.setenv("CYTOBATCH_DATA_TYPE_CAST_MAP", '{"float": "float32"}')
    monkeypatch.setenv("CYTOBATCH_MEMORY", "2GiB")
    monkeypatch.setenv("CYTOBATCH_ANNDATA", "h5ad,zarr")
    monkeypatch.setenv("CYTOBATCH_WELL_PROFILES", "median")
    monkeypatch.setenv("CYTOBATCH_COLUMN_TYPES", "cells.Class=text,AreaShape_Area=number")
    monkeypatch.setenv("CYTOBATCH_IMAGE_COLUMNS", "Image_(FileName|ImageQuality)_.*")
    assert read_settings().explicit() == {
        "source": "s3://in/P1",
        "compartments": ("cells", "nuclei"),
        "join": False,
        "data_type_cast_map": {"float": "float32"},
        "memory": 2 * 2**30,
        "anndata": ("h5ad", "zarr"),
        "well_profiles": "median",
        "column_types": {"cells.Class": "text", "AreaShape_Area": "number"},
        "image_columns": "Image_(FileName|ImageQuality)_.*",
    }


def test_empty_variables_have_no_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CYTOBATCH_PRESET", "")
    assert read_settings().explicit() == {}


@pytest.mark.parametrize("name", ["CYTOBATCH_SORCE", "CYTOBATCH_DESTINATON", "CYTOBATCH_NO_SIGN"])
def test_a_misspelt_variable_is_named_with_the_nearest_right_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "x")
    with pytest.raises(JobSpecError) as caught:
        read_settings()
    assert name in str(caught.value)
    assert "did you mean 'CYTOBATCH_" in caught.value.remedy


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MAX_FAILED_EXPORTS", "-1"),
        ("PRESET", "celprofiler_csv"),
        ("EXTRA_ARGS", "{x"),
        ("EXTRA_ARGS", "key,"),
        ("JOIN", "perhaps"),
    ],
)
def test_a_bad_value_is_an_error_with_the_name_of_the_variable(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"CYTOBATCH_{name}", value)
    with pytest.raises(JobSpecError, match=f"bad value for CYTOBATCH_{name}: environment") as caught:
        read_settings()
    # Further arguments of transfers may hold a key.
    assert (value in str(caught.value)) is (name != "EXTRA_ARGS")
    assert caught.value.remedy.startswith(("give ", "did you mean "))


def test_aws_batch_sets_the_array_index(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_batch_settings().job_array_index is None
    monkeypatch.setenv("AWS_BATCH_JOB_ARRAY_INDEX", "3")
    monkeypatch.setenv("AWS_BATCH_JOB_ID", "abc:3")
    assert read_batch_settings().job_array_index == 3
    monkeypatch.setenv("AWS_BATCH_JOB_ARRAY_INDEX", "-3")
    with pytest.raises(JobSpecError, match="AWS_BATCH_JOB_ARRAY_INDEX"):
        read_batch_settings()


def test_prefect_and_debugging(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not prefect_server_is_given()
    assert not debug_requested()
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:4200/api")
    monkeypatch.setenv("CYTOBATCH_DEBUG", "1")
    assert prefect_server_is_given()
    assert debug_requested()


def test_locations_of_specs_are_in_buckets(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (read_settings().spec_locations, read_settings().trust_spec) == ((), False)
    monkeypatch.setenv("CYTOBATCH_SPEC_LOCATIONS", "s3://a, gs://b/c/")
    assert read_settings().spec_locations == ("s3://a", "gs://b/c/")
    for location in ("/data", "s3://", "s3:///x", "s3://a/../b", "https://a/b", "s3://user:hunter2@a"):
        monkeypatch.setenv("CYTOBATCH_SPEC_LOCATIONS", location)
        with pytest.raises(JobSpecError, match="CYTOBATCH_SPEC_LOCATIONS") as caught:
            read_settings()
        assert "hunter2" not in str(caught.value)


def test_settings_have_no_option_that_a_spec_has_not() -> None:
    assert set(type(read_settings()).model_fields) - set(PlateOptions.model_fields) == {
        "job_spec",
        "debug",
        "deployment",
        "log_format",
        "quiet",
        "verbose",
        "spec_locations",
        "trust_spec",
    }
