"""Machinery without knowledge of plates: DuckDB, SQL text, threads, memory and CPU limits."""
