"""Tables without the key columns that most exports have. They are defects, because their objects cannot be joined."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from cytobatch.config.presets.catalog import Preset
from cytobatch.formats.base import ConversionPlan, ExportScan, PlateScan, SurveyedTable
from cytobatch.planning.columns import IMAGE_NUMBER, TABLE_NUMBER
from cytobatch.planning.joins import CompartmentKeys, JoinKind, find_keys, plan_joins


def check_missing_keys(plan: ConversionPlan, scan: PlateScan, *, joined: bool) -> list[ExportScan]:
    """Fail tables without a key column that most tables of their name have.

    Parent columns are keys if tables are `joined` by them. TableNumbers are keys in an export that has any. An image
    table without rows has no keys either, if the format's `has_rows` is not exact.
    """
    tables: dict[str, list[SurveyedTable]] = {}
    for export in scan.exports:
        for name, table in export.tables.items():
            tables.setdefault(name, []).append(table)
    usual = {name: _usual_columns(same_name) for name, same_name in tables.items()}
    labels = {name: same_name[0].label for name, same_name in tables.items() if name not in scan.preset.metadata}
    needed = _needed_columns(labels, usual, joined=joined)
    numbered = {name for name, columns in usual.items() if TABLE_NUMBER in columns}
    exact = plan.format.traits.exact_has_rows
    return [_without_missing_keys(export, scan.preset, _Needed(needed, numbered, exact)) for export in scan.exports]


@dataclass(frozen=True, slots=True)
class _Needed:
    """The key columns that each table needs, and the names of the tables that have TableNumbers.

    `exact_has_rows` is the trait of the format.
    """

    columns: Mapping[str, Sequence[str]]
    numbered: Collection[str]
    exact_has_rows: bool


def _without_missing_keys(scan: ExportScan, preset: Preset, needed: _Needed) -> ExportScan:
    has_numbers = any(_has(table, TABLE_NUMBER) for table in scan.tables.values())
    some_objects = any(table.has_rows for name, table in scan.tables.items() if name not in preset.metadata)
    result = scan
    for name, table in scan.tables.items():
        missing = [column for column in needed.columns.get(name, ()) if not _has(table, column)]
        if table.has_rows and missing:
            result = result.without(name, f"no {missing[0]} column: other exports have it in this table")
        elif has_numbers and name in needed.numbered and not _has(table, TABLE_NUMBER):
            result = result.without(name, f"no {TABLE_NUMBER} column: other tables of the export have it")
        elif name in preset.metadata and some_objects and not table.has_rows and not needed.exact_has_rows:
            result = result.without(name, "no rows: there are objects, but no image")
    return result


def _has(table: SurveyedTable, column: str) -> bool:
    # `schema.names` builds a list of thousands of names on each access.
    return bool(table.schema.get_all_field_indices(column))


def _needed_columns(
    labels: Mapping[str, str], usual: Mapping[str, Sequence[str]], *, joined: bool
) -> dict[str, list[str]]:
    """Return for each compartment the columns that number images, objects and, if `joined`, parents."""
    keys = {
        name: compartment_keys
        for name, label in labels.items()
        if (compartment_keys := find_keys(name, label, usual[name], labels)) is not None
    }
    needed = {name: [IMAGE_NUMBER, compartment_keys.object_number] for name, compartment_keys in keys.items()}
    if joined and keys:
        _add_parents(needed, keys)
    return needed


def _add_parents(needed: Mapping[str, list[str]], keys: Mapping[str, CompartmentKeys]) -> None:
    for join in plan_joins(keys, ()).joins:
        needed[join.via if join.kind is JoinKind.PARENT else join.compartment].append(join.column)


def _usual_columns(tables: Sequence[SurveyedTable]) -> list[str]:
    """Return the columns that at least half of the tables have."""
    # Thousands of tables have few schemas between them, and tables of one schema mostly share the object.
    schemas = {id(table.schema): table.schema for table in tables}
    counts = Counter[str]()
    for schema, count in Counter(id(table.schema) for table in tables).items():
        counts.update(dict.fromkeys(schemas[schema].names, count))
    return [column for column, count in counts.items() if 2 * count >= len(tables)]
