"""The columns of a profile: their names, types, order and origin."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import pyarrow as pa

from cytobatch.config.option_types import Children, ColumnNaming
from cytobatch.planning.columns import METADATA, TABLE_NUMBER, distinct_names, order_key, profile_name, under_metadata
from cytobatch.planning.joins import JoinPlan
from cytobatch.planning.schema import is_number_type
from cytobatch.survey.model import Survey, TableSchema

PROFILE_TABLE_NUMBER = f"{METADATA}{TABLE_NUMBER}"
_RENAMED_BY_PYCYTOMINER = frozenset({"Image_Metadata_Plate", "Image_Metadata_Well", "Image_Metadata_Site"})
_CENTERS = ("AreaShape_Center", "Location_Center")


class Origin(StrEnum):
    """The origin of a profile column that is not a compartment's."""

    IMAGE = "image set"
    LOCATION = "plate, well and site"
    TABLE_NUMBER = "number of the export"
    CHILDREN = "number of children"


@dataclass(frozen=True, slots=True)
class ProfileColumn:
    """One column of the profile: its name and type, and the table (or `Origin`) and column that it is taken from.

    `is_feature` marks columns that measure objects.
    """

    name: str
    data_type: pa.DataType
    table: str
    column: str
    is_feature: bool = False


def profile_columns(survey: Survey, plan: JoinPlan, *, number_exports: bool) -> tuple[ProfileColumn, ...]:
    """Return the profile's columns in order, keys first.

    Names are CytoTable's, except that columns which measure nothing go under Metadata_ if the job's `naming` asks for
    it. Repeated names are numbered as in DuckDB.
    """
    columns = _columns_beside_compartments(survey, number_exports=number_exports)
    taken = {column.name for column in columns if column.table != Origin.IMAGE}
    for name in plan.compartments:
        if name in plan.anchors:
            columns += _columns_of_children(survey, survey.schemas[name], plan.children)
            continue
        columns += [
            column
            for column in _compartment_columns(survey, survey.schemas[name])
            if column.name not in taken and (name == plan.base or column.name not in survey.preset.dropped_keys)
        ]
    names = distinct_names(column.name for column in columns)
    named = [
        column if column.name == name else replace(column, name=name)
        for name, column in zip(names, columns, strict=True)
    ]
    return tuple(sorted(named, key=lambda column: order_key(column.name)))


def _columns_beside_compartments(survey: Survey, *, number_exports: bool) -> list[ProfileColumn]:
    """Return the number of the export, the locations, and the columns of image sets that are no location."""
    columns: list[ProfileColumn] = []
    if number_exports:
        columns.append(ProfileColumn(PROFILE_TABLE_NUMBER, pa.int64(), Origin.TABLE_NUMBER, TABLE_NUMBER))
    locations = survey.images.locations.schema
    columns += [ProfileColumn(field.name, field.type, Origin.LOCATION, field.name) for field in locations]
    taken = {column.name for column in columns}
    images = survey.images.table.schema
    names = {name: _image_name(name, survey.plan.job.naming) for name in survey.images.columns if name not in taken}
    return columns + [
        ProfileColumn(name, images.field(column).type, Origin.IMAGE, column) for column, name in names.items()
    ]


def _image_name(column: str, naming: ColumnNaming) -> str:
    """Return the profile's name of an image column.

    pycytominer's `annotate` calls `Image_Metadata_Plate` `Metadata_Plate`, a name that the profile has already, so that
    the next step fails.
    """
    if naming is ColumnNaming.PYCYTOMINER and column in _RENAMED_BY_PYCYTOMINER:
        return under_metadata(column)
    return column


def _compartment_columns(survey: Survey, table: TableSchema) -> list[ProfileColumn]:
    names = profile_names_by_source(survey, table, survey.plan.job.naming)
    return [ProfileColumn(names[f.name], f.type, table.name, f.name, f.name in table.features) for f in table.schema]


def _columns_of_children(survey: Survey, table: TableSchema, children: Children) -> list[ProfileColumn]:
    """Return the columns of a compartment of which a row has several objects: their number, and means of features.

    Keys, counts and text have no mean.
    """
    count = ProfileColumn(f"{METADATA}Children_{table.label}_Count", pa.int64(), Origin.CHILDREN, table.name)
    if children is Children.COUNT:
        return [count]
    features = (column for column in _compartment_columns(survey, table) if column.is_feature)
    return [count, *(replace(column, data_type=pa.float64()) for column in features)]


def profile_names_by_source(survey: Survey, table: TableSchema, naming: ColumnNaming) -> dict[str, str]:
    """Return the profile's name for each column of a table, by its name at the source."""
    preset = survey.preset
    names = {
        name: profile_name(name, table.label, preset.identifying_columns, preset.metadata)
        for name in table.schema.names
    }
    # An image table has no features; its measurements are under Image_.
    if naming is ColumnNaming.CYTOTABLE or table.keys is None:
        return names
    return {name: named if name in table.features else under_metadata(named) for name, named in names.items()}


def center_columns(columns: Sequence[ProfileColumn], base: TableSchema) -> tuple[str, str] | None:
    """Return the names of the columns with x and y of the base objects' centres, in pixels of their image.

    `AreaShape_Center` is preferred to `Location_Center`: all objects have it whose shape is measured.
    """
    numbers = {c.column: c.name for c in columns if c.table == base.name and is_number_type(c.data_type)}
    for center in _CENTERS:
        axes = [(f"{center}_{axis}", f"{base.label}_{center}_{axis}") for axis in "XY"]
        found = [numbers[name] for names in axes for name in names if name in numbers]
        if len(found) == len(axes):
            return found[0], found[1]
    return None
