"""Files that are not read: those that systems and programs keep for themselves, and those that are no files.

Hidden files and folders are no part of any plate.
"""

import functools

from cytobatch.planning.inventory import Inventory, SourceFile

HIDDEN = "hidden: a file or folder that a system or program keeps for itself"
DANGLING = "a link whose target does not exist"
MARKER = "an object whose key ends in a slash, as that of a folder's marker, with content that is not read"
_HIDDEN_STARTS = (".", "~$")
_HIDDEN_NAMES = frozenset({"__MACOSX"})


def is_hidden(file: SourceFile) -> bool:
    """Return True if a file or one of its folders is hidden: `._Cells.csv`, `.ipynb_checkpoints`, `__MACOSX`."""
    return any(part.startswith(_HIDDEN_STARTS) or part in _HIDDEN_NAMES for part in file.path.split("/"))


def reason_not_read(file: SourceFile) -> str | None:
    """Return why a file is not read, whatever its name stands for; None if it may be read."""
    if file.is_dangling:
        return DANGLING
    if file.path.endswith("/"):
        return MARKER
    return HIDDEN if is_hidden(file) else None


@functools.lru_cache(maxsize=2)
def without_hidden(inventory: Inventory) -> Inventory:
    """Return the inventory of the files that may be read. The only file of a source stays, because the job names it.

    Cached, because a plate may have tens of thousands of files.
    """
    files = [(file, reason_not_read(file)) for file in inventory.files]
    if len(files) == 1 and files[0][0].folder == "." and files[0][1] in (None, HIDDEN):
        return inventory
    return Inventory(inventory.root, tuple(file for file, reason in files if reason is None))
