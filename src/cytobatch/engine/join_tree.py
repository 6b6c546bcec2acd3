"""A user's `joins` SQL as the tree that DuckDB parses it to: which tables and functions it uses, and which it may use.

A tree is the JSON of DuckDB's `json_serialize_sql`. Whatever is not known here is refused, so that a function that a
later DuckDB brings cannot be called before somebody has looked at it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cytobatch.errors import JoinSqlError

TABLE_FUNCTIONS = frozenset({"range", "generate_series", "unnest"})
"""The functions that a join may read rows from. They make rows of their arguments alone."""

REFUSED_FUNCTIONS = frozenset(
    {
        "current_setting",
        "currval",
        "getenv",
        "getvariable",
        "json_deserialize_sql",
        "json_serialize_plan",
        "json_serialize_sql",
        "nextval",
        "sleep_ms",
        "write_log",
    }
)
"""Functions on values that read or change more than their arguments: settings, sequences, logs, SQL given as text."""

_INTERNAL = "__internal"
"""The beginning of the names of DuckDB's own functions, which trust their arguments."""

_MOST_PARTS = 32
"""Parts of a name such as `table.column.field`. One of tens of thousands makes DuckDB crash."""

_TABLE, _FUNCTION = "BASE_TABLE", "TABLE_FUNCTION"
_ROW_SOURCES = frozenset({"EMPTY", "EXPRESSION_LIST", "JOIN", "PIVOT", "SUBQUERY", _TABLE, _FUNCTION})
"""The kinds of FROM that a join may have. SHOW and DESCRIBE, which list what DuckDB holds, are not among them."""


@dataclass(frozen=True, slots=True)
class JoinUse:
    """What a parsed query uses: lower-case names of tables, and descriptions of what a join may not use."""

    tables: set[str] = field(default_factory=set)
    refused: list[str] = field(default_factory=list)


def parsed(serialized: str) -> dict[str, Any]:
    """Return the tree from DuckDB's `json_serialize_sql`. Raises JoinSqlError if the SQL is not one SELECT."""
    try:
        tree: dict[str, Any] = json.loads(serialized)
    except RecursionError as error:
        raise too_deep() from error
    why = ""
    if tree["error"]:
        why = str(tree["error_message"])
    elif len(tree["statements"]) != 1:
        why = f"it holds {len(tree['statements'])} statements"
    if why:
        raise JoinSqlError("joins is not one SELECT", where="joins", why=why, remedy="write one SELECT in DuckDB's SQL")
    return tree


def too_deep() -> JoinSqlError:
    """Return the error for SQL whose parts are nested hundreds of levels deep."""
    return JoinSqlError(
        "joins is nested too deep",
        where="joins",
        why="its parts have more levels than can be checked",
        remedy="name parts of it in a WITH clause",
    )


def use_of(tree: object) -> JoinUse:
    """Return the tables that a parsed query reads, without those of its WITH clauses, and what a join may not use.

    The name is `cells` for `read_parquet('cells.parquet')`. Raises JoinSqlError if the query is nested too deep.
    """
    use = JoinUse()
    try:
        _add_use(tree, frozenset(), use)
    except RecursionError as error:
        raise too_deep() from error
    return use


def _add_use(node: object, common: frozenset[str], use: JoinUse) -> None:
    """Add the use of a part of a query. `common` are the names of the WITH clauses that the part is in scope of."""
    if isinstance(node, list):
        for item in node:
            _add_use(item, common, use)
    if not isinstance(node, dict):
        return
    if "cte_map" in node:
        common = _add_with_clause(node, common, use)
    if node.get("type") == "RECURSIVE_CTE_NODE":
        common |= {node["cte_name"].lower()}
    file = _file_read_by(node)
    if file is not None:
        use.tables.add(table_of_file(file))
        return
    _add_own_use(node, common, use)
    for key, value in node.items():
        if key != "cte_map":
            _add_use(value, common, use)


def _add_with_clause(node: Mapping[str, Any], common: frozenset[str], use: JoinUse) -> frozenset[str]:
    """Add the use of a WITH clause, and return the names in scope after it. A name is in scope after its own query."""
    for entry in node["cte_map"]["map"]:
        _add_use(entry["value"], common, use)
        common |= {entry["key"].lower()}
    return common


def _add_own_use(node: Mapping[str, Any], common: frozenset[str], use: JoinUse) -> None:
    kind = node.get("type")
    if "sample" in node and "query_location" in node and kind not in _ROW_SOURCES:
        use.refused.append(f"a FROM of the kind {kind}")
    if len(node.get("column_names", ())) > _MOST_PARTS:
        use.refused.append(f"a name of more than {_MOST_PARTS} parts")
    if kind == _TABLE:
        _add_table(node, common, use)
    elif kind == _FUNCTION:
        name = str(node["function"].get("function_name", "")).lower()
        if name not in TABLE_FUNCTIONS:
            use.refused.append(f"the function {name}() for rows")
    elif "function_name" in node:
        name = str(node["function_name"]).lower()
        if name in REFUSED_FUNCTIONS or name.startswith(_INTERNAL):
            use.refused.append(f"the function {name}()")


def _add_table(node: Mapping[str, Any], common: frozenset[str], use: JoinUse) -> None:
    name = str(node["table_name"]).lower()
    if node["schema_name"] or node["catalog_name"]:
        use.refused.append(f"the table {name} in a schema of its own")
    elif name not in common:
        use.tables.add(name)


def table_of_file(name: str) -> str:
    """Return the table of a file that a join written for CytoTable reads: `cells` for `cells.parquet`."""
    return name.rsplit("/", 1)[-1].removesuffix(".parquet").lower()


def with_tables_for_files(tree: Any) -> Any:
    """Return the parsed query with the table `cells` in place of each `read_parquet('cells.parquet')`."""
    if isinstance(tree, list):
        return [with_tables_for_files(item) for item in tree]
    if not isinstance(tree, dict):
        return tree
    file = _file_read_by(tree)
    if file is None:
        return {key: with_tables_for_files(value) for key, value in tree.items()}
    kept = {key: tree[key] for key in ("alias", "sample", "query_location", "column_name_alias")}
    return kept | {
        "type": _TABLE,
        "table_name": table_of_file(file),
        "schema_name": "",
        "catalog_name": "",
        "at_clause": None,
    }


def _file_read_by(node: dict[str, Any]) -> str | None:
    if node.get("type") != _FUNCTION or node["function"].get("function_name") != "read_parquet":
        return None
    arguments = node["function"]["children"]
    value = arguments[0].get("value", {}).get("value") if len(arguments) == 1 else None
    return value if isinstance(value, str) else None
