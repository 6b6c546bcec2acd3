#!/usr/bin/env python3
"""Writes the tables of options in docs/options.md from the models: `options_page.py`, or `make options`.

The lines between the two marks of the page are made here, the others are written by hand.
"""

import html
import re
import types
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, Union, get_args, get_origin

from pydantic import ByteSize
from pydantic_core import PydanticUndefined

from cytobatch.config.environment import Settings
from cytobatch.config.option_groups import options_by_group
from cytobatch.config.options import PlateJob
from cytobatch.config.variables import PREFIX

PAGE = Path(__file__).parents[1] / "docs" / "options.md"
BEGIN, END = "<!-- made by `make options` from here on -->", "<!-- up to here -->"
_WORD = re.compile(r"`[^`]*`|\{\"[^}]*\}|\S+")
_IS_CODE = re.compile(r"[_{}<>*|]|\w\[|://|^--|:N$|/$|[.](?:parquet|csv|json|h5ad)$")
"""What is code in a help text: JSON, names with underscores, flags, URIs, placeholders and files."""
_SIZES = (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10))


def options_table() -> str:
    """Return a table of the options of each group, in the order in which help lists them."""
    lines = []
    for group, names in options_by_group(Settings).items():
        lines += [f"## {group.value}", "", "| option | values | default | meaning |", "|---|---|---|---|"]
        lines += [*(_row(name) for name in names), ""]
    return "\n".join(lines[:-1])


def page_with(table: str, page: str) -> str:
    """Return the page with another table between its marks."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{table}\n\n{END}{after}"


def _row(name: str) -> str:
    field = Settings.model_fields[name]
    meaning = _marked(" ".join((field.description or "").split()))
    cells = (f"`{PREFIX}{name.upper()}`", _values(field.annotation), _default(name), meaning)
    return "".join(f"| {cell} " if cell else "| " for cell in cells) + "|"


def _marked(text: str) -> str:
    """Return a help text with its code marked as code, and safe in a cell of a table."""
    return _WORD.sub(lambda match: _marked_word(match[0]), text)


def _marked_word(word: str) -> str:
    bare = word.lstrip("(").rstrip(".,;:)")
    if word.startswith("`") or not _IS_CODE.search(bare):
        return word
    # GitHub and the site differ in how a bar is escaped within backticks.
    code = f"<code>{html.escape(bare).replace('|', '&#124;')}</code>" if "|" in bare else f"`{bare}`"
    return word.replace(bare, code, 1)


def _default(name: str) -> str:
    """Return the value that an option has where nothing gives it one; empty if that is the program's to find."""
    model = PlateJob if name in PlateJob.model_fields else Settings
    field = model.model_fields[name]
    value = field.default if field.default is not PydanticUndefined else None
    if value is None or isinstance(value, tuple | Mapping):
        return ""
    return f"`{_text(value)}`"


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, ByteSize):
        unit, size = next(pair for pair in _SIZES if value % pair[1] == 0)
        return f"{value // size}{unit}"
    if isinstance(value, float):
        return f"{value:g}"
    return str(value)


def _values(annotation: Any) -> str:
    """Return what a value of a type looks like as text."""
    kinds = [kind for kind in _members(annotation) if kind is not type(None)]
    return " or ".join(dict.fromkeys(_kind(kind) for kind in kinds))


def _members(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in (types.UnionType, Union) else (annotation,)


def _kind(kind: Any) -> str:
    origin = get_origin(kind)
    if origin is not None and hasattr(kind, "__metadata__"):
        return _kind(kind.__origin__)
    if origin is tuple:
        (inner, *_) = get_args(kind)
        return f"list of {_kind(inner)}" if _is_enum(inner) else "list"
    if origin is dict:
        return "`name=value,…` or JSON"
    if _is_enum(kind):
        return ", ".join(f"`{member}`" for member in kind) if len(kind) <= 4 else "a name"
    named = {bool: "`true`, `false`", int: "whole number", float: "number", ByteSize: "size, as `3GiB`"}
    return named.get(kind, "text")


def _is_enum(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, StrEnum)


if __name__ == "__main__":
    PAGE.write_text(page_with(options_table(), PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    print(PAGE)
