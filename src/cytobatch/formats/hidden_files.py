"""Files that systems and programs keep for themselves: hidden files and folders are no part of any plate."""

import functools

from cytobatch.planning.inventory import Inventory, SourceFile

HIDDEN = "hidden: a file or folder that a system or program keeps for itself"
_HIDDEN_STARTS = (".", "~$")
_HIDDEN_NAMES = frozenset({"__MACOSX"})


def is_hidden(file: SourceFile) -> bool:
    """Return True if a file or one of its folders is hidden: `._Cells.csv`, `.ipynb_checkpoints`, `__MACOSX`."""
    return any(part.startswith(_HIDDEN_STARTS) or part in _HIDDEN_NAMES for part in file.path.split("/"))


@functools.lru_cache(maxsize=2)
def without_hidden(inventory: Inventory) -> Inventory:
    """Return the inventory without hidden files. The only file of a source stays, because the job names it.

    Cached, because a plate may have tens of thousands of files.
    """
    if len(inventory.files) == 1 and inventory.files[0].folder == ".":
        return inventory
    return Inventory(inventory.root, tuple(file for file in inventory.files if not is_hidden(file)))
