"""Where the Cell Painting Gallery keeps a plate's measurements.

From a workspace (`…/<project>/<source>/workspace`), a batch and a plate:

    analysis/<batch>/<plate>/analysis/<plate>-<well>-<site>/Cells.csv    or folders of wells, or of the whole plate
    backend/<batch>/<plate>/<plate>.sqlite

and from a network's embeddings (`…/workspace_dl/embeddings/<network>`):

    <batch>/<plate>/<well>/<site>/embedding.npz

https://broadinstitute.github.io/cellpainting-gallery/data_structure.html
"""

from dataclasses import dataclass
from pathlib import PurePosixPath

from cytobatch.config.presets.catalog import PRESETS, SUFFIXES, FormatName, PresetName

_ANALYSIS, _BACKEND, _EMBEDDINGS = "analysis", "backend", "embeddings"
_WORKSPACE_DL = "workspace_dl"


def networks_folder(source: str) -> str | None:
    """The folder of networks where a source is a whole `workspace_dl` or its `embeddings`, and so names no network."""
    source = source.rstrip("/")
    name = PurePosixPath(source).name
    return source if name == _EMBEDDINGS else f"{source}/{_EMBEDDINGS}" if name == _WORKSPACE_DL else None


def _is_network(source: str) -> bool:
    return PurePosixPath(source.rstrip("/")).parent.name == _EMBEDDINGS


def plate_folders(source: str, batch: str) -> tuple[str, ...]:
    """The folders that have a folder for each plate of a batch."""
    source = source.rstrip("/")
    if _is_network(source):
        return (f"{source}/{batch}",)
    return f"{source}/{_ANALYSIS}/{batch}", f"{source}/{_BACKEND}/{batch}"


@dataclass(frozen=True, slots=True)
class PlateSource:
    """A folder that may have a plate's measurements, which it has if there are files with one of the suffixes."""

    folder: str
    suffixes: frozenset[str]


def plate_sources(source: str, batch: str, plate: str, preset: PresetName) -> tuple[PlateSource, ...]:
    """Return the folders that may have one plate's measurements in the formats of a preset, the better one first.

    The CSV files of `analysis` are what CellProfiler wrote, the SQLite file of `backend` was made from them.
    """
    source = source.rstrip("/")
    if _is_network(source):
        found = [(f"{source}/{batch}/{plate}", FormatName.NPZ)]
    else:
        found = [
            (f"{source}/{_ANALYSIS}/{batch}/{plate}", FormatName.CSV),
            (f"{source}/{_BACKEND}/{batch}/{plate}", FormatName.SQLITE),
        ]
    allowed = frozenset(FormatName) if preset is PresetName.AUTO else PRESETS[preset].formats
    return tuple(PlateSource(folder, SUFFIXES[each]) for folder, each in found if each in allowed)
