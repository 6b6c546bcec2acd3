"""The result of a verification: what was compared, what differs, and what could not be derived again."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum

VERIFICATION_FORMAT_VERSION = 1
"""Keys may be added under a version, but never changed."""


class DifferenceKind(StrEnum):
    """What a difference is about."""

    MISSING = "missing"
    """An output, or a row's origin, is not there."""
    CONTENT = "content"
    """An output has another size or checksum than its report says."""
    SHAPE = "shape"
    """The numbers of rows or columns, the names or the types are others."""
    IDENTITY = "identity"
    """Two rows have the same keys."""
    SOURCE = "source"
    """A file of the source is another than the run has read."""
    VALUE = "value"
    """A value is another than the source gives."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference. `row` is counted from 0 in the output; `published` and `expected` are texts."""

    kind: DifferenceKind
    output: str
    what: str
    row: int | None = None
    column: str | None = None
    published: str | None = None
    expected: str | None = None

    def __str__(self) -> str:
        place = "".join(
            f", {name} {value}" for name, value in (("row", self.row), ("column", self.column)) if value is not None
        )
        values = "" if self.expected is None else f": {self.published} is published, {self.expected} is expected"
        return f"{self.output}{place}: {self.what}{values}"


@dataclass(frozen=True, slots=True)
class Verification:
    """The result. `cells` and `values` count what was derived again; `not_derived` has what was not, and why."""

    result: str
    outputs: int
    rows: int
    cells: int = 0
    values: int = 0
    not_derived: tuple[str, ...] = ()
    differences: tuple[Difference, ...] = ()

    def to_json(self) -> str:
        """Return the result as JSON text."""
        return json.dumps({"format_version": VERIFICATION_FORMAT_VERSION, **asdict(self)}, indent=2, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Derived:
    """The part of a result that the source gives."""

    cells: int
    values: int
    not_derived: Sequence[str]
    differences: Sequence[Difference]
