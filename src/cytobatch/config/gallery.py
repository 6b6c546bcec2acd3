"""The folders of the Cell Painting Gallery that hold a plate's measurements.

From a workspace (`…/<project>/<source>/workspace`), a batch and a plate:

    analysis/<batch>/<plate>/analysis/<plate>-<well>-<site>/Cells.csv    or folders of wells, or of the whole plate
    backend/<batch>/<plate>/<plate>.sqlite

and from the embeddings of a network (`…/workspace_dl/embeddings/<network>`), one file for each site:

    <batch>/<plate>/<well>/<site>/

https://broadinstitute.github.io/cellpainting-gallery/data_structure.html
"""

from dataclasses import dataclass
from pathlib import PurePosixPath

from cytobatch.config.presets.catalog import GALLERY_FORMATS, PRESETS, SUFFIXES, FormatName, GalleryFolder, PresetName

_WORKSPACE_DL = "workspace_dl"


def networks_folder(source: str) -> str | None:
    """Return the folder of networks if a source is a `workspace_dl` or its `embeddings`, and so names no network."""
    source = source.rstrip("/")
    name = PurePosixPath(source).name
    if name == GalleryFolder.EMBEDDINGS:
        return source
    return f"{source}/{GalleryFolder.EMBEDDINGS}" if name == _WORKSPACE_DL else None


def _is_network(source: str) -> bool:
    return PurePosixPath(source.rstrip("/")).parent.name == GalleryFolder.EMBEDDINGS


def plate_folders(source: str, batch: str) -> tuple[str, ...]:
    """Return the folders that have a folder for each plate of a batch."""
    source = source.rstrip("/")
    if _is_network(source):
        return (f"{source}/{batch}",)
    return f"{source}/{GalleryFolder.ANALYSIS}/{batch}", f"{source}/{GalleryFolder.BACKEND}/{batch}"


@dataclass(frozen=True, slots=True)
class PlateSource:
    """A folder that may have a plate's measurements. It has them if it has files with one of the suffixes."""

    folder: str
    suffixes: frozenset[str]


def plate_sources(source: str, batch: str, plate: str, preset: PresetName) -> tuple[PlateSource, ...]:
    """Return the folders that may have one plate's measurements in the formats of a preset, the better one first.

    CellProfiler wrote the CSV files of `analysis`. The SQLite file of `backend` was made from them.
    """
    source = source.rstrip("/")
    if _is_network(source):
        folders = [(f"{source}/{batch}/{plate}", GALLERY_FORMATS[GalleryFolder.EMBEDDINGS])]
    else:
        folders = [
            (f"{source}/{folder}/{batch}/{plate}", GALLERY_FORMATS[folder])
            for folder in (GalleryFolder.ANALYSIS, GalleryFolder.BACKEND)
        ]
    allowed = frozenset(FormatName) if preset is PresetName.AUTO else PRESETS[preset].formats
    return tuple(PlateSource(folder, SUFFIXES[name]) for folder, name in folders if name in allowed)
