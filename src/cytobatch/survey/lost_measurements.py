"""Compartments whose measurements are all text: a profile without them would look complete."""

import re
from collections.abc import Mapping

from cytobatch.config.plural import plural
from cytobatch.errors import LayoutError
from cytobatch.formats.base import ConversionPlan
from cytobatch.planning.schema import is_number_type
from cytobatch.survey.model import TableSchema

_MEASUREMENT = re.compile(
    r"(.*_)?(AreaShape|Correlation|Granularity|Intensity|Location|Neighbors|RadialDistribution|Texture)_.+"
)
"""The categories of CellProfiler's measurements of objects."""


def check_measurements(plan: ConversionPlan, tables: Mapping[str, TableSchema]) -> None:
    """Check that compartments keep measurements. Raises LayoutError if one had measurements, and none is a number.

    A column that the job itself declares as text is none that is lost, nor is a number that it takes as metadata.
    """
    for table in tables.values():
        if table.keys is None or table.features:
            continue
        declared = plan.job.column_types.keys()
        names = [
            field.name
            for field in table.schema
            if _MEASUREMENT.fullmatch(field.name) and not is_number_type(field.type)
        ]
        lost = [name for name in names if name not in declared and f"{table.name}.{name}" not in declared]
        if lost:
            types = sorted({str(table.schema.field(name).type) for name in lost})
            raise LayoutError(
                f"no measurement of {table.name} is a number",
                where=plan.job.source,
                why=f"its {plural(len(lost), 'measurement')}, such as {lost[0]}, have type {', '.join(types)}",
                remedy=f"correct the tables, declare a type: column_types {lost[0]}=number, or leave {table.name} out "
                "with 'compartments'",
            )
