"""Schemas, joins and profile names of columns from names and headers. Pure functions.

Entry functions: `plan_joins` (`joins.py`), `unify_schemas` (`schema.py`) and `profile_name` (`columns.py`). `Inventory`
(`inventory.py`) is the list of a source's files, `key_columns.py` has the names of key columns.
"""
