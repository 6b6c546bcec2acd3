"""SQLite files of CellProfiler's ExportToDatabase and of cytominer-database."""
