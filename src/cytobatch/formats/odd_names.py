"""Names of local files that are not UTF-8, which no report, and no library that opens tables, can hold."""

import re
from collections.abc import Collection
from dataclasses import replace

from cytobatch.config.plural import plural
from cytobatch.errors import LayoutError
from cytobatch.planning.inventory import Inventory

_ODD = re.compile("[\ud800-\udfff]")
"""Python writes a byte that is not UTF-8 as a lone surrogate, whose last eight bits it is."""


def with_shown_names(inventory: Inventory) -> Inventory:
    """Return the inventory with each byte that is not UTF-8 in a name written as `\\xff`."""
    if all(map(_is_text, (inventory.root, *(file.path for file in inventory.files)))):
        return inventory
    return Inventory(_shown(inventory.root), tuple(replace(file, path=_shown(file.path)) for file in inventory.files))


def check_names(inventory: Inventory, paths: Collection[str]) -> None:
    """Check that the names of the files to read are UTF-8. Raises LayoutError.

    `inventory` has the names as they are. `paths` are of the files to read, as `with_shown_names` shows them.
    """
    odd = [file for file in inventory.files if not _is_text(inventory.root + file.path)]
    names = {file.path for file in inventory.files}
    odd = [file for file in odd if _shown(file.path) in paths or _shown(file.path) in names]
    if odd:
        raise LayoutError(
            "a name that is not UTF-8",
            where=_shown(f"{inventory.root.rstrip('/')}/{odd[0].path}"),
            why=f"{plural(len(odd), 'file')} to read, by its own name or that of a folder",
            remedy="rename them",
        )


def _is_text(name: str) -> bool:
    return name.isascii() or _ODD.search(name) is None


def _shown(name: str) -> str:
    return _ODD.sub(lambda odd: f"\\x{ord(odd[0]) & 0xFF:02x}", name)
