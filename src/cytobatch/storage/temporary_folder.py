"""Folders that are removed with what they are for, also if a signal comes at the moment when they are made."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4


@contextmanager
def temporary_folder(prefix: str, parent: Path | None = None) -> Iterator[Path]:
    """Make a new folder that only its owner can read, and remove it at the end. Raises OSError if it cannot be made.

    `parent` is by default the system's folder for temporary files. The folder's name is known before it is made:
    `tempfile.TemporaryDirectory` learns the name afterwards, and a signal in between leaves the folder.
    """
    folder = (parent or Path(tempfile.gettempdir())).absolute() / f"{prefix}{uuid4().hex}"
    try:
        folder.mkdir(mode=0o700)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
