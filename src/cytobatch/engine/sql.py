"""All SQL text, made from typed values. Every identifier and literal is quoted here and nowhere else.

The key join works on key tables, one for each compartment, called `keys_<compartment>`, with the columns

    EXPORT  the export's index     IMAGE   ImageNumber       ROW        the row's index in the wide table
    TABLE   TableNumber, as text   OBJECT  object number     p_<other>  the object number of a parent in `other`

(`planning.key_columns` has their names).
"""

import re
from collections.abc import Iterable

from cytobatch.config.option_types import Aggregation
from cytobatch.planning.joins import Join, JoinKind, JoinPlan
from cytobatch.planning.key_columns import EXPORT, IMAGE, OBJECT, ROW, TABLE

# Names that no table of a plate can have.
IMAGE_KEYS = "#image keys"
IMAGE_ROW = "#image"
EXPORT_INDEX = "#export"
_ANCHOR = "#anchor"


def identifier(name: str) -> str:
    """Return a name as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return text as a quoted SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def keys_of(compartment: str) -> str:
    """Return the name of a compartment's key table."""
    return f"keys_{compartment}"


def parent(compartment: str) -> str:
    """Return the column of a key table that holds the object number of a parent in `compartment`."""
    return f"p_{compartment}"


def select(table: str, columns: Iterable[str]) -> str:
    """Read columns of a table, in SQLite's own SQL."""
    return f"SELECT {', '.join(identifier(column) for column in columns)} FROM {identifier(table)}"


def select_first(table: str, columns: Iterable[str], rows: int, most_bytes: int) -> str:
    """Read columns of the first rows of a table, and the first bytes of blobs, in SQLite's own SQL."""
    names = [identifier(column) for column in columns]
    values = (f"CASE typeof({n}) WHEN 'blob' THEN substr({n}, 1, {most_bytes}) ELSE {n} END" for n in names)
    return f"SELECT {', '.join(values)} FROM {identifier(table)} LIMIT {rows}"


def any_real(table: str, columns: Iterable[str]) -> str:
    """Select a row if any of the columns of a SQLite table holds a number with a fraction, in SQLite's own SQL.

    In a column declared as an integer, SQLite stores a whole number as an integer, so a real has a fraction.
    """
    kinds = ", ".join(f"typeof({identifier(column)})" for column in columns)
    return f"SELECT 1 FROM {identifier(table)} WHERE 'real' IN ({kinds}) LIMIT 1"


def attach_sqlite(path: str, name: str) -> str:
    """Attach a SQLite file under a name that no other file has, for queries in its own SQL."""
    return f"ATTACH {literal(path)} AS {identifier(name)} (TYPE sqlite, READ_ONLY)"


def through_sqlite(name: str, text: str) -> str:
    """Query the SQLite file attached under a name, in SQLite's own SQL."""
    return f"FROM sqlite_query({literal(name)}, {literal(text)})"


def detach_sqlite(name: str) -> str:
    """Detach the SQLite file attached under a name."""
    return f"DETACH {identifier(name)}"


def sqlite_tables_and_views() -> str:
    """Select type, name and SQL of a SQLite database's tables and views, without SQLite's internal tables."""
    return (
        "SELECT type, name, sql FROM sqlite_master WHERE type = 'view' "
        "OR type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name"
    )


def any_row(table: str) -> str:
    """Select a row if a SQLite table or view has any, in SQLite's own SQL."""
    return f"SELECT 1 FROM {identifier(table)} LIMIT 1"


def count_rows(table: str) -> str:
    """Count the rows of a SQLite table or view."""
    return f"SELECT count(*) FROM {identifier(table)}"


def sqlite_root(table: str) -> str:
    """Select the page at which a SQLite table begins, in SQLite's own SQL."""
    return f"SELECT rootpage FROM sqlite_master WHERE type = 'table' AND name = {literal(table)}"


def sqlite_columns(table: str) -> str:
    """Select a SQLite table's columns as they are stored: name, declared type, index in its key, and if computed."""
    return f"SELECT name, type, pk, hidden FROM pragma_table_xinfo({literal(table)}) ORDER BY cid"


_ROWIDS = ("rowid", "oid", "_rowid_")


def hides_rowid(columns: Iterable[str]) -> bool:
    """Whether one of a SQLite table's columns is called `rowid`, so that the name means the column."""
    return _ROWIDS[0] in {column.lower() for column in columns}


def highest_rowid(table: str, columns: Iterable[str]) -> str:
    """Select the highest rowid of a SQLite table, by one of its three names that no column has, else the row count."""
    taken = {column.lower() for column in columns}
    free = next((f"max({name})" for name in _ROWIDS if name not in taken), "count(*)")
    return f"SELECT {free} FROM {identifier(table)}"


def scan_sqlite(path: str, table: str, columns: Iterable[str]) -> str:
    """Read columns of a SQLite table."""
    chosen = ", ".join(identifier(column) for column in columns)
    return f"SELECT {chosen} FROM sqlite_scan({literal(path)}, {literal(table)})"


def describe_sqlite(path: str, table: str) -> str:
    """Select no rows of a SQLite table: the result has its columns with the types that DuckDB gives them."""
    return f"SELECT * FROM sqlite_scan({literal(path)}, {literal(table)}) LIMIT 0"


def _image_key(by_table: bool) -> tuple[str, ...]:
    """Return the key columns of an image, with TableNumber where the source has one."""
    return (EXPORT, TABLE, IMAGE) if by_table else (EXPORT, IMAGE)


def _same_image(left: str, right: str, by_table: bool) -> str:
    return " AND ".join(f"{left}.{column} = {right}.{column}" for column in _image_key(by_table))


def _first_children(link: Join, by_table: bool) -> str:
    image = ", ".join(_image_key(by_table))
    via = identifier(parent(link.via))
    return (
        f"(SELECT * FROM {identifier(keys_of(link.compartment))} "
        f"QUALIFY row_number() OVER (PARTITION BY {image}, {via} ORDER BY {OBJECT}) = 1)"
    )


def _link_sql(link: Join, by_table: bool) -> str:
    name, via = identifier(link.compartment), identifier(link.via)
    image = _same_image(name, via, by_table)
    if link.kind is JoinKind.PARENT:
        keys = identifier(keys_of(link.compartment))
        return (
            f"LEFT JOIN {keys} AS {name} ON {image} AND {name}.{OBJECT} = {via}.{identifier(parent(link.compartment))}"
        )
    children = _first_children(link, by_table)
    return f"LEFT JOIN {children} AS {name} ON {image} AND {name}.{identifier(parent(link.via))} = {via}.{OBJECT}"


def _members(plan: JoinPlan, link: Join, by_table: bool) -> str:
    """Select the keys of a compartment in `plan.anchors`, with the anchor's object number for each object.

    An object that belongs to several objects of an anchor has a row for each.
    """
    keys, anchor = identifier(keys_of(link.compartment)), identifier(_ANCHOR)
    if link.via not in plan.anchors:
        return f"SELECT k.*, k.{identifier(parent(link.via))} AS {anchor} FROM {keys} AS k"
    own, via = f"k.{OBJECT}", f"m.{identifier(parent(link.compartment))}"
    if link.kind is JoinKind.CHILD:
        own, via = f"k.{identifier(parent(link.via))}", f"m.{OBJECT}"
    above = next(join for join in plan.joins if join.compartment == link.via)
    return (
        f"SELECT DISTINCT k.*, m.{anchor} FROM {keys} AS k JOIN ({_members(plan, above, by_table)}) AS m "
        f"ON {_same_image('k', 'm', by_table)} AND {own} = {via}"
    )


def _all_members(plan: JoinPlan, link: Join, by_table: bool) -> str:
    """Join the list of rows of all objects of a compartment that belong to an anchor's object, by object number."""
    name, via = identifier(link.compartment), identifier(plan.anchors[link.compartment])
    image, anchor = ", ".join(_image_key(by_table)), identifier(_ANCHOR)
    lists = (
        f"SELECT {image}, {anchor}, list({ROW} ORDER BY {OBJECT}) AS {ROW} "
        f"FROM ({_members(plan, link, by_table)}) GROUP BY {image}, {anchor}"
    )
    return f"LEFT JOIN ({lists}) AS {name} ON {_same_image(name, via, by_table)} AND {name}.{anchor} = {via}.{OBJECT}"


def key_join(plan: JoinPlan, *, by_table: bool, image_keys: tuple[str, ...], sort: bool) -> str:
    """Select one row for each base object: its export, and for every compartment and the image the row that joins it.

    A row number is null if no row joins; the compartments in `plan.anchors` have lists of row numbers. `image_keys` are
    the columns that the image's key table shares with the others, or empty if there are no images. The result is sorted
    by export, TableNumber, image and object, or else in the base table's own order.
    """
    base = identifier(plan.base)
    rows = [f"{identifier(name)}.{ROW} AS {identifier(name)}" for name in plan.compartments]
    joins = [
        _all_members(plan, link, by_table) if link.compartment in plan.anchors else _link_sql(link, by_table)
        for link in plan.joins
    ]
    if image_keys:
        image = identifier(IMAGE_KEYS)
        rows.append(f"{image}.{ROW} AS {identifier(IMAGE_ROW)}")
        same = " AND ".join(f"{image}.{key} = {base}.{key}" for key in image_keys)
        joins.append(f"LEFT JOIN {image} ON {same}")
    keys = (*_image_key(by_table), OBJECT, ROW) if sort else (EXPORT, ROW)
    order = ", ".join(f"{base}.{key}" for key in keys)
    select = ", ".join([*rows, f"{base}.{EXPORT} AS {identifier(EXPORT_INDEX)}"])
    return f"SELECT {select} FROM {identifier(keys_of(plan.base))} AS {base} {' '.join(joins)} ORDER BY {order}"


def repeated_keys(keys: str, *, by_table: bool, by_object: bool = True) -> str:
    """Select, for each export with repeated keys, one of their images and object numbers, and the number of keys."""
    image = ", ".join(_image_key(by_table))
    key = f"{image}, {OBJECT}" if by_object else image
    shown = f"min({OBJECT})" if by_object else "NULL"
    return (
        f"SELECT {EXPORT}, min({IMAGE}) AS {IMAGE}, {shown} AS {OBJECT}, count(*) AS n, NULL AS beyond "
        f"FROM (SELECT {key} FROM {identifier(keys)} GROUP BY {key} HAVING count(*) > 1) GROUP BY {EXPORT}"
    )


def dangling_parents(link: Join, *, by_table: bool) -> str:
    """Count, for each export, objects with the number of a parent that does not exist, and those of them past the end.

    Past the end means beyond the last key of the parent's table, as it is if a file was cut short between two lines.
    """
    child, parents = (link.via, link.compartment) if link.kind is JoinKind.PARENT else (link.compartment, link.via)
    column = identifier(parent(parents))
    table = identifier(keys_of(parents))
    return (
        f"WITH last AS (SELECT {EXPORT}, max({{'image': {IMAGE}, 'object': {OBJECT}}}) AS key "
        f"FROM {table} GROUP BY {EXPORT}) "
        f"SELECT c.{EXPORT} AS {EXPORT}, NULL AS {IMAGE}, NULL AS {OBJECT}, count(*) AS n, "
        f"count(*) FILTER (last.key IS NULL OR {{'image': c.{IMAGE}, 'object': c.{column}}} > last.key) AS beyond "
        f"FROM {identifier(keys_of(child))} AS c LEFT JOIN last ON last.{EXPORT} = c.{EXPORT} "
        f"WHERE c.{column} > 0 AND NOT EXISTS (SELECT 1 FROM {table} AS p "
        f"WHERE {_same_image('p', 'c', by_table)} AND p.{OBJECT} = c.{column}) GROUP BY c.{EXPORT}"
    )


CHECK = "check"


def all_checks(checks: Iterable[str]) -> str:
    """Join queries of `repeated_keys` and `dangling_parents` to one, with the number of each as CHECK.

    One query is faster, because planning each takes longer than running it on the keys of a few sites.
    """
    return " UNION ALL ".join(
        f"SELECT {number} AS {identifier(CHECK)}, * FROM ({check})" for number, check in enumerate(checks)
    )


ROWS, WELL = "rows", "well"


def nth(number: int) -> str:
    """Return the name of one of many columns whose own names are kept elsewhere."""
    return f"c{number}"


def aggregate(how: Aggregation, columns: int) -> str:
    """Select the median or mean of the first `columns` columns of `rows` for each `well`, in order, without nulls."""
    values = (f"{how}({nth(n)}) AS {nth(n)}" for n in range(columns))
    return f"SELECT {WELL}, {', '.join(values)} FROM {identifier(ROWS)} GROUP BY {WELL} ORDER BY {WELL}"


_SORT_KEYS = re.compile(
    r"Metadata_TableNumber|Metadata_ImageNumber|(Metadata_)?(.*_)?(ObjectNumber|Number_Object_Number)"
)
_NOT_KEYS = re.compile(r".*ClosestObjectNumber.*")


def without_repeats(text: str) -> str:
    """Return a user's join with repeated column names made distinct, by the numbers that DuckDB appends."""
    return f"SELECT * FROM ({text})"


def count_columns(text: str) -> str:
    """Count the columns of a user's join."""
    return f"SELECT count(*) FROM (DESCRIBE {text})"


def sorted_join(text: str, columns: Iterable[str]) -> str:
    """Return a user's join sorted by those of its columns that are keys: TableNumber, image and object numbers."""
    keys = [name for name in columns if _SORT_KEYS.fullmatch(name) and not _NOT_KEYS.fullmatch(name)]
    first = ("Metadata_TableNumber", "Metadata_ImageNumber")
    keys.sort(key=lambda name: (first.index(name) if name in first else len(first), name))
    order = f" ORDER BY {', '.join(identifier(key) for key in keys)}" if keys else ""
    return f"{without_repeats(text)}{order}"
