"""What a platemap says about wells: their role, if they are controls, and their content.

Roles are those of the platemaps of the Cell Painting Gallery: `control_type` (negcon, poscon, …) and `pert_type`
(trt, control). https://github.com/jump-cellpainting/datasets
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from cytobatch.config.wells import known_text
from cytobatch.formats.image_sets import ImageSets
from cytobatch.planning.columns import METADATA, PLATE, WELL

_ROLES = ("controltype", "perttype", "wellrole", "role", "control", "welltype", "sampletype")
_CONTENTS = (
    *("pertiname", "pertname", "compoundname", "compound", "treatment", "genename", "genesymbol", "gene", "symbol"),
    *("broadsample", "jcp2022", "sirna", "crispr", "drug", "moleculename", "perturbation", "content", "target"),
)
_NO_CONTROL = frozenset({"trt", "treatment", "treated", "compound", "sample", "test", "false", "no", "0", "empty"})
_VEHICLES = frozenset({"dmso", "vehicle", "untreated", "mock", "negcon", "medium", "nontargeting", "ntc"})


@dataclass(frozen=True, slots=True)
class WellAnnotation:
    """The role of a control, None for other wells, and the content of a well, None if it is not known."""

    role: str | None = None
    content: str | None = None


def well_annotations(images: ImageSets) -> Mapping[tuple[str | None, str], WellAnnotation]:
    """Return the annotation of each plate and well of which a platemap's column names a role or a content."""
    table = images.locations
    wells = _texts(table, WELL)
    plates = _texts(table, PLATE)
    roles = _texts(table, _first(images.of_wells, _ROLES))
    contents = _texts(table, _first(images.of_wells, _CONTENTS))
    return {
        (plate, well): WellAnnotation(_role(role, content), content)
        for plate, well, role, content in zip(plates, wells, roles, contents, strict=True)
        if well is not None and (role or content)
    }


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.removeprefix(METADATA).lower())


def _first(columns: Sequence[str], names: Iterable[str]) -> str | None:
    """Return the column that has the first of the names."""
    by_name = {_plain(column): column for column in reversed(columns)}
    return next((by_name[name] for name in names if name in by_name), None)


def _texts(table: pa.Table, column: str | None) -> list[str | None]:
    if column not in table.column_names:
        return [None] * table.num_rows
    return [known_text(value) for value in table[column].to_pylist()]


def _role(role: str | None, content: str | None) -> str | None:
    if role is not None:
        return None if role.lower() in _NO_CONTROL else role
    return content if content and _plain(content) in _VEHICLES else None
