"""The text of a job spec, JSON or YAML, which may come from a stranger: parsed within bounds.

Messages name the defect and its line. They show nothing of the text, because any file may be given for a spec.
"""

import json
import re
from collections.abc import Hashable
from typing import Any

import yaml

from cytobatch.errors import JobSpecError

MOST_YAML = 4_000_000
"""Characters of YAML. PyYAML parses a megabyte in ten seconds, and JSON, which is parsed at once, has no limit."""
_MOST_VALUES = 2_000_000
_MERGE = "tag:yaml.org,2002:merge"
_QUOTED = re.compile(r"'(?!tag:yaml\.org|<)[^']*'")


def parse_document(text: str, where: str) -> object:
    """Return the values of JSON or YAML text. Raises JobSpecError with the defect and `where` the text came from."""
    try:
        document = _parse_json(text)
        if document is not None:
            return document
        if len(text) > MOST_YAML:
            raise _error(where, f"it is no valid JSON, and has more than the {MOST_YAML} characters that YAML may have")
        return yaml.load(text, _StrictLoader)
    except yaml.YAMLError as error:
        raise _error(where, _defect(error)) from error
    except RecursionError as error:
        raise _error(where, "its values are nested too deep") from error
    except (ValueError, AttributeError, KeyError, OverflowError) as error:
        # PyYAML's constructors raise these for a value that its tag or form does not allow, such as 2021-02-30.
        raise _error(where, "a value is no valid date or number, or is too large") from error


def _error(where: str, why: str) -> JobSpecError:
    return JobSpecError(
        "job spec is neither JSON nor YAML",
        where=where,
        why=why,
        remedy="mend it at the place named; `cytobatch validate` checks it again",
    )


class _RepeatedKeyError(ValueError):
    """A mapping has the same key twice."""


def _parse_json(text: str) -> Any:
    """Parse valid JSON a hundred times faster than as YAML; return None for any other text."""
    try:
        return json.loads(text, object_pairs_hook=_mapping)
    except (json.JSONDecodeError, _RepeatedKeyError):
        # The YAML loader reports the error and its position.
        return None


def _mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        raise _RepeatedKeyError
    return mapping


def _defect(error: yaml.YAMLError) -> str:
    """Return the defect of YAML text and its line, without the words and lines that the error quotes."""
    if not isinstance(error, yaml.MarkedYAMLError):
        return "it has a character that YAML does not allow"
    problem = _QUOTED.sub("…", str(error.problem or error.context or "it cannot be parsed"))
    mark = error.problem_mark or error.context_mark
    return f"{problem} (line {mark.line + 1}, column {mark.column + 1})" if mark else problem


class _StrictLoader(yaml.SafeLoader):
    """A YAML loader that refuses repeated keys, and aliases that stand for too many values.

    The plain loader keeps the last one of repeated keys only.
    """

    def get_single_node(self) -> yaml.Node | None:
        """Return the node of the one document. Raises ComposerError if it has too many values."""
        node: yaml.Node | None = super().get_single_node()
        if node is not None and _count(node, {}) > _MOST_VALUES:
            raise yaml.composer.ComposerError(None, None, "its aliases stand for too many values", node.start_mark)
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Build a mapping. Raises ConstructorError for a repeated key; keys of `<<` are no repetition."""
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            key = None if key_node.tag == _MERGE else self.construct_object(key_node, deep=True)
            if key is not None and isinstance(key, Hashable):
                if key in seen:
                    raise yaml.constructor.ConstructorError(None, None, "a key stands twice", key_node.start_mark)
                seen.add(key)
        return super().construct_mapping(node, deep)


def _count(node: yaml.Node, counts: dict[int, int]) -> int:
    """Return the number of values below a node, each alias counted like what it stands for."""
    if id(node) in counts:
        return counts[id(node)]
    # An alias within its own anchor has values without end.
    counts[id(node)] = _MOST_VALUES
    children: list[yaml.Node] = []
    if isinstance(node, yaml.SequenceNode):
        children = node.value
    elif isinstance(node, yaml.MappingNode):
        children = [each for pair in node.value for each in pair]
    counts[id(node)] = 1 + sum(_count(child, counts) for child in children)
    return counts[id(node)]
