"""What each instrument writes, as frozen values and plain functions over names; no I/O."""

from cytobatch.layouts.places import (
    Place,
    normalise_well,
    place_of_file,
    place_of_folder,
    site_number,
    well_of_row_and_column,
)
from cytobatch.layouts.presets import PRESETS, SUFFIXES, USUAL_TABLES, Preset, PresetName, SourceKind

__all__ = [
    "PRESETS", "SUFFIXES", "USUAL_TABLES", "Place", "Preset", "PresetName", "SourceKind",
    "normalise_well", "place_of_file", "place_of_folder", "site_number", "well_of_row_and_column",
]  # fmt: skip
