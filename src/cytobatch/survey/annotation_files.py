"""The files of platemaps and LoadData tables: the option names one, or the folder that has it under a usual name."""

from collections.abc import Callable
from pathlib import PurePosixPath

from cytobatch.errors import AbsentFileError, AnnotationError

ReadText = Callable[[str], str]
"""A function that returns the text of a small file by its path or URI. Raises AbsentFileError if it does not exist."""

BARCODES = "barcode_platemap.csv"
_MAPS = "platemap"
_SUFFIXES = (".txt", ".tsv", ".csv", ".parquet", ".xlsx", ".xls", ".ods")
"""The suffixes of tables. Those of spreadsheets are refused where they are read."""
_LOAD_DATA = tuple(
    f"{stem}{suffix}" for stem in ("load_data", "load_data_with_illum") for suffix in (".csv", ".csv.gz", ".parquet")
)
"""The names of LoadData files, of which the first that is there is taken."""


def is_file(uri: str) -> bool:
    """Return True if a path or URI is that of a table, by its suffix, and not that of a folder."""
    return PurePosixPath(uri.lower().removesuffix(".gz")).suffix in _SUFFIXES


def barcodes_file(folder: str) -> str:
    """Return the list of the plates and platemaps of a batch."""
    return f"{folder.rstrip('/')}/{BARCODES}"


def platemap_file(folder: str, name: str) -> str:
    """Return the file of a platemap in the folder of a batch. Raises AnnotationError if its name leads elsewhere."""
    path = PurePosixPath(name)
    if not name or path.is_absolute() or ".." in path.parts or "\0" in name:
        raise AnnotationError(
            "platemap outside its folder",
            where=barcodes_file(folder),
            why=f"it names the platemap {name!r}",
            remedy=f"put the file into {_MAPS}/, and give its name there",
        )
    return f"{folder.rstrip('/')}/{_MAPS}/{name if is_file(name) else f'{name}.txt'}"


def read_load_data(where: str, read: ReadText) -> tuple[str, str]:
    """Return the path or URI of a LoadData file, and its text. Raises AbsentFileError and the errors of `read`."""
    if is_file(where):
        return where, read(where)
    folder = where.rstrip("/")
    for name in _LOAD_DATA:
        try:
            return f"{folder}/{name}", read(f"{folder}/{name}")
        except AbsentFileError:
            continue
    raise AbsentFileError(
        "no LoadData file",
        where=where,
        why=f"none of {', '.join(_LOAD_DATA)} is in this folder",
        remedy="name the file itself",
    )
