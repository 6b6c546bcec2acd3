"""The typed keywords of the API are the options: names and types."""

import inspect
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, Unpack, get_args, get_origin, get_type_hints

import pytest
from pydantic import ByteSize

import cytobatch
from cytobatch.config.options import PlateOptions
from cytobatch.pipeline.api import _OF_THE_COMMAND
from cytobatch.pipeline.api_options import AccessOptions, ConvertOptions
from cytobatch.pipeline.resolve_jobs import PathLike

POSITIONAL = {"source", "destination"}
WITHOUT_EFFECT = {"orchestrator", "prefect_wait", "split", "split_size"}
"""The options of `cytobatch run` that a spec may have, and that change nothing here."""
PATHS = {"platemap", "load_data"}
"""The options that are text, and name a file."""
OPTIONS = get_type_hints(PlateOptions)
TYPED = get_type_hints(ConvertOptions)


def parts(hint: object) -> set[object]:
    """Return the members of a union."""
    return set(get_args(hint)) if get_origin(hint) in (Union, UnionType) else {hint}


def item(kind: Any) -> Any:
    """Return what is accepted within a list or a mapping: a choice as itself, or as its text."""
    is_choice = isinstance(kind, type) and issubclass(kind, StrEnum)
    return kind | Literal[tuple(member.value for member in kind)] if is_choice else kind


def accepted(name: str) -> set[object]:
    """Return the types that the keyword of an option should have, from the option's own type."""
    (kind,) = parts(OPTIONS[name]) - {NoneType}
    if name in PATHS or kind is Path:
        return {str, PathLike, NoneType}
    if kind is ByteSize:
        return {int, str, NoneType}
    if get_origin(kind) is tuple:
        return {str, Sequence[item(get_args(kind)[0])], NoneType}
    if get_origin(kind) is dict:
        return {str, Mapping[str, item(get_args(kind)[1])], NoneType}
    return {*parts(item(kind)), NoneType}


def test_every_option_that_the_api_takes_is_a_typed_keyword() -> None:
    assert set(TYPED) == set(PlateOptions.model_fields) - POSITIONAL - set(_OF_THE_COMMAND) - WITHOUT_EFFECT
    assert set(get_type_hints(AccessOptions)) < set(TYPED)


def test_a_keyword_has_the_types_of_its_option() -> None:
    assert {name: parts(hint) for name, hint in TYPED.items()} == {name: accepted(name) for name in TYPED}


@pytest.mark.parametrize(
    ("function", "options"),
    [
        (cytobatch.convert, ConvertOptions),
        (cytobatch.plan, ConvertOptions),
        (cytobatch.open_result, AccessOptions),
    ],
)
def test_functions_take_the_typed_keywords(function: Any, options: Any) -> None:
    assert inspect.signature(function).parameters["options"].annotation == Unpack[options]
