"""The names in a CSV header as columns of a table: nameless columns, numbers of rows and repeats are left out."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from cytobatch.planning.columns import is_row_number


@dataclass(frozen=True, slots=True)
class HeaderColumns:
    """The columns of a file, each with a name of its own.

    Attributes
    ----------
    columns
        A name for each column of the file, none twice.
    nameless
        Those of the columns whose name is blank in the file.
    row_numbers
        Those that number the rows, as pandas writes them.
    repeats
        Those whose name stands in the file before, each with that name.
    """

    columns: tuple[str, ...]
    nameless: tuple[str, ...] = ()
    row_numbers: tuple[str, ...] = ()
    repeats: tuple[tuple[str, str], ...] = ()

    @property
    def left_out(self) -> frozenset[str]:
        """The columns that are not part of the table."""
        return frozenset((*self.nameless, *self.row_numbers, *(repeat for repeat, _ in self.repeats)))


def header_columns(names: Sequence[str], group_of: Sequence[str] = ()) -> HeaderColumns:
    """Return the columns of a header with these names.

    `group_of` has for each name the group in which it stands, if the header has groups. A column is then called
    `group/name`.
    """
    full_names = [f"{group}/{name}" for group, name in zip(group_of, names, strict=True)] if group_of else list(names)
    taken = set[str]()
    columns, nameless, row_numbers, repeats = [], [], [], []
    for number, (name, full) in enumerate(zip(names, full_names, strict=True), start=1):
        column = full
        if not name.strip():
            column = _free_name(f"column {number} without a name", full_names)
            nameless.append(column)
        elif full in taken:
            column = _free_name(f"{full} (column {number})", full_names)
            repeats.append((column, full))
        elif is_row_number(name):
            row_numbers.append(column)
        taken.add(column)
        columns.append(column)
    return HeaderColumns(tuple(columns), tuple(nameless), tuple(row_numbers), tuple(repeats))


def _free_name(name: str, names: Collection[str]) -> str:
    """Return the name, with marks behind it if a header has it already."""
    while name in names:
        name = f"{name}'"
    return name
