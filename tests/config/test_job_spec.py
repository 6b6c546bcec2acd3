import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cytobatch.config.expand import plate_jobs
from cytobatch.config.job_spec import JobSpec, parse_spec, resolved_spec
from cytobatch.config.option_types import ColumnNaming
from cytobatch.config.options import PlateJob, PlateOptions
from cytobatch.config.presets.catalog import PresetName
from cytobatch.errors import ExitCode, JobSpecError, LayoutError, SourceNotFoundError

CAST = "plates: [{source: /a, destination: /b, data_type_cast_map: %s}]"
TWO = """
version: 1
defaults: {preset: cellprofiler_csv, max_failed_exports: 3, destination: "s3://out/{plate}/"}
plates:
  - {plate: P1, source: s3://in/P1}
  - {plate: P2, source: s3://in/P2, max_failed_exports: 0}
"""


def jobs(
    text: str, index: int | None = None, folders: Mapping[str, list[str]] | None = None, **overrides: Any
) -> list[PlateJob]:
    found = folders or {}
    spec = parse_spec(text, "spec.yaml")
    return plate_jobs(spec, PlateOptions(**overrides), index, "spec.yaml", lambda _, uri: found.get(uri, []))


def test_plates_take_missing_options_from_the_defaults() -> None:
    one, two = jobs(TWO)
    assert (one.source, one.destination, one.max_failed_exports) == ("s3://in/P1", "s3://out/P1/", 3)
    assert (two.destination, two.max_failed_exports, two.preset) == ("s3://out/P2/", 0, PresetName.CELLPROFILER_CSV)


def test_overrides_win_over_the_spec() -> None:
    assert [job.preset for job in jobs(TWO, preset="auto")] == [PresetName.AUTO, PresetName.AUTO]


def test_the_array_index_picks_one_plate() -> None:
    assert [job.plate for job in jobs(TWO, 1)] == ["P2"]
    with pytest.raises(JobSpecError, match="no plate has array index 2"):
        jobs(TWO, 2)


def test_json_is_read_as_well() -> None:
    spec = json.dumps({"plates": [{"source": "/a", "destination": "/b"}]})
    assert jobs(spec)[0].source == "/a"


@pytest.mark.parametrize(
    ("text", "what", "remedy"),
    [
        ("plates: [{source: /a, destinaton: /b}]", "unknown key 'plates.0.destinaton'", "did you mean 'destination'?"),
        ("plate: []\nplates: [{source: /a, destination: /b}]", "unknown key 'plate'", "did you mean 'plates'?"),
        (
            "plates: [{source: /a, destination: /b, preset: cellprofiler_sql}]",
            "bad value for 'plates.0.preset'",
            "did you mean 'cellprofiler_sqlite'?",
        ),
        ("plates: [{source: /a}]", "no destination given", "CYTOBATCH_DESTINATION"),
        ("plates: []", "bad value for 'plates'", "source"),
        ("source: /a\ndestination: /b", "unknown key 'source'", "below 'defaults' or 'plates'"),
        ("defaults: 3\nplates: [{source: /a, destination: /b}]", "bad value for 'defaults'", "a mapping of options"),
        ("plates: {source: /a, destination: /b}", "bad value for 'plates'", "source"),
        ("defaults: {source: /a}", "no 'plates' given", "source"),
        ("version: 2\nplates: [{source: /a, destination: /b}]", "bad value for 'version'", "from 1 to 1"),
        ("- a", "job spec is no mapping", "plates"),
        ("{", "job spec is neither JSON nor YAML", "mend"),
        (
            "plates: [{source: /a, destination: /b.parquet, join: false}]",
            "bad value for 'destination'",
            "name a folder",
        ),
        ("plates: [{source: /a, destination: /b, joins: SELECT 1, join: false}]", "bad value for 'joins'", "drop one"),
        (
            "plates: [{source: /a, destination: /b, cache_mode: persistent}]",
            "bad value for 'cache_mode'",
            "name a cache_dir",
        ),
        ("plates: [{source: /a, source: /b, destination: /c}]", "job spec is neither JSON nor YAML", "mend"),
        ("plates: [{source: /a, destination: '/b/{plat}'}]", "destination names {plat}", "only {plate} and {batch}"),
        (CAST % "{flot: float32}", "data_type_cast_map", "float=float32"),
        (CAST % "{float: float31}", "data_type_cast_map", "float=float32"),
        (CAST % "{string: int32}", "data_type_cast_map", "float=float32"),
        (CAST % "float32", "data_type_cast_map", "float=float32"),
        ("plates: [{source: /a, destination: /b, image_columns: '('}]", "image_columns", "a regular expression"),
        (
            "plates: [{source: /a, destination: /b, column_types: {x: real}}]",
            "column_types",
            "number, integer and text",
        ),
        (
            "plates: [{source: /a, destination: /b, anndata: h5}]",
            "anndata",
            "h5ad, zarr, or both",
        ),
        ("plates: [{source: /a, destination: /b, well_profiles: mode}]", "well_profiles", "give one of median, mean"),
        ("plates: [{source: /a, destination: /b, well_profiles: mean, join: false}]", "well_profiles", "drop one"),
        ("plates: [{source: /a, destination: '/b/{batch}'}]", "destination names {batch}", "'batch'"),
        ("plates: [{source: /a, destination: '/b/{plate}', plate: '*'}]", "the folder of plates is unknown", "{plate}"),
        ("plates: [{source: '/a/x{plate}', destination: '/b/{plate}', plate: '*'}]", "the folder of plates", "{plate}"),
        ("plates: [{source: '/a/{plate}', destination: /b}]", "source names {plate}", "the option 'plate'"),
        ("plates: [{source: /a, destination: /b}, {source: /c, destination: /b/}]", "plates 0 and 1 share", "own"),
    ],
)
def test_an_invalid_spec_is_one_error_message(text: str, what: str, remedy: str) -> None:
    with pytest.raises(JobSpecError) as caught:
        jobs(text)
    assert what in caught.value.what
    assert remedy in caught.value.remedy
    assert "spec.yaml" in caught.value.where
    assert caught.value.exit_code == ExitCode.CONFIGURATION


def test_lists_and_mappings_may_be_written_as_text() -> None:
    options = PlateOptions.model_validate(
        {"compartments": "cells, nuclei", "metadata": '["image"]', "data_type_cast_map": "float=float32,integer=int32"}
    )
    assert options.compartments == ("cells", "nuclei")
    assert options.metadata == ("image",)
    assert options.data_type_cast_map == {"float": "float32", "integer": "int32"}


def test_a_job_has_a_label_and_bounded_row_groups() -> None:
    job = PlateJob(source="s3://bucket/plates/BR1/", destination="out.parquet")
    assert (job.label, job.single_file) == ("BR1", True)


def test_the_schema_describes_every_option() -> None:
    schema = JobSpec.model_json_schema()
    properties = schema["$defs"]["PlateOptions"]["properties"]
    assert set(properties) == set(PlateOptions.model_fields)
    assert all(option.get("description") for option in properties.values())
    assert set(PlateJob.model_fields) == set(PlateOptions.model_fields)


GALLERY = "plates: [{source: s3://g/cpg/src/workspace, batch: B1, destination: '/out/{batch}/{plate}'%s}]"


def test_a_batch_becomes_its_plates() -> None:
    folders = {
        "s3://g/cpg/src/workspace/analysis/B1": ["BR10", "BR2"],
        "s3://g/cpg/src/workspace/backend/B1": ["BR2", "BR3"],
    }
    found = jobs(GALLERY % "", folders=folders)
    assert [(job.plate, job.batch) for job in found] == [("BR2", "B1"), ("BR3", "B1"), ("BR10", "B1")]
    assert found[0].destination == "/out/B1/BR2"
    assert [job.plate for job in jobs(GALLERY % "", 2, folders=folders)] == ["BR10"]
    assert [job.plate for job in jobs(GALLERY % ", plate: 'BR1*'", folders=folders)] == ["BR10"]
    assert [job.plate for job in jobs(GALLERY % ", plate: BR7", folders=folders)] == ["BR7"]


def test_a_pattern_becomes_the_folders_at_plate_in_the_source() -> None:
    text = "plates: [{source: '/in/{batch}/{plate}/csv', batch: B1, destination: '/out/{plate}', plate: 'P*'}]"
    found = jobs(text, folders={"/in/B1": ["P1", "P2", "x"]})
    assert [job.source for job in found] == ["/in/B1/P1/csv", "/in/B1/P2/csv"]


def test_a_batch_without_plates_is_an_error_with_the_folders_searched() -> None:
    with pytest.raises(SourceNotFoundError, match="workspace/analysis/B1"):
        jobs(GALLERY % "")


def test_a_workspace_of_embeddings_is_known_by_its_one_network() -> None:
    text = "plates: [{source: s3://g/src/workspace_dl, batch: B1, destination: '/out/{plate}'}]"
    folders = {
        "s3://g/src/workspace_dl/embeddings": ["net_1"],
        "s3://g/src/workspace_dl/embeddings/net_1/B1": ["P1"],
    }
    assert [job.source for job in jobs(text, folders=folders)] == ["s3://g/src/workspace_dl/embeddings/net_1"]
    with pytest.raises(LayoutError, match="net_1, net_2"):
        jobs(text, folders={"s3://g/src/workspace_dl/embeddings": ["net_1", "net_2"]})


def test_columns_are_called_as_cytotable_does_with_its_own_presets() -> None:
    names = {preset: PlateJob(source="/a", destination="/b", preset=preset).naming for preset in PresetName}
    assert {preset for preset, naming in names.items() if naming is ColumnNaming.PYCYTOMINER} == {PresetName.AUTO}
    explicit = PlateJob(source="/a", destination="/b", column_names="cytotable")
    assert explicit.naming is ColumnNaming.CYTOTABLE


def test_a_source_that_names_the_plates_folder_is_no_workspace() -> None:
    text = "plates: [{source: '/in/{batch}/{plate}', batch: B1, plate: P1, destination: '/out/{batch}/{plate}'}]"
    (job,) = jobs(text)
    assert (job.source, job.destination, job.batch) == ("/in/B1/P1", "/out/B1/P1", None)


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("s3://in/uploads/P 1+é.sqlite", ("s3://in/uploads/P 1+é.sqlite", "s3://out/P 1+é")),
        ("s3://in/uploads/P1/_SUCCESS", ("s3://in/uploads/P1", "s3://out/P1")),
        ("s3://in/P1.v2/", ("s3://in/P1.v2/", "s3://out/P1.v2")),
        ("/in/P1.DB3", ("/in/P1.DB3", "s3://out/P1")),
    ],
)
def test_a_plate_without_a_name_goes_by_its_sources(source: str, wanted: tuple[str, str]) -> None:
    (job,) = plate_jobs(None, PlateOptions(source=source, destination="s3://out/{plate}"), None, "x", lambda *_: [])
    assert (job.source, job.destination) == wanted
    assert job.plate == job.label == wanted[1].removeprefix("s3://out/")


def test_an_explicit_name_comes_before_the_sources() -> None:
    named = PlateOptions(source="/in/P1.sqlite", destination="/out/{plate}", plate="Q")
    assert plate_jobs(None, named, None, "x", lambda *_: [])[0].destination == "/out/Q"
    without_template = PlateOptions(source="/in/P1.sqlite", destination="/out")
    assert plate_jobs(None, without_template, None, "x", lambda *_: [])[0].plate is None


RESOLVED = """
defaults: {preset: cellprofiler_csv, max_failed_exports: 3, destination: "s3://out/{plate}/", column_types: {A: text}}
plates:
  - {plate: P1, source: s3://in/P1, memory: 2GiB, anndata: [h5ad], image_columns: "Image_.*", profile: lab}
  - {plate: P2, source: s3://in/P2, cache_dir: /c, cache_mode: persistent, extra_args: {ExpectedBucketOwner: "1"}}
  - {source: "s3://g/src/workspace", batch: B1, plate: P3, platemap: "s3://g/maps/{batch}", join: true}
"""


def test_a_resolved_spec_gives_the_same_plates_but_for_what_is_of_one_machine() -> None:
    wanted = jobs(RESOLVED, well_profiles="median")
    spec = parse_spec(resolved_spec(wanted).model_dump_json(exclude_none=True), "plates-0.json")
    found = plate_jobs(spec, PlateOptions(), None, "plates-0.json", lambda *_: [])
    own = {"profile": None, "cache_dir": None, "cache_mode": "tmp_dir", "memory": None}
    assert [job.model_dump() for job in found] == [job.model_dump() | own for job in wanted]


SPECIAL_NAMES = st.text(st.sampled_from("P*?[]{}plate1 +é\"'\\:#-"), min_size=1, max_size=12).map(
    lambda name: f"x{name}"
)


@given(st.lists(SPECIAL_NAMES, min_size=1, max_size=5, unique=True))
def test_a_resolved_spec_takes_names_as_they_are(names: list[str]) -> None:
    wanted = [PlateJob(source=f"s3://in/{name}", destination=f"s3://out/{name}", plate=name) for name in names]
    text = resolved_spec(wanted).model_dump_json(exclude_none=True)
    spec = parse_spec(text, "plates-0.json")
    assert plate_jobs(spec, PlateOptions(), None, "plates-0.json", lambda *_: []) == wanted
    assert plate_jobs(spec, PlateOptions(), len(names) - 1, "plates-0.json", lambda *_: []) == wanted[-1:]


def test_a_repeated_key_is_an_error_in_json_too() -> None:
    with pytest.raises(JobSpecError, match="stands twice"):
        parse_spec('{"plates": [{"source": "/a", "source": "/b", "destination": "/c"}]}', "spec.json")
