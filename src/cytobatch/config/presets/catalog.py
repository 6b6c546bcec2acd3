"""The presets: for each kind of source its formats, its tables, and the names of its columns in a profile.

Names, identifying columns and image columns are those of CytoTable 1.2.6 (`cytotable/presets.py`), because users of
profiles know these columns. `auto` has no names of its own: it takes those of the preset that fits the source.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


class FormatName(StrEnum):
    """The formats of this package, by their names in reports (key `layout`)."""

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
"""The file suffixes of each format, in lower case."""


class GalleryFolder(StrEnum):
    """Folders of the Cell Painting Gallery that hold measurements."""

    ANALYSIS = "analysis"
    BACKEND = "backend"
    EMBEDDINGS = "embeddings"


GALLERY_FORMATS = {
    GalleryFolder.ANALYSIS: FormatName.CSV,
    GalleryFolder.BACKEND: FormatName.SQLITE,
    GalleryFolder.EMBEDDINGS: FormatName.NPZ,
}
"""The format of the files in each folder of the Gallery; embeddings are `<well>/<site>/embedding.npz`."""


class PresetName(StrEnum):
    """The presets by the names that CytoTable gives them, and `auto`."""

    AUTO = "auto"
    CELLPROFILER_CSV = "cellprofiler_csv"
    CELLPROFILER_SQLITE = "cellprofiler_sqlite"
    CELLPROFILER_SQLITE_PYCYTOMINER = "cellprofiler_sqlite_pycytominer"
    CELLPROFILER_SQLITE_CPG0016_JUMP = "cellprofiler_sqlite_cpg0016_jump"
    CELL_HEALTH = "cell-health-cellprofiler-to-cytominer-database"
    IN_CARTA = "in-carta"
    DEEPPROFILER = "deepprofiler"


PresetText = Literal[
    "auto",
    "cellprofiler_csv",
    "cellprofiler_sqlite",
    "cellprofiler_sqlite_pycytominer",
    "cellprofiler_sqlite_cpg0016_jump",
    "cell-health-cellprofiler-to-cytominer-database",
    "in-carta",
    "deepprofiler",
]
"""The values of `PresetName` as text, for editors that complete it."""

_USUAL_COMPARTMENTS = ("cells", "nuclei", "cytoplasm")
_USUAL_METADATA = ("image",)
USUAL_TABLES = frozenset({*_USUAL_COMPARTMENTS, *_USUAL_METADATA})
"""The lower-case names of the tables whose content follows from their name."""


@dataclass(frozen=True, slots=True)
class Preset:
    """The formats, tables and column names of one kind of source.

    `name` is a PresetName, or the name that a format of another package gives its preset.
    `formats` are the formats of such sources, by name.
    `identifying_columns` are the columns that get the prefix `Metadata_` in a profile.
    `image_columns` is a regular expression. A joined profile has the columns of the image table whose profile names
    match it.
    `dropped_keys` are profile names of key columns. A joined profile has them once, from the base compartment.
    `compartments` and `metadata` are the lower-case names of compartment tables and of image tables.
    """

    name: str
    formats: frozenset[str]
    identifying_columns: tuple[str, ...]
    image_columns: str
    dropped_keys: frozenset[str]
    compartments: tuple[str, ...] = _USUAL_COMPARTMENTS
    metadata: tuple[str, ...] = _USUAL_METADATA


_NO_COLUMN = r"(?!)"
"""A regular expression that matches no name."""


def _single_table(name: PresetName, format_name: FormatName) -> Preset:
    """Return a preset for files of whole rows: without compartments, and columns keep their names."""
    return Preset(name, frozenset({format_name}), (), _NO_COLUMN, frozenset(), (), ())


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
