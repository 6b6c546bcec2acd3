"""A sample of a plate in a bucket: a few exports, so that its tables are known without fetching the plate."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from cytobatch.errors import InputDataError
from cytobatch.formats.base import ConversionPlan, Export
from cytobatch.readers.inputs import BEGINNING, Inputs
from cytobatch.survey.model import Survey

_MOST_EXPORTS = 3
_MOST_FETCHED = 8 * 2**20
"""The most bytes that are fetched as a rule: the beginnings of tables, and whole image tables."""
_MOST_BYTES = 64 * 2**20
"""The most bytes of all files of a sample: a survey reads a file whole if its beginning leaves doubts."""


@dataclass(frozen=True, slots=True)
class SourceSample:
    """What was looked at of a plate in a bucket: some of its exports, and the bytes that were fetched.

    `reason` is why no export was looked at, or why these could not be surveyed. With `is_outline` only the declarations
    of a large file were read, and no row.
    """

    exports: int
    of: int
    fetched: int = 0
    reason: str = ""
    is_outline: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether all exports were looked at."""
        return self.exports == self.of and not self.reason and not self.is_outline


def sampled(plan: ConversionPlan) -> ConversionPlan | None:
    """Return the plan of a few exports that are spread over the plate; None if one export alone has too many bytes."""
    whole = set(plan.format.whole_files(plan))
    chosen: list[Export] = []
    fetched = size = 0
    for export in _spread(plan):
        fetched += sum(file.size if file.path in whole else min(file.size, BEGINNING) for file in export.files)
        size += sum(file.size for file in export.files)
        if fetched > _MOST_FETCHED or size > _MOST_BYTES:
            break
        chosen.append(export)
    if not chosen:
        return None
    chosen.sort(key=lambda export: export.index)
    exports = tuple(replace(export, index=number) for number, export in enumerate(chosen))
    # The record of the analysis is a file beside each export.
    return replace(plan, exports=exports, job=plan.job.model_copy(update={"experiment": False}))


def first_of(plan: ConversionPlan) -> ConversionPlan:
    """Return the plan of the first export alone."""
    return replace(plan, exports=plan.exports[:1], job=plan.job.model_copy(update={"experiment": False}))


def why_not_sampled(plan: ConversionPlan) -> SourceSample:
    """Return the sample of a plate of whose exports even one is too large to be looked at."""
    return SourceSample(
        0,
        len(plan.exports),
        reason="its files would have to be fetched whole; plan from a local copy to see its tables",
    )


def unreadable_sample(plan: ConversionPlan, of: int, fetched: int, error: InputDataError) -> SourceSample:
    """Return the sample of exports whose survey has failed."""
    return SourceSample(len(plan.exports), of, fetched, error.reason)


def sampled_rows(surveyed: Survey, inputs: Inputs, of: int) -> dict[str, int]:
    """Return rows by table: those of a sample times the exports of a sampled one.

    Rows of files that are there whole are counted, those of others are the objects that the image tables count. A table
    that neither counts is left out.
    """
    plan, rows = surveyed.plan, dict[str, int | None]()
    whole = set(plan.format.whole_files(plan))
    whole |= {file.path for export in plan.exports for file in export.files if file.size <= BEGINNING}
    for name in surveyed.schemas:
        tables = [(export.index, export.tables[name]) for export in surveyed.exports if name in export.tables]
        if all(table.source in whole for _, table in tables):
            counts = [plan.format.count_rows(table, inputs.whole(table.source)) for _, table in tables]
        else:
            counts = [surveyed.counted.get(index, {}).get(name) for index, _ in tables]
        rows[name] = None if None in counts else sum(count or 0 for count in counts)
    return {name: round(sum_ * of / len(plan.exports)) for name, sum_ in rows.items() if sum_ is not None}


def outlined_rows(surveyed: Survey, rows: Mapping[str, int], of: int) -> dict[str, int]:
    """Return rows by table from those that the outline of one file has, by the tables' names in the file."""
    found: dict[str, int] = {}
    for name in surveyed.schemas:
        names = [export.tables[name].shown_name for export in surveyed.exports if name in export.tables]
        if all(each in rows for each in names):
            found[name] = of * sum(rows[each] for each in names)
    return found


def _spread(plan: ConversionPlan) -> Iterator[Export]:
    """Yield a few exports from the first to the last, in the order in which they are taken."""
    last = len(plan.exports) - 1
    yield from (plan.exports[number] for number in dict.fromkeys((0, last, last // 2)))
