"""Files of whole rows that hold the same objects in other bytes, as a copy that a program has saved again.

Files of the same columns and the same plates, wells and sites are compared by their first rows. No other file is
read for it.
"""

import hashlib
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from pathlib import PurePosixPath

import pyarrow as pa

from cytobatch.config.natural_order import natural_key
from cytobatch.engine.duckdb import Engine
from cytobatch.engine.executor import Executor
from cytobatch.errors import InvalidTableError
from cytobatch.formats.base import OBJECTS, ReadContext
from cytobatch.planning.columns import PLATE, SITE, WELL
from cytobatch.planning.key_columns import EXPORT
from cytobatch.readers.fallback import ReadStrategy
from cytobatch.readers.inputs import Inputs
from cytobatch.survey.model import Survey, SurveyedExport

_ROWS = 1000

Group = list[SurveyedExport]
"""Exports that are alike."""


def exports_of_same_rows(
    survey: Survey, exports: Iterable[SurveyedExport], inputs: Inputs, engine: Engine
) -> list[Group]:
    """Return groups of at least two exports of whole rows that begin with the same rows. Raises StorageError."""
    if survey.single_table is None:
        return []
    locations = _locations(survey)
    candidates = defaultdict[tuple[Hashable, frozenset[str]], Group](list)
    for export in exports:
        if export.index in locations:
            names = frozenset(export.tables[OBJECTS].schema.names)
            candidates[locations[export.index], names].append(export)
    groups = []
    for (_, names), candidate in candidates.items():
        same = defaultdict[Hashable, Group](list)
        for export in candidate if len(candidate) > 1 else ():
            same[_digest(survey, export, sorted(names), (inputs, engine))].append(export)
        groups += [_ordered(group) for digest, group in same.items() if digest is not None and len(group) > 1]
    return groups


def _ordered(group: Group) -> Group:
    # `Day0 again.csv` sorts before `Day0.csv`.
    return sorted(group, key=lambda export: (len(export.path), natural_key(export.path)))


def _locations(survey: Survey) -> dict[int, frozenset[tuple[object, ...]]]:
    """Return plate, well and site of all image sets of each export whose wells are known."""
    images = survey.images
    names = [name for name in (PLATE, WELL, SITE) if name in images.locations.column_names]
    if WELL not in names:
        return {}
    places = list(zip(*(images.locations[name].to_pylist() for name in names), strict=True))
    count = images.table.num_rows
    owners = images.table[EXPORT].to_pylist() if count else range(len(survey.plan.exports))
    found = defaultdict[int, set[tuple[object, ...]]](set)
    for owner, place in zip(owners, places, strict=False):
        found[owner].add(place)
    known = names.index(WELL)
    return {owner: frozenset(each) for owner, each in found.items() if all(place[known] for place in each)}


def _digest(
    survey: Survey, export: SurveyedExport, names: Sequence[str], resources: tuple[Inputs, Engine]
) -> bytes | None:
    """Return a checksum of columns of the first rows, or None if they cannot be read, which is a defect later."""
    table = export.tables[OBJECTS]
    schema = pa.schema([table.schema.field(name) for name in names])
    inputs, engine = resources
    with Executor(1) as executor:
        context = ReadContext(survey.plan.job, engine, executor)
        try:
            *_, strategy = survey.plan.format.readers(table, inputs.whole(table.source), schema, [], context)
            # A column may name the file itself.
            own = PurePosixPath(table.source).name
            rows = [values for values in _first_rows(strategy) if any(value != own for value in values)]
        except InvalidTableError:
            return None
    return hashlib.sha256(repr(rows).encode()).digest()


def _first_rows(strategy: ReadStrategy) -> list[list[object]]:
    """Return the values of the first rows by column. The rows of a batch depend on how the file is written."""
    batches, count = list[pa.RecordBatch](), 0
    for batch in strategy():
        batches.append(batch)
        count += batch.num_rows
        if count >= _ROWS:
            break
    rows = pa.Table.from_batches(batches).slice(0, _ROWS) if batches else pa.table({})
    return [column.to_pylist() for column in rows.columns]
