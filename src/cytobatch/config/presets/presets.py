"""Presets: what each instrument's output is called and how its columns are named.

The names, identifying columns and image columns are those of CytoTable 1.2.6 (`cytotable/presets.py`), so that a
profile made here has the columns that its users know. `auto` has no names of its own: it takes those of the preset
that fits what it finds.
"""

from dataclasses import dataclass
from enum import StrEnum


class SourceKind(StrEnum):
    """How tables are stored at the source."""

    CSV = "csv"
    SQLITE = "sqlite"
    IN_CARTA = "in-carta"
    NPZ = "npz"

    @property
    def is_single_table(self) -> bool:
        """Whether a file's rows are whole, one for each object, so that there is nothing to join."""
        return self in (SourceKind.IN_CARTA, SourceKind.NPZ)


SUFFIXES = {
    SourceKind.CSV: frozenset({".csv"}),
    SourceKind.SQLITE: frozenset({".sqlite", ".sqlite3", ".db", ".db3"}),
    SourceKind.IN_CARTA: frozenset({".csv"}),
    SourceKind.NPZ: frozenset({".npz"}),
}
"""The suffixes, in lower case, of files of each kind."""


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
    """How one kind of source is read and named.

    `kinds`: the stores it may come in; `compartments` and `metadata`: tables by lower-case name;
    `identifying_columns`: columns that move under `Metadata_`; `image_columns`: regular expression over the profile
    names of the image table's columns that a joined profile carries; `dropped_keys`: profile names of the key columns
    that a joined profile takes once, from the base compartment, and not from the others.
    """

    name: PresetName
    kinds: frozenset[SourceKind]
    identifying_columns: tuple[str, ...]
    image_columns: str
    dropped_keys: frozenset[str]
    compartments: tuple[str, ...] = _USUAL_COMPARTMENTS
    metadata: tuple[str, ...] = _USUAL_METADATA


def _flat(name: PresetName, kind: SourceKind) -> Preset:
    """A preset for files of whole rows: no compartments, and columns keep their names."""
    return Preset(name, frozenset({kind}), (), _NOTHING, frozenset(), (), ())


_NOTHING = r"(?!)"
_IMAGE = "Metadata_ImageNumber"
_TABLE = "Metadata_TableNumber"
_OBJECT = "Metadata_ObjectNumber"
_FILES = r"Image_FileName_.*"

PRESETS: dict[PresetName, Preset] = {
    preset.name: preset
    for preset in (
        Preset(
            name=PresetName.CELLPROFILER_CSV,
            kinds=frozenset({SourceKind.CSV}),
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
            kinds=frozenset({SourceKind.SQLITE}),
            identifying_columns=("ImageNumber", "Metadata_Well", "Parent_Cells", "Parent_Nuclei"),
            image_columns=rf"{_FILES}|Image_Metadata_(Well|Plate)",
            dropped_keys=frozenset({_IMAGE}),
        ),
        Preset(
            name=PresetName.CELLPROFILER_SQLITE_PYCYTOMINER,
            kinds=frozenset({SourceKind.SQLITE}),
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
            kinds=frozenset({SourceKind.SQLITE}),
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
            kinds=frozenset({SourceKind.CSV, SourceKind.SQLITE}),
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
        _flat(PresetName.IN_CARTA, SourceKind.IN_CARTA),
        _flat(PresetName.DEEPPROFILER, SourceKind.NPZ),
    )
}
