"""What an inspection finds, as values that are printed for people or as JSON."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from cytobatch.output.column_list import ColumnRole, OutputColumn


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    def to_json(self) -> str:
        """Return the values as JSON text."""
        return self.model_dump_json(indent=2)


class ColumnCounts(_Model):
    """How many columns a table has of each kind.

    `features` measure objects; they are counted by `compartments`, by `groups` of features and by `channels`, where
    their names have these. `images` describe images, `metadata` are the others. `text` are the columns of any kind that
    hold text.
    """

    columns: int
    features: int
    metadata: int
    images: int
    text: int
    compartments: dict[str, int] = {}
    groups: dict[str, int] = {}
    channels: dict[str, int] = {}

    @classmethod
    def of(cls, columns: Iterable[OutputColumn]) -> "ColumnCounts":
        """Count columns."""
        columns = list(columns)
        features = [column for column in columns if column.role is ColumnRole.FEATURE]
        return cls(
            columns=len(columns),
            features=len(features),
            metadata=sum(column.role is ColumnRole.METADATA for column in columns),
            images=sum(column.role is ColumnRole.IMAGE for column in columns),
            text=sum("string" in column.type for column in columns),
            compartments=_counted(column.compartment for column in features),
            groups=_counted(column.feature_group for column in features),
            channels=_counted(channel for column in features for channel in column.channels),
        )


def _counted(names: Iterable[str | None]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for name in names:
        if name:
            counts[name] = counts.get(name, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


class SampleRows(_Model):
    """A few columns of the first rows of a table, as text; a missing value is None."""

    table: str
    columns: list[str]
    rows: list[list[str | None]]


class InspectedTable(_Model):
    """A table of a source: its rows, None if counting them would take long, and its columns.

    `about` marks a number of rows that a few exports let expect.
    """

    name: str
    rows: int | None
    about: bool
    columns: ColumnCounts


class InspectedSource(_Model):
    """A source: measurements that `cytobatch run` converts.

    `plates`, `wells` and `sites` are those that names of folders or image tables have; None if only all files would
    show them. `looked_at` are the exports that were surveyed, and `fetched` the bytes that were fetched for it;
    `not_surveyed` has the reason if there are no tables. With `declarations_only` no row was read of a large file.
    """

    kind: Literal["source"] = "source"
    path: str
    layout: str
    preset: str
    plates: list[str]
    wells: int | None
    sites: int | None
    exports: int
    files: int
    ignored: int
    bytes: int
    looked_at: int
    fetched: int
    not_surveyed: str = ""
    declarations_only: bool = False
    tables: list[InspectedTable]
    joins: list[str]
    invalid: list[str]
    warnings: list[str]
    sample: SampleRows | None


class InspectedOutput(_Model):
    """An output of a result."""

    path: str
    rows: int
    columns: int
    bytes: int


class InspectedResult(_Model):
    """A result: what `cytobatch run` has published.

    `columns` are those of the joined profile, None without one. `plate_map` are the lines of a map of cells a well.
    """

    kind: Literal["result"] = "result"
    path: str
    plate: str
    plates: list[str]
    source: str
    cytobatch_version: str
    finished: datetime
    digest: str
    options: dict[str, Any]
    layout: str
    preset: str
    grade: str
    verdict: str
    sentences: list[str]
    exports: int
    failed_exports: int
    wells: int
    sites: int
    outputs: list[InspectedOutput]
    columns: ColumnCounts | None
    failed: list[str]
    warnings: list[str]
    page: str | None
    plate_map: list[str] = Field(exclude=True)
    sample: SampleRows | None


class InspectedParquet(_Model):
    """A Parquet file without a report beside it: of a result that was taken apart, or of another program.

    `provenance` is what cytobatch has written into the footer, empty for other programs. `types` counts the columns by
    their types.
    """

    kind: Literal["parquet"] = "parquet"
    path: str
    rows: int
    row_groups: int
    written_by: str
    provenance: dict[str, str]
    columns: int
    types: dict[str, int]
    names: list[str]
    sample: SampleRows | None


Inspection = InspectedSource | InspectedResult | InspectedParquet


def as_texts(rows: Iterable[Mapping[str, Any]]) -> list[list[str | None]]:
    """Return rows as lists of short texts; None for missing values."""
    return [[_text(value) for value in row.values()] for row in rows]


def _text(value: Any) -> str | None:
    if value is None:
        return None
    return f"{value:.6g}" if isinstance(value, float) else str(value)
