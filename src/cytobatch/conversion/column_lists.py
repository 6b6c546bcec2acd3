"""Describe the columns of outputs: one list for all outputs with the same columns."""

import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import pyarrow as pa

from cytobatch.config.options import COLUMNS
from cytobatch.conversion.profile_columns import Origin, ProfileColumn
from cytobatch.formats.measurement_names import MeasurementNames, MeasurementParts
from cytobatch.output.column_list import SUFFIX, ColumnList, ColumnRole, OutputColumn
from cytobatch.planning.columns import METADATA
from cytobatch.planning.measurements import Channels, category
from cytobatch.survey.carried_columns import carried_name
from cytobatch.survey.image_table import IMAGE_LABEL, image_sources
from cytobatch.survey.model import Survey

_IMAGE = f"{IMAGE_LABEL}_"


@dataclass(frozen=True)
class ColumnDescriber:
    """Describes columns of a plate by their origin, or by their names where the origin is not known.

    `labels` are the prefixes of compartments by table, `image_tables` the names of image tables. `image_columns` has
    the source column of each image column, and `carried_columns` of further metadata of image sets. `names` has the
    meaning of measurements of whole rows, and is None for compartments.
    """

    labels: Mapping[str, str] = field(default_factory=dict)
    image_tables: frozenset[str] = frozenset()
    image_columns: Mapping[str, str] = field(default_factory=dict)
    carried_columns: Mapping[str, str] = field(default_factory=dict)
    names: MeasurementNames | None = None
    channels: Channels = field(default_factory=Channels)

    @classmethod
    def of_survey(cls, survey: Survey) -> "ColumnDescriber":
        """Return the describer of a surveyed plate."""
        images = frozenset(survey.preset.metadata).intersection(survey.schemas)
        tables = {name: table for name, table in survey.schemas.items() if name not in images}
        objects = [name.removeprefix(f"{table.label}_") for table in tables.values() for name in table.schema.names]
        of_images = [column.removeprefix(_IMAGE) for name in images for column in survey.schemas[name].schema.names]
        rows = survey.image_rows.table.column_names if survey.image_rows else []
        return cls(
            labels={name: table.label for name, table in tables.items() if table.label},
            image_tables=images,
            image_columns=image_sources(rows, survey.preset),
            carried_columns=_carried_columns(survey, rows),
            names=survey.single_table.names if survey.single_table else None,
            channels=Channels.of(objects, of_images),
        )

    def describe(self, column: ProfileColumn) -> OutputColumn:
        """Describe a column whose origin is known."""
        if column.table == Origin.TABLE_NUMBER:
            return OutputColumn(column.name)
        if column.table == Origin.CHILDREN:
            return OutputColumn(column.name, feature_group="Children")
        if column.table in (Origin.LOCATION, Origin.IMAGE):
            sources = self.image_columns if column.table == Origin.IMAGE else self.carried_columns
            described, source = self.describe_name(column.name), sources.get(column.column)
            # Without image tables the objects' own tables have what is known about images.
            if source is None or not self.image_tables:
                return described
            return described._replace(source_table=min(self.image_tables), source_column=source)
        source = column.column
        parts: MeasurementParts | None
        role = ColumnRole.FEATURE if column.is_feature else ColumnRole.METADATA
        if column.table in self.image_tables:
            measured = source.removeprefix(_IMAGE)
            parts, role = self._parts(IMAGE_LABEL, measured), _image_role(column.name, measured)
        elif self.names is None:
            label = self.labels[column.table]
            parts = self._parts(label, source.removeprefix(f"{label}_"))
        else:
            parts = self.names.parts_of(source) if column.is_feature else None
        return _column(column.name, role, parts, column.table, source)

    def describe_name(self, name: str) -> OutputColumn:
        """Describe a column by its name in the output alone."""
        plain = name.removeprefix(METADATA)
        for label in self._longest_labels:
            if plain.startswith(f"{label}_"):
                return _column(name, ColumnRole.METADATA, self._parts(label, plain.removeprefix(f"{label}_")))
        if name.startswith(_IMAGE):
            measured = name.removeprefix(_IMAGE)
            return _column(name, _image_role(name, measured), self._parts(IMAGE_LABEL, measured))
        return OutputColumn(name, feature_group="Count" if plain.startswith("Count_") else None)

    @cached_property
    def _longest_labels(self) -> Sequence[str]:
        return sorted(set(self.labels.values()), key=len, reverse=True)

    def _parts(self, compartment: str, measured: str) -> MeasurementParts:
        """Return the parts of a measurement, whose name is given without that of its objects."""
        # Compartments have thousands of measurements of the same names.
        known = self._known_parts.get(measured)
        if known is None:
            known = self._known_parts[measured] = category(measured), self.channels.in_name(measured)
        return MeasurementParts(compartment, *known)

    @cached_property
    def _known_parts(self) -> dict[str, tuple[str | None, tuple[str, ...]]]:
        return {}


def _image_role(name: str, measured: str) -> ColumnRole:
    return ColumnRole.METADATA if name.startswith(METADATA) or measured.startswith(METADATA) else ColumnRole.IMAGE


def _column(
    name: str, role: ColumnRole, parts: MeasurementParts | None, table: str | None = None, source: str | None = None
) -> OutputColumn:
    if parts is None:
        return OutputColumn(name, role, source_table=table, source_column=source)
    return OutputColumn(name, role, "", parts.compartment, parts.group, parts.channels, table, source)


def _carried_columns(survey: Survey, columns: Sequence[str]) -> dict[str, str]:
    """Return the source columns of the further metadata of image sets; a platemap may have replaced some of them."""
    names = {name: column for column in reversed(columns) if (name := carried_name(column)) is not None}
    kept = set(survey.images.carried) - set(survey.images.of_wells)
    return {name: names[name] for name in kept if name in names}


@dataclass(frozen=True, slots=True)
class KnownColumns:
    """What is known about the columns of an output.

    `origins` has where they come from, `described` what another output has about them already. `list_name` is the name
    of their list, without suffix; by default it is that of the output. `centers` are the columns with x and y of the
    objects' centres. A null in one of `may_be_null` does not make a row incomplete.
    """

    origins: Sequence[ProfileColumn] = ()
    described: Sequence[OutputColumn] = ()
    list_name: str | None = None
    centers: tuple[str, str] | None = None
    may_be_null: Collection[str] = ()


UNKNOWN = KnownColumns()
"""Nothing but the names of columns is known."""


class ColumnLists:
    """The lists of a run's outputs. Outputs with the same columns share one; others with its name get a number."""

    def __init__(self, describer: ColumnDescriber) -> None:
        self._describer = describer
        self._lists: dict[str, ColumnList] = {}
        self._last: tuple[str, pa.Schema, tuple[str, ...], ColumnList] | None = None

    def __iter__(self) -> Iterator[ColumnList]:
        return iter(self._lists.values())

    def list_of(self, stem: str, schema: pa.Schema, features: tuple[str, ...], known: KnownColumns) -> ColumnList:
        """Return the list of an output's columns.

        Parameters
        ----------
        stem
            The name of the output, without suffix.
        schema
            The columns with their final types.
        features
            The columns that measure objects.
        known
            What is known about the columns. The description of other columns follows from their names.
        """
        name = known.list_name or f"{stem}.{COLUMNS}"
        # A plate may have thousands of outputs of one schema.
        if self._last is not None:
            last_name, last_schema, last_features, last_list = self._last
            if (last_name, last_features) == (name, features) and last_schema.equals(schema):
                return last_list
        described = {column.name: column for column in known.described}
        described |= {column.name: self._describer.describe(column) for column in known.origins}
        found = self._list(name, self._columns(schema, frozenset(features), described))
        self._last = (name, schema, features, found)
        return found

    def _columns(
        self, schema: pa.Schema, features: frozenset[str], described: Mapping[str, OutputColumn]
    ) -> tuple[OutputColumn, ...]:
        columns = [described.get(field.name) or self._describer.describe_name(field.name) for field in schema]
        roles = [ColumnRole.FEATURE if column.name in features else column.role for column in columns]
        types = map(str, schema.types)
        return tuple(
            OutputColumn(
                c.name, role, type_, c.compartment, c.feature_group, c.channels, c.source_table, c.source_column
            )
            for c, role, type_ in zip(columns, roles, types, strict=True)
        )

    def _list(self, stem: str, columns: tuple[OutputColumn, ...]) -> ColumnList:
        for number in itertools.count(1):
            name = f"{stem}-{number}{SUFFIX}" if number > 1 else f"{stem}{SUFFIX}"
            found = self._lists.setdefault(name, ColumnList(name, columns))
            if found.columns == columns:
                break
        return found
