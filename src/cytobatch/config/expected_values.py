"""What an option takes, in words, from the type and the limits of its field."""

from collections.abc import Iterator
from enum import StrEnum
from types import NoneType, UnionType
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin

from pydantic import ByteSize
from pydantic.fields import FieldInfo

from cytobatch.config.credentials import BlockName
from cytobatch.config.option_types import (
    Arguments,
    Casts,
    ColumnTypes,
    LocalFolder,
    Names,
    PathOrUri,
    Pattern,
    ReportFeatures,
    StoreApi,
    StoreLocations,
    Stores,
)
from cytobatch.config.task_runner import FORMS, TaskRunnerText


class ValueForm(NamedTuple):
    """How a value of one type is written.

    Attributes
    ----------
    kind
        The type.
    short
        Its form in the help of a flag; None if a flag has no value of it.
    words
        What is expected, for a message.
    """

    kind: object
    short: str | None
    words: str


_VALUES = (
    ValueForm(PathOrUri, "PATH", "a local path, or a URI that begins with s3://, gs:// or az://"),
    ValueForm(
        StoreLocations,
        None,
        "buckets or folders in buckets, separated by commas, such as s3://my-profiles,s3://maps/2026",
    ),
    ValueForm(LocalFolder, "FOLDER", "a folder of this machine"),
    ValueForm(StoreApi, "URL", "a URL such as https://minio.my-lab.org:9000"),
    ValueForm(Names, "NAMES", "names, separated by commas"),
    ValueForm(ReportFeatures, "NAMES", "up to 30 names or patterns, separated by commas"),
    ValueForm(Stores, "h5ad|zarr", "h5ad, zarr, or both as h5ad,zarr"),
    ValueForm(
        ColumnTypes,
        "COLUMN=TYPE,…",
        "a type for each column, as AreaShape_Area=number,Class=text; types are number, integer and text",
    ),
    ValueForm(Casts, "GROUP=TYPE,…", "an Arrow type for float, integer or string, as float=float32,integer=int32"),
    ValueForm(Arguments, "JSON", 'JSON such as {"ExpectedBucketOwner": "123456789012"}'),
    ValueForm(Pattern, "REGEX", "a regular expression such as Image_(FileName|ImageQuality)_.*"),
    ValueForm(BlockName, "BLOCK", "aws-credentials/NAME or minio-credentials/NAME"),
    ValueForm(TaskRunnerText, "RUNNER", FORMS),
    ValueForm(ByteSize, "SIZE", "a size with its unit, such as 3GiB or 500MB,"),
    ValueForm(bool, None, "true or false"),
    ValueForm(int, "N", "a whole number"),
    ValueForm(float, "SECONDS", "a number"),
    ValueForm(str, "NAME", "a text; in a job spec write numbers and dates in quotes"),
)
_MIB, _GIB = 2**20, 2**30
_ENDLESS = 2**40
"""Limits from here on keep numbers within what programs can count. They are not shown."""


def choices_of(field: FieldInfo) -> tuple[str, ...]:
    """Return the values of an option that has one of a few."""
    return tuple(
        choice
        for kind in _kinds(field.annotation)
        if isinstance(kind, type) and issubclass(kind, StrEnum)
        for choice in kind
    )


def expected_value(field: FieldInfo) -> str:
    """Return what an option takes, such as "a whole number from 1 to 256"."""
    if choices := choices_of(field):
        return f"one of {', '.join(choices)}"
    value = _value_form(field)
    return f"{value.words if value else 'a mapping of options'}{_limits(field)}".rstrip(",")


def short_form(field: FieldInfo) -> str | None:
    """Return the form of an option's value in help, such as PATH; None if its flag has no value."""
    value = _value_form(field)
    return value.short if value else None


def _value_form(field: FieldInfo) -> ValueForm | None:
    kinds = list(_kinds(field.annotation))
    return next((value for value in _VALUES if value.kind in kinds), None)


def is_size(field: FieldInfo) -> bool:
    """Return whether an option is a number of bytes."""
    return ByteSize in _kinds(field.annotation)


def _kinds(annotation: Any) -> Iterator[Any]:
    """Yield the types that an option may have, but for None."""
    if get_origin(annotation) in (Union, UnionType):
        for part in get_args(annotation):
            yield from _kinds(part)
    elif annotation is not NoneType:
        yield annotation
        if get_origin(annotation) is Annotated:
            yield get_args(annotation)[0]


def _limits(field: FieldInfo) -> str:
    """Return the limits of a number, as they follow its name: ` from 1 to 256`; nothing for other options."""
    text = _size if is_size(field) else "{:g}".format
    words = {"ge": "from", "gt": "above", "le": "to"}
    limits = [
        f"{word} {text(limit)}"
        for name, word in words.items()
        for mark in field.metadata
        if (limit := getattr(mark, name, None)) is not None and limit < _ENDLESS
    ]
    return "".join(f" {limit}" for limit in limits)


def _size(size: float) -> str:
    for unit, name in ((_GIB, "GiB"), (_MIB, "MiB")):
        if size >= unit:
            return f"{size / unit:,.0f} {name}"
    return f"{size:g} bytes"
