"""SQLite databases: through DuckDB or SQLite, and in `native` from the pages of the file."""
