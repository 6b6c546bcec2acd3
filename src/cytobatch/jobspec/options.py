"""What to convert: the job spec as its author wrote it, and the one plate that a process converts.

Every option may come from a flag, the environment, the spec's plate, the spec's defaults or the preset; the first of
these that says something wins. All are fields of `PlateOptions`, so that names, types and help are written once.
"""

import difflib
import json
import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Self

import pyarrow as pa
import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ByteSize,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from cytobatch.errors import JobSpecError
from cytobatch.layouts import PresetName

PARQUET = ".parquet"
_DEFAULT_CHUNK_BYTES = 64 * 2**20


class CacheMode(StrEnum):
    """When cloudpathlib drops a fetched file from its cache; its own names."""

    TMP_DIR = "tmp_dir"
    PERSISTENT = "persistent"


class CastGroup(StrEnum):
    """The groups of types that `data_type_cast_map` may cast."""

    FLOAT = "float"
    INTEGER = "integer"
    STRING = "string"


_CAST_TARGETS = {
    CastGroup.FLOAT: (pa.types.is_floating,),
    CastGroup.INTEGER: (pa.types.is_integer, pa.types.is_floating),
    CastGroup.STRING: (pa.types.is_string, pa.types.is_large_string),
}


class _StrictLoader(yaml.SafeLoader):
    """YAML without repeated keys, of which the plain loader keeps the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """A mapping. Raises a YAMLError for a repeated key."""
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        repeated = [key for key in keys if keys.count(key) > 1]
        if repeated:
            raise yaml.constructor.ConstructorError(None, None, f"key {repeated[0]!r} stands twice", node.start_mark)
        return super().construct_mapping(node, deep)


def _as_list(value: object) -> object:
    if isinstance(value, str):
        text = value.strip()
        return json.loads(text) if text.startswith("[") else [item.strip() for item in text.split(",") if item.strip()]
    return value


def _as_mapping(value: object) -> object:
    if isinstance(value, str):
        text = value.strip()
        if text.startswith("{"):
            return json.loads(text)
        pairs = [pair.partition("=") for pair in text.split(",") if pair.strip()]
        if not all(equals for _, equals, _ in pairs):
            raise ValueError(f"{text!r} is neither JSON nor name=value,name=value")
        return {name.strip(): value.strip() for name, _, value in pairs}
    return value


def _known_casts(value: dict[str, str]) -> dict[str, str]:
    for group, name in value.items():
        if group not in set(CastGroup):
            raise ValueError(f"no group of types is called {group!r}; groups are {', '.join(CastGroup)}")
        try:
            kind = pa.type_for_alias(name)
        except ValueError:
            kind = pa.null()
        if not any(test(kind) for test in _CAST_TARGETS[CastGroup(group)]):
            raise ValueError(
                f"{group!r} cannot be cast to {name!r}; Arrow has types such as float32, int32, large_string"
            )
    return value


Names = Annotated[tuple[str, ...], BeforeValidator(_as_list)]
Casts = Annotated[dict[str, str], BeforeValidator(_as_mapping), AfterValidator(_known_casts)]
Arguments = Annotated[dict[str, Any], BeforeValidator(_as_mapping)]


class PlateOptions(BaseModel):
    """All that can be said of a plate's conversion; what is not said is None."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    source: str | None = Field(None, min_length=1)
    """Where the measurements are: a folder or file, local, s3://, gs:// or az://; `{plate}` is the plate's name."""
    destination: str | None = Field(None, min_length=1)
    """Where the profile goes: a folder, or one file that ends in .parquet, local or in a bucket; `{plate}` as above."""
    plate: str | None = Field(None, min_length=1)
    """The plate's name, for runs and reports, and for Metadata_Plate where the source does not know it."""
    well: str | None = Field(None, min_length=1)
    """The well, for Metadata_Well where the source does not know it."""
    site: str | None = Field(None, min_length=1)
    """The site, for Metadata_Site where the source does not know it."""
    preset: PresetName | None = None
    """How the source is laid out and named: auto, cellprofiler_csv, cellprofiler_sqlite,
    cellprofiler_sqlite_pycytominer, cellprofiler_sqlite_cpg0016_jump or
    cell-health-cellprofiler-to-cytominer-database; auto, the default, finds out."""
    compartments: Names | None = None
    """The compartment tables to take, such as cells,cytoplasm,nuclei."""
    metadata: Names | None = None
    """The image-level tables to take, such as image."""
    identifying_columns: Names | None = None
    """Source columns that identify rather than measure, and go under Metadata_."""
    joins: str | None = Field(None, min_length=1)
    """DuckDB SQL that joins the tables of one export by name, in place of the joins that cytobatch finds."""
    join: bool | None = None
    """One joined profile; --no-join writes a Parquet for each table."""
    concat: bool | None = None
    """All exports in one; --no-concat writes a Parquet for each export."""
    data_type_cast_map: Casts | None = None
    """Types to cast the groups float, integer and string to, such as {"float": "float32"}."""
    drop_null: bool | None = None
    """Drop rows that hold a null in any column."""
    sort_output: bool | None = None
    """Sort rows by export, image and object; otherwise they keep the base table's order."""
    add_tablenumber: bool | None = None
    """Add Metadata_TableNumber, which tells exports apart; by default where there is more than one export."""
    chunk_size: int | None = Field(None, ge=1)
    """Rows in a Parquet row group; by default as many as fill 64 MiB."""
    max_failed_exports: int | None = Field(None, ge=0)
    """How many exports may fail before the job does."""
    profile: str | None = Field(None, min_length=1)
    """AWS profile for source and destination."""
    endpoint_url: str | None = Field(None, min_length=1)
    """URL of an S3 API other than AWS, for source and destination."""
    no_sign_request: bool | None = None
    """Read a public source bucket without credentials."""
    requester_pays: bool | None = None
    """Agree to pay for reading the source bucket."""
    extra_args: Arguments | None = None
    """Further arguments of boto3's transfers from the source, such as {"ExpectedBucketOwner": "…"}."""
    destination_profile: str | None = Field(None, min_length=1)
    """AWS profile for the destination, if another."""
    destination_endpoint_url: str | None = Field(None, min_length=1)
    """S3 API for the destination, if another."""
    cache_dir: Path | None = None
    """Where fetched files are kept while they are read; by default in the scratch folder."""
    cache_mode: CacheMode | None = None
    """tmp_dir drops fetched files when the run ends, persistent keeps them in cache_dir for the next run."""
    scratch_dir: Path | None = None
    """Where intermediate files go; by default the system's temporary folder."""
    workers: int | None = Field(None, ge=1, le=256)
    """Threads of DuckDB and of the download pool; by default one for each CPU."""
    memory: ByteSize | None = Field(None, ge=64 * 2**20)
    """Memory for DuckDB, and what decides when a table is staged on disk; such as 2GiB. By default 1GiB."""

    def said(self) -> dict[str, Any]:
        """The options that were said, by name."""
        return {name: value for name, value in self if value is not None and name in PlateOptions.model_fields}


class JobSpec(BaseModel):
    """One or many plates and what they share."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    version: int = Field(1, ge=1, le=1)
    """The job spec's format."""
    defaults: PlateOptions = PlateOptions()
    """Options that hold for every plate that does not say otherwise."""
    plates: tuple[PlateOptions, ...] = Field(min_length=1)
    """The plates; AWS_BATCH_JOB_ARRAY_INDEX counts them from 0."""


class PlateJob(BaseModel):
    """One plate, every option decided. Made by `plate_jobs`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str
    destination: str
    plate: str | None = None
    well: str | None = None
    site: str | None = None
    preset: PresetName = PresetName.AUTO
    compartments: tuple[str, ...] | None = None
    metadata: tuple[str, ...] | None = None
    identifying_columns: tuple[str, ...] | None = None
    joins: str | None = None
    join: bool = True
    concat: bool = True
    data_type_cast_map: dict[str, str] = Field(default_factory=dict)
    drop_null: bool = False
    sort_output: bool = True
    add_tablenumber: bool | None = None
    chunk_size: int | None = None
    max_failed_exports: int = 0
    profile: str | None = None
    endpoint_url: str | None = None
    no_sign_request: bool = False
    requester_pays: bool = False
    extra_args: dict[str, Any] = Field(default_factory=dict)
    destination_profile: str | None = None
    destination_endpoint_url: str | None = None
    cache_dir: Path | None = None
    cache_mode: CacheMode = CacheMode.TMP_DIR
    scratch_dir: Path | None = None
    workers: int | None = None
    memory: ByteSize = ByteSize(2**30)

    @property
    def label(self) -> str:
        """The plate's name, or else the last part of the source's path."""
        return self.plate or PurePosixPath(self.source.rstrip("/")).stem or "plate"

    @property
    def single_file(self) -> bool:
        """Whether the destination is one Parquet file."""
        return self.destination.endswith(PARQUET)

    def row_group_rows(self, columns: int) -> int:
        """Rows of one Parquet row group for a table of so many columns: as asked for, or about 64 MiB of doubles."""
        return self.chunk_size or max(1, min(2**20, _DEFAULT_CHUNK_BYTES // (8 * max(1, columns))))

    @model_validator(mode="after")
    def _hold_together(self) -> Self:
        if self.single_file and not (self.join and self.concat):
            raise ValueError(
                "destination: a single .parquet file holds one joined profile; with join or concat off, name a folder"
            )
        if self.joins is not None and not self.join:
            raise ValueError("joins: SQL is given, but join is off; drop one of the two")
        if self.cache_mode is CacheMode.PERSISTENT and self.cache_dir is None:
            raise ValueError("cache_mode: persistent needs a cache_dir to persist in")
        return self


def nearest(name: str, known: Iterable[str]) -> str:
    """` Did you mean 'x'?` with the known name nearest to a wrong one, or nothing."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"did you mean {str(close[0])!r}?" if close else ""


def spec_error(error: ValidationError, where: str) -> JobSpecError:
    """The first thing wrong with a spec, an environment or a set of flags, as one message."""
    first = error.errors()[0]
    path = ".".join(str(part) for part in first["loc"])
    name = str(first["loc"][-1]) if first["loc"] else ""
    if first["type"] == "extra_forbidden":
        known = JobSpec.model_fields if len(first["loc"]) == 1 else PlateOptions.model_fields
        return JobSpecError(
            f"unknown key {path!r}", where=where, why="no such option",
            remedy=nearest(name, known) or f"known keys: {', '.join(known)}",
        )  # fmt: skip
    if name == "preset":
        return JobSpecError(
            f"unknown preset {first['input']!r}", where=where, why="no preset has that name",
            remedy=nearest(str(first["input"]), PresetName) or f"presets: {', '.join(PresetName)}",
        )  # fmt: skip
    message = str(first.get("ctx", {}).get("error", first["msg"]))
    option, _, why = (path, "", message) if path else message.partition(": ")
    return JobSpecError(
        f"bad value for {option!r}", where=where, why=why, remedy="see `cytobatch schema` for what it takes"
    )


def parse_spec(text: str, where: str) -> JobSpec:
    """A job spec from JSON or YAML text. Raises JobSpecError, naming what is wrong and `where` it came from."""
    try:
        document = yaml.load(text, _StrictLoader)
    except yaml.YAMLError as error:
        raise JobSpecError(
            "job spec is neither JSON nor YAML", where=where, why=str(error).replace("\n", " "),
            remedy="mend it at the place named; `cytobatch validate` checks it again",
        ) from error  # fmt: skip
    if not isinstance(document, dict):
        raise JobSpecError(
            "job spec is no mapping", where=where, why=f"it holds a {type(document).__name__}",
            remedy="write {\"plates\": [{\"source\": …, \"destination\": …}]}",
        )  # fmt: skip
    try:
        return JobSpec.model_validate(document)
    except ValidationError as error:
        raise spec_error(error, where) from error


def _one_job(layers: Iterable[Mapping[str, Any]], where: str) -> PlateJob:
    merged: dict[str, Any] = {}
    for layer in layers:
        merged |= layer
    for name in ("source", "destination"):
        if name not in merged:
            raise JobSpecError(
                f"no {name} given", where=where, why="there is nothing to work on without it",
                remedy=f"set CYTOBATCH_{name.upper()}, --{name}, or {name!r} in the job spec",
            )  # fmt: skip
        merged[name] = _with_plate_name(merged[name], merged.get("plate"), name, where)
    try:
        return PlateJob.model_validate(merged)
    except ValidationError as error:
        raise spec_error(error, where) from error


def _with_plate_name(text: str, plate: str | None, option: str, where: str) -> str:
    unknown = sorted(set(re.findall(r"\{(\w+)\}", text)) - {"plate"})
    if unknown:
        raise JobSpecError(
            f"{option} names {{{unknown[0]}}}", where=where, why=f"{option} is {text!r}", remedy="only {plate} is known"
        )
    if "{plate}" not in text:
        return text
    if plate is None:
        raise JobSpecError(
            f"{option} names {{plate}}, but the plate has no name", where=where, why=f"{option} is {text!r}",
            remedy="give the plate its name with 'plate'",
        )  # fmt: skip
    return text.replace("{plate}", plate)


def plate_jobs(spec: JobSpec | None, overrides: PlateOptions, array_index: int | None, where: str) -> list[PlateJob]:
    """The plates that this process converts.

    `overrides` are the flags and environment variables, which win over the spec. `array_index` picks one plate,
    counted from 0. Raises JobSpecError where a plate is incomplete, the index is out of range, one override would
    send several plates to one place, or two plates share a destination.
    """
    single = overrides.said()
    plates = spec.plates if spec else (PlateOptions(),)
    defaults = spec.defaults.said() if spec else {}
    jobs = [_one_job((defaults, plate.said(), single), _plate_place(where, number, plates))
            for number, plate in enumerate(plates)]  # fmt: skip
    _refuse_shared_destinations(jobs, where)
    if array_index is None:
        return jobs
    if array_index >= len(jobs):
        raise JobSpecError(
            f"no plate has array index {array_index}", where=where, why=f"the spec has {len(jobs)} plate(s), from 0",
            remedy="submit an array of the spec's size",
        )  # fmt: skip
    return [jobs[array_index]]


def _plate_place(where: str, number: int, plates: tuple[PlateOptions, ...]) -> str:
    return where if len(plates) == 1 else f"{where}, plates.{number}"


def _refuse_shared_destinations(jobs: list[PlateJob], where: str) -> None:
    seen: dict[str, int] = {}
    for number, job in enumerate(jobs):
        key = job.destination.rstrip("/")
        if key in seen:
            raise JobSpecError(
                f"plates {seen[key]} and {number} share a destination", where=where, why=job.destination,
                remedy="give each its own, for example by {plate} in the destination",
            )  # fmt: skip
        seen[key] = number
