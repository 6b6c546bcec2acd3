"""The seam for file formats: the protocol that all formats implement, and a folder for each format.

Entry functions: `files_to_probe()` and `make_plan()` (`detect.py`) turn a listing of files into a `ConversionPlan`. Its
`format` scans the files and reads their rows. `SourceFormat` (`base.py`) is the protocol, and `source_formats()`
(`registry.py`) returns the installed formats. `docs/formats.md` describes how to add one.
"""
