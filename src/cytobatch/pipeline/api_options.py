"""The keywords of the public API as types, so that editors complete and check them.

The options are those of `PlateOptions`, each as its own type or as the text that a flag takes. The tests compare names
and types.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict

from cytobatch.config.option_types import (
    Aggregation,
    AnnDataFormat,
    AnnDataPrecision,
    CacheMode,
    Children,
    ColumnNaming,
    ColumnType,
    SqliteReader,
)
from cytobatch.config.presets.catalog import PresetName, PresetText
from cytobatch.pipeline.resolve_jobs import PathLike


class AccessOptions(TypedDict, total=False):
    """The keywords of access: who asks a store, and where fetched files lie meanwhile."""

    profile: str | None
    endpoint_url: str | None
    no_sign_request: bool | None
    requester_pays: bool | None
    store_timeout: float | None
    scratch_dir: str | PathLike | None


class ConvertOptions(AccessOptions, total=False):
    """The keywords of `convert` and `plan`: all options that concern one plate in the caller's process."""

    plate: str | None
    batch: str | None
    well: str | None
    site: str | None
    preset: PresetName | PresetText | None
    compartments: str | Sequence[str] | None
    metadata: str | Sequence[str] | None
    table_prefix: str | None
    identifying_columns: str | Sequence[str] | None
    image_columns: str | None
    image_features: bool | None
    column_names: ColumnNaming | Literal["cytotable", "pycytominer"] | None
    column_types: str | Mapping[str, ColumnType | Literal["number", "integer", "text"]] | None
    platemap: str | PathLike | None
    load_data: str | PathLike | None
    joins: str | None
    children: Children | Literal["first", "mean", "count"] | None
    join: bool | None
    concat: bool | None
    well_profiles: Aggregation | Literal["median", "mean"] | None
    report_features: str | Sequence[str] | None
    anndata: str | Sequence[AnnDataFormat | Literal["h5ad", "zarr"]] | None
    anndata_precision: AnnDataPrecision | Literal["float32", "float64"] | None
    experiment: bool | None
    data_type_cast_map: str | Mapping[str, str] | None
    drop_null: bool | None
    sort_output: bool | None
    add_tablenumber: bool | None
    chunk_size: int | None
    range_size: int | str | None
    max_failed_exports: int | None
    skip_done: bool | None
    generations: bool | None
    replace: bool | None
    extra_args: str | Mapping[str, Any] | None
    check_md5: bool | None
    destination_profile: str | None
    destination_endpoint_url: str | None
    cache_dir: str | PathLike | None
    cache_mode: CacheMode | Literal["tmp_dir", "persistent"] | None
    workers: int | None
    memory: int | str | None
    sqlite_reader: SqliteReader | Literal["native", "duckdb"] | None
