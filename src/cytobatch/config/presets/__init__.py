"""The presets of sources: `PRESETS` in `catalog.py`."""
