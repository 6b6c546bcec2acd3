"""SQLite files of CellProfiler's ExportToDatabase and of cytominer-database. Registered as `FORMAT` in `format.py`."""
