"""CellProfiler's ExportToSpreadsheet: CSV files by compartment."""
