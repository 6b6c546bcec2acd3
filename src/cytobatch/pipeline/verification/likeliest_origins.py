"""The likeliest origin of each row: the row of the source from which it differs least."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from cytobatch.pipeline.verification.derive import ProfileRow
from cytobatch.pipeline.verification.model import Difference, DifferenceKind


@dataclass(slots=True)
class LikeliestOrigins:
    """The differences of rows of an output from their likeliest origins, while rows of the source are looked at."""

    output: str
    _least: dict[int, list[Difference]] = field(default_factory=dict)
    _unread: set[int] = field(default_factory=set)

    def add(self, row: ProfileRow, found: list[Difference]) -> None:
        """Add the differences of a row from a row of the source that it may come from."""
        self._least[row.position] = min(self._least.get(row.position, found), found, key=len)

    def add_unread(self, rows: Sequence[ProfileRow]) -> None:
        """Note rows that may come from a file that cannot be read."""
        self._unread |= {row.position for row in rows}

    def differences(self, rows: Sequence[ProfileRow]) -> Iterator[Difference]:
        """Yield the differences of rows, in their order. A row without an origin may be of a file that was not read."""
        for row in rows:
            if row.position in self._least:
                yield from self._least[row.position]
            elif row.position not in self._unread:
                what = "no object of the source has the keys of the row"
                yield Difference(DifferenceKind.MISSING, self.output, what, row.position)

    def skipped(self) -> int:
        """Return how many rows have no origin because of what cannot be read."""
        return len(self._unread - self._least.keys())
