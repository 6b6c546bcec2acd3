"""Names of SQLite tables: the prefix that one run gives all of its tables, and its compartment."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cytobatch.config.presets.catalog import USUAL_TABLES
from cytobatch.planning.columns import table_label

OBJECT = "object"
"""The table in which ExportToDatabase puts all compartments side by side."""
_PER = re.compile(r"((?:.*_)?per_)(.+)", re.IGNORECASE)
_IMAGE = "image"


@dataclass(frozen=True, slots=True)
class TableName:
    """The name of a table or view in its file, the prefix of its set (`RunA_Per_`), and its label (`Cells`).

    `view` is the SQL of a view, and None for a table.
    """

    source: str
    prefix: str
    label: str
    view: str | None = None

    @property
    def name(self) -> str:
        """The lower-case name of the table."""
        return self.label.lower()

    @property
    def set_key(self) -> str:
        """The prefix in lower case, because SQLite does not distinguish case in names."""
        return self.prefix.lower()

    @property
    def is_per_table(self) -> bool:
        """Whether ExportToDatabase names its tables so."""
        return self.set_key.endswith("per_")

    @property
    def is_usual(self) -> bool:
        """Whether the content of the table follows from its name."""
        return self.name in USUAL_TABLES or self.name == OBJECT


def table_names(tables: Iterable[str], views: Mapping[str, str]) -> list[TableName]:
    """Return the names of tables and views, with prefix and label.

    A prefix ends in `Per_`, as ExportToDatabase writes it; or it stands before the names of an image table and of
    compartments, as an importer of `MyExpt_Image.csv` and `MyExpt_Cells.csv` writes it.
    """
    sources = [*tables, *views]
    prefixes = _plain_prefixes(sources)
    return [_table_name(source, prefixes, views.get(source)) for source in sources]


def _plain_prefixes(sources: Iterable[str]) -> list[str]:
    """Return the lower-case prefixes without `Per_` that an image table and a compartment share, the longest first."""
    plain = {source.lower() for source in sources if not _PER.fullmatch(source)}
    prefixes = {name.removesuffix(_IMAGE) for name in plain if name.endswith(_IMAGE)}
    compartments = USUAL_TABLES - {_IMAGE}
    known = {prefix for prefix in prefixes if prefix and any(f"{prefix}{name}" in plain for name in compartments)}
    return sorted(known, key=lambda prefix: (-len(prefix), prefix))


def _table_name(source: str, prefixes: Iterable[str], view: str | None) -> TableName:
    match = _PER.fullmatch(source)
    if match:
        return TableName(source, match[1], table_label(match[2]), view)
    prefix = next((each for each in prefixes if source.lower().startswith(each) and len(source) > len(each)), "")
    return TableName(source, source[: len(prefix)], table_label(source[len(prefix) :]), view)


def fits_prefix(set_key: str, wanted: str) -> bool:
    """Return True if `table_prefix` names a set: `RunA`, `RunA_` and `RunA_Per_` all stand for `RunA_Per_`."""
    ends = ("", "_", "per_", "_per_") if wanted else ("",)
    return set_key in {f"{wanted.lower()}{end}" for end in ends}
