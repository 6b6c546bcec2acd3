"""Find out what lies at a path, and inspect it."""

from pathlib import Path

from cytobatch.config.options import PARQUET, PlateJob, PlateOptions
from cytobatch.config.uris import is_remote
from cytobatch.errors import AbsentFileError, InputDataError, SourceNotFoundError
from cytobatch.pipeline.folders import folder_for_reading
from cytobatch.pipeline.inspection.model import InspectedSource, Inspection
from cytobatch.pipeline.inspection.published import inspect_parquet, inspect_result
from cytobatch.pipeline.inspection.source import inspect_source
from cytobatch.pipeline.process_state import pandas_not_imported
from cytobatch.pipeline.published_result import PublishedResult
from cytobatch.report.lines import shortened
from cytobatch.storage.access import Access
from cytobatch.storage.destination import REPORT
from cytobatch.storage.published_files import PublishedFiles
from cytobatch.storage.source import list_folders

_FOLDERS_SHOWN = 5


def inspect_path(path: str, options: PlateOptions, rows: int) -> Inspection:
    """Inspect what lies at a path.

    Parameters
    ----------
    path
        A result (its folder, report or Parquet file), a Parquet file, or a source, local or in a bucket.
    options
        The access to it, and the folder of fetched files.
    rows
        How many rows are shown.

    Raises
    ------
    InputDataError
        If it is none of these, or cannot be read as one.
    StorageError
        If it cannot be reached.
    """
    access = Access.for_options(options)
    with pandas_not_imported(), folder_for_reading(options.scratch_dir) as scratch:
        result = _result_at(path.rstrip("/") or path, access, scratch)
        if result is not None:
            return inspect_result(result, rows)
        if path.endswith(PARQUET):
            files = PublishedFiles.open(path, access, scratch)
            return inspect_parquet(path, files.open_file(path.rpartition("/")[2]), rows)
        _check_no_batch(path, access, scratch)
    return _inspected_source(path, options, rows)


def _check_no_batch(path: str, access: Access, scratch: Path) -> None:
    """Check that the folders in a folder are no results. Raises InputDataError, which names them."""
    folders = list_folders(path, access)
    if not folders or _result_at(f"{path.rstrip('/')}/{folders[0]}", access, scratch) is None:
        return
    raise InputDataError(
        "not a result, but a folder of results",
        where=path,
        why=f"its folders are {shortened(folders, _FOLDERS_SHOWN)}, and the first has a report",
        remedy="inspect one of them, or gather all into a page with `cytobatch collect`",
    )


def _inspected_source(path: str, options: PlateOptions, rows: int) -> InspectedSource:
    given = {name: value for name, value in options.explicit().items() if name not in ("source", "destination")}
    try:
        return inspect_source(PlateJob(**{**given, "source": path, "destination": path}), rows)
    except SourceNotFoundError as error:
        why = "no file, and no folder with files, has this name"
        raise SourceNotFoundError("nothing is there", where=path, why=why, remedy="check the path") from error


def _result_at(path: str, access: Access, scratch: Path) -> PublishedResult | None:
    """Return the result at a path, or None if no report is there; of a Parquet file also that of its folder."""
    if not is_remote(path) and Path(path).expanduser().is_file() and not path.endswith((REPORT, PARQUET)):
        return None
    try:
        return PublishedResult.open(path, access, scratch)
    except AbsentFileError:
        if not path.endswith(PARQUET):
            if path.endswith(REPORT):
                raise
            return None
    folder, _, name = path.rpartition("/")
    try:
        result = PublishedResult.open(folder or ".", access, scratch)
    except AbsentFileError:
        return None
    return result if name in result.outputs else None
