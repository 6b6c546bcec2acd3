"""The folders of a run's intermediate files, removed when the run ends."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from cytobatch.config.option_types import CacheMode
from cytobatch.config.options import PlateJob
from cytobatch.storage.access import storage_errors
from cytobatch.storage.locks import marked_as_used, remove_unused
from cytobatch.storage.temporary_folder import temporary_folder

_PREFIX = "cytobatch-"


@dataclass(frozen=True, slots=True)
class Folders:
    """The folders of a run's intermediate files; all but a persistent cache are removed when it ends."""

    cache: Path
    out: Path
    scratch: Path


@contextmanager
def folders_for(job: PlateJob) -> Iterator[Folders]:
    """Make the folders of a run, and remove them at the end. Raises StorageError if one cannot be made."""
    with ExitStack() as stack:
        with storage_errors(f"scratch folder {job.scratch_dir or 'of the system'}"):
            root = _temporary_folder(job.scratch_dir, stack)
        cache = root / "cache"
        if job.cache_dir:
            with storage_errors(f"cache folder {job.cache_dir}"):
                job.cache_dir.mkdir(parents=True, exist_ok=True)
                temporary = job.cache_mode is CacheMode.TMP_DIR
                cache = _temporary_folder(job.cache_dir, stack) if temporary else job.cache_dir
        folders = Folders(cache, root / "out", root / "scratch")
        for folder in (folders.cache, folders.out, folders.scratch):
            folder.mkdir(exist_ok=True)
        yield folders


@contextmanager
def folder_for_reading(parent: Path | None) -> Iterator[Path]:
    """Make a folder for fetched files of a result, and remove it at the end. Raises StorageError."""
    with ExitStack() as stack:
        with storage_errors(f"scratch folder {parent or 'of the system'}"):
            folder = _temporary_folder(parent, stack)
        yield folder


def _temporary_folder(parent: Path | None, stack: ExitStack) -> Path:
    """Make a temporary folder in a parent folder, which is made if absent; the stack removes the temporary one.

    Folders of runs that were killed are removed first.
    """
    if parent:
        parent.mkdir(parents=True, exist_ok=True)
    remove_unused(parent or Path(tempfile.gettempdir()), f"{_PREFIX}*")
    folder = stack.enter_context(temporary_folder(_PREFIX, parent))
    stack.enter_context(marked_as_used(folder))
    return folder
