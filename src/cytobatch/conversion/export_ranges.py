"""Ranges of exports: the parts of a large plate that can be converted by themselves, and put together again.

A row group never spans two ranges, on one machine neither. So the bytes of a profile do not depend on where its ranges
were converted. A range follows from the sizes of the source's files alone, and not from rows, memory or machines.
"""

from collections.abc import Iterator, Sequence

from cytobatch.formats.base import ConversionPlan, Export
from cytobatch.output.row_groups import row_group_source_bytes
from cytobatch.survey.model import Survey, SurveyedExport


def export_ranges(survey: Survey) -> tuple[tuple[SurveyedExport, ...], ...]:
    """Return the valid exports of a plate in ranges, each with at least one export, in the order of the plan.

    A job that gives the rows of a row group, and no size of ranges, has one range. So has a plate of one file.
    """
    job = survey.plan.job
    if job.chunk_size is not None and job.range_size is None:
        return (survey.exports,)
    by_index = {export.index: export for export in survey.exports}
    ranges = (
        tuple(by_index[export.index] for export in exports if export.index in by_index)
        for exports in planned_ranges(survey.plan)
    )
    return tuple(exports for exports in ranges if exports) or (survey.exports,)


def planned_ranges(plan: ConversionPlan) -> Iterator[Sequence[Export]]:
    """Yield the exports of a plan in ranges, invalid exports among them.

    A range ends before the export with which its source bytes would be more than `range_size`: by default as many as
    make one row group. It does not end between exports of one file, because all of them need the file.
    """
    limit = int(plan.job.range_size or row_group_source_bytes(plan.size))
    exports: list[Export] = []
    paths: set[str] = set()
    size = 0
    for export in plan.exports:
        own = {file.path for file in export.files}
        if exports and size + export.size > limit and paths.isdisjoint(own):
            yield exports
            exports, paths, size = [], set(), 0
        exports.append(export)
        paths |= own
        size += export.size
    if exports:
        yield exports
