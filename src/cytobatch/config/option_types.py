"""The types of option values, and their text forms.

pyarrow takes a quarter of a start, so it is imported only if a cast is to be checked.
"""

import json
import re
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from cytobatch.config.uris import check_api, check_folder, check_location, check_store
from cytobatch.errors import brief

MOST_REPORT_FEATURES = 30
"""The most features that a report has medians of."""


class CacheMode(StrEnum):
    """When cloudpathlib drops a fetched file from its cache; its own names."""

    TMP_DIR = "tmp_dir"
    PERSISTENT = "persistent"


class ColumnNaming(StrEnum):
    """How the columns of a joined profile are called."""

    CYTOTABLE = "cytotable"
    """The names of CytoTable."""
    PYCYTOMINER = "pycytominer"
    """The names of CytoTable, but columns that are not measurements go under Metadata_.

    pycytominer takes every other column for a feature.
    """


class Aggregation(StrEnum):
    """How objects make a well-level profile."""

    MEDIAN = "median"
    MEAN = "mean"


class Children(StrEnum):
    """The values that a profile row has of a compartment with several objects for each parent."""

    FIRST = "first"
    """Those of the first child, as CytoTable."""
    MEAN = "mean"
    """The mean of each feature over all children, and their number."""
    COUNT = "count"
    """The number of children."""


class AnnDataFormat(StrEnum):
    """The stores that AnnData is written to; also their suffixes."""

    H5AD = "h5ad"
    ZARR = "zarr"


class AnnDataPrecision(StrEnum):
    """The types of AnnData's X, by NumPy's names."""

    FLOAT32 = "float32"
    FLOAT64 = "float64"


class ColumnType(StrEnum):
    """The types that `column_types` can give to a column."""

    NUMBER = "number"
    INTEGER = "integer"
    TEXT = "text"


class CastGroup(StrEnum):
    """The groups of types that `data_type_cast_map` can cast."""

    FLOAT = "float"
    INTEGER = "integer"
    STRING = "string"


class SqliteReader(StrEnum):
    """The first reader that is tried for a SQLite table."""

    NATIVE = "native"
    """The page decoder of cytobatch, with DuckDB for the files that it cannot read."""
    DUCKDB = "duckdb"
    """DuckDB alone."""


class Split(StrEnum):
    """When one plate is converted by several workers of a Dask cluster."""

    AUTO = "auto"
    """Large plates, on a cluster that exists."""
    ALWAYS = "always"
    """Every plate of several ranges, on any Dask cluster."""
    NEVER = "never"


_CAST_TARGETS = {
    CastGroup.FLOAT: ("is_floating",),
    CastGroup.INTEGER: ("is_integer", "is_floating"),
    CastGroup.STRING: ("is_string", "is_large_string"),
}
"""The predicates of `pyarrow.types`, one of which holds for each type that a group can be cast to."""


def _json(text: str) -> object:
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("its values are nested too deep") from error


def _as_list(value: object) -> object:
    if isinstance(value, str):
        text = value.strip()
        return _json(text) if text.startswith("[") else [item.strip() for item in text.split(",") if item.strip()]
    return value


def _as_mapping(value: object) -> object:
    if isinstance(value, str):
        text = value.strip()
        if text.startswith("{"):
            return _json(text)
        pairs = [pair.partition("=") for pair in text.split(",") if pair.strip()]
        if not all(equals for _, equals, _ in pairs):
            raise ValueError("it is neither JSON nor name=value,name=value")
        return {name.strip(): value.strip() for name, _, value in pairs}
    return value


def _known_casts(value: dict[str, str]) -> dict[str, str]:
    pa = import_module("pyarrow")
    for group, name in value.items():
        if group not in set(CastGroup):
            raise ValueError(f"no group of types is called {group!r}; groups are {', '.join(CastGroup)}")
        try:
            target = pa.type_for_alias(name)
        except ValueError:
            target = pa.null()
        if not any(getattr(pa.types, test)(target) for test in _CAST_TARGETS[CastGroup(group)]):
            raise ValueError(
                f"{group!r} cannot be cast to {name!r}; Arrow has types such as float32, int32, large_string"
            )
    return value


def _regular_expression(value: str) -> str:
    try:
        re.compile(value)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"{brief(value)!r} is no regular expression: {error}") from error
    return value


Names = Annotated[tuple[str, ...], BeforeValidator(_as_list)]
ReportFeatures = Annotated[tuple[str, ...], BeforeValidator(_as_list), Field(max_length=MOST_REPORT_FEATURES)]
Stores = Annotated[tuple[AnnDataFormat, ...], BeforeValidator(_as_list)]
Casts = Annotated[dict[str, str], BeforeValidator(_as_mapping), AfterValidator(_known_casts)]
ColumnTypes = Annotated[dict[str, ColumnType], BeforeValidator(_as_mapping)]
Arguments = Annotated[dict[str, Any], BeforeValidator(_as_mapping)]
Pattern = Annotated[str, AfterValidator(_regular_expression)]
PathOrUri = Annotated[str, AfterValidator(check_location)]
StoreApi = Annotated[str, AfterValidator(check_api)]
StoreLocations = Annotated[tuple[Annotated[str, AfterValidator(check_store)], ...], BeforeValidator(_as_list)]
LocalFolder = Annotated[Path, BeforeValidator(check_folder)]
