"""The conversion of a surveyed plate into files on the scratch disk.

Entry function: `convert_survey()` (`convert.py`) takes a `Survey` and returns a `ConvertedPlate`.
"""
