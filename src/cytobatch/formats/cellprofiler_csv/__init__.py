"""CellProfiler's ExportToSpreadsheet: CSV files by compartment. Registered as `FORMAT` in `format.py`."""
