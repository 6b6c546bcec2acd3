"""Presets: what each instrument's output is called and how its columns are named.

The names, identifying columns and image columns are those of CytoTable 1.2.6 (`cytotable/presets.py`), so that a
profile made here has the columns that its users know. `auto` has no names of its own: it takes those of the preset
that fits what it finds.
"""

from dataclasses import dataclass
from enum import StrEnum


class FormatName(StrEnum):
    """The formats of this package, by the names that reports give as the layout."""

    CSV = "csv"
    SQLITE = "sqlite"
    IN_CARTA = "in-carta"
    NPZ = "npz"


SUFFIXES = {
    FormatName.CSV: frozenset({".csv"}),
    FormatName.SQLITE: frozenset({".sqlite", ".sqlite3", ".db", ".db3"}),
    FormatName.IN_CARTA: frozenset({".csv"}),
    FormatName.NPZ: frozenset({".npz"}),
}
"""The suffixes, in lower case, of files of each format."""


class PresetName(StrEnum):
    """The presets, under CytoTable's names, and `auto`."""

    AUTO = "auto"
    CELLPROFILER_CSV = "cellprofiler_csv"
    CELLPROFILER_SQLITE = "cellprofiler_sqlite"
    CELLPROFILER_SQLITE_PYCYTOMINER = "cellprofiler_sqlite_pycytominer"
    CELLPROFILER_SQLITE_CPG0016_JUMP = "cellprofiler_sqlite_cpg0016_jump"
    CELL_HEALTH = "cell-health-cellprofiler-to-cytominer-database"
    IN_CARTA = "in-carta"
    DEEPPROFILER = "deepprofiler"


_USUAL_COMPARTMENTS = ("cells", "nuclei", "cytoplasm")
_USUAL_METADATA = ("image",)
USUAL_TABLES = frozenset({*_USUAL_COMPARTMENTS, *_USUAL_METADATA})
"""The tables that are known by their names, in lower case."""


@dataclass(frozen=True, slots=True)
class Preset:
    """How a source of one kind is read and named.

    `name` is a PresetName, or a foreign format's own. `formats`: the formats it may come in; `compartments` and
    `metadata`: tables by lower-case name; `identifying_columns`: columns that move under `Metadata_`; `image_columns`:
    regular expression over the profile names of the image table's columns that a joined profile carries;
    `dropped_keys`: profile names of the key columns that a joined profile takes once, from the base compartment.
    """

    name: str
    formats: frozenset[str]
    identifying_columns: tuple[str, ...]
    image_columns: str
    dropped_keys: frozenset[str]
    compartments: tuple[str, ...] = _USUAL_COMPARTMENTS
    metadata: tuple[str, ...] = _USUAL_METADATA


def _single_table(name: PresetName, kind: FormatName) -> Preset:
    """A preset for files of whole rows: no compartments, and columns keep their names."""
    return Preset(name, frozenset({kind}), (), _NOTHING, frozenset(), (), ())


_NOTHING = r"(?!)"
_IMAGE = "Metadata_ImageNumber"
_TABLE = "Metadata_TableNumber"
_OBJECT = "Metadata_ObjectNumber"
_FILES = r"Image_FileName_.*"

PRESETS: dict[PresetName, Preset] = {
    PresetName(preset.name): preset
    for preset in (
        Preset(
            name=PresetName.CELLPROFILER_CSV,
            formats=frozenset({FormatName.CSV}),
            identifying_columns=(
                "ImageNumber",
                "ObjectNumber",
                "Metadata_Well",
                "Metadata_Plate",
                "Parent_Cells",
                "Parent_Nuclei",
            ),
            image_columns=_FILES,
            dropped_keys=frozenset({_IMAGE, _OBJECT}),
        ),
        Preset(
            name=PresetName.CELLPROFILER_SQLITE,
            formats=frozenset({FormatName.SQLITE}),
            identifying_columns=("ImageNumber", "Metadata_Well", "Parent_Cells", "Parent_Nuclei"),
            image_columns=rf"{_FILES}|Image_Metadata_(Well|Plate)",
            dropped_keys=frozenset({_IMAGE}),
        ),
        Preset(
            name=PresetName.CELLPROFILER_SQLITE_PYCYTOMINER,
            formats=frozenset({FormatName.SQLITE}),
            identifying_columns=(
                "ImageNumber",
                "Metadata_Well",
                "Parent_Cells",
                "Parent_Nuclei",
                "Cytoplasm_Parent_Cells",
                "Cytoplasm_Parent_Nuclei",
                "Cells_Number_Object_Number",
                "Nuclei_Number_Object_Number",
            ),
            image_columns=rf"{_FILES}|Image_Metadata_(Well|Plate)",
            dropped_keys=frozenset({_IMAGE}),
        ),
        Preset(
            name=PresetName.CELLPROFILER_SQLITE_CPG0016_JUMP,
            formats=frozenset({FormatName.SQLITE}),
            identifying_columns=(
                "ImageNumber",
                "ObjectNumber",
                "Metadata_Well",
                "Metadata_Plate",
                "Parent_Cells",
                "Parent_Nuclei",
            ),
            image_columns=rf"{_FILES}|Image_TableNumber|Metadata_Plate|Metadata_Well|Image_Metadata_(Site|Row)",
            dropped_keys=frozenset({_IMAGE}),
        ),
        Preset(
            name=PresetName.CELL_HEALTH,
            formats=frozenset({FormatName.CSV, FormatName.SQLITE}),
            identifying_columns=(
                "TableNumber",
                "ImageNumber",
                "Metadata_Well",
                "Parent_Cells",
                "Parent_Nuclei",
                "Cytoplasm_Parent_Cells",
                "Cytoplasm_Parent_Nuclei",
                "Cells_ObjectNumber",
                "Nuclei_ObjectNumber",
            ),
            image_columns=rf"{_FILES}|Image_Metadata_(Well|Plate)",
            dropped_keys=frozenset({_IMAGE, _TABLE}),
        ),
        _single_table(PresetName.IN_CARTA, FormatName.IN_CARTA),
        _single_table(PresetName.DEEPPROFILER, FormatName.NPZ),
    )
}
