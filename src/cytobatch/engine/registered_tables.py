"""Arrow tables under names in a DuckDB connection, for a time."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import duckdb
import pyarrow as pa


@contextmanager
def registered_tables(
    connection: duckdb.DuckDBPyConnection, tables: Mapping[str, pa.Table]
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield a cursor in which tables can be queried under their names. Nothing of them is left at its end."""
    with connection.cursor() as cursor:
        for name, table in tables.items():
            cursor.register(name, table)
        try:
            yield cursor
        finally:
            for name in tables:
                cursor.unregister(name)
