"""Parts of the Markdown pages that Prefect shows. No text of a plate breaks them."""

import re
from collections.abc import Sequence

from cytobatch.errors import brief


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table."""
    return [_row(head), _row(["---"] * len(head)), *(_row(row) for row in rows)]


def _row(cells: Sequence[str]) -> str:
    """Return a row of a table. A bar in a cell becomes a broken bar, because Markdown has no escape for it in code."""
    return f"| {' | '.join(' '.join(cell.split()).replace('|', '¦') for cell in cells)} |"


def plain_text(text: str) -> str:
    """Return text whose characters have no meaning in Markdown."""
    return re.sub(r"([\\`*_{}\[\]<>#|])", r"\\\1", " ".join(brief(text).split()))


def code(text: str) -> str:
    """Return text as code."""
    return f"`{brief(text).replace('`', chr(39))}`"


def link(uri: str, text: str | None = None) -> str:
    """Return an address that a browser can open as a link, with a text if one is given; any other as code."""
    return f"[{plain_text(text or uri)}](<{uri}>)" if uri.startswith(("http://", "https://")) else code(uri)
