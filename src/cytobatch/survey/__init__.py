"""The content of a plate's files: schemas, image sets, platemaps, and the exports that are valid.

Entry functions: `survey()` (`plate.py`) takes a plan and returns a `Survey` (`model.py`); `annotate()` (`platemap.py`)
joins a platemap to it.
"""
