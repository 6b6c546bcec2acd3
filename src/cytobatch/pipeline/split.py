"""Whether one plate is converted in parts, by several processes, and why it is not."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from cytobatch.config.option_types import Split
from cytobatch.config.options import PlateJob
from cytobatch.conversion.export_ranges import export_ranges
from cytobatch.conversion.parts import PartsConverter
from cytobatch.survey.model import Survey

Splitter = Callable[[Survey, Path], AbstractContextManager[PartsConverter | None]]
"""Decides whether a surveyed plate is converted in parts, and yields what converts them, or None for one machine.

It gets a folder on the scratch disk for parts that are fetched. At the end of the context nothing of the parts is left.
"""


def on_one_machine(_survey: Survey, _scratch: Path) -> AbstractContextManager[PartsConverter | None]:
    """Leave the plate to this process."""
    return nullcontext()


def without_cluster(say: Callable[[str], None]) -> Splitter:
    """Return the splitter of a run without a Dask cluster. It says so if the job asks for parts."""

    def split(survey: Survey, scratch: Path) -> AbstractContextManager[PartsConverter | None]:
        if survey.plan.job.split is Split.ALWAYS:
            say(one_machine_notice("split needs workers of a Dask cluster, which task_runner names"))
        return on_one_machine(survey, scratch)

    return split


def one_machine_notice(reason: str) -> str:
    """Return the text that tells why a plate is not converted in parts."""
    return f"is converted on one machine: {reason}"


def is_split_wanted(survey: Survey, *, on_large_plates: bool) -> bool:
    """Return whether the job asks for parts: always, or `on_large_plates` and for this one."""
    job = survey.plan.job
    return job.split is Split.ALWAYS or (
        job.split is Split.AUTO and on_large_plates and survey.plan.size > job.split_size
    )


def why_not_split(survey: Survey) -> str | None:
    """Return why a plate cannot be converted in parts, or None if it can."""
    if reason := _why_options_do_not_split(survey.plan.job):
        return reason
    if len(export_ranges(survey)) < 2:
        return "its valid exports are one range (range_size), because they are small, or tables of one file"
    return None


def _why_options_do_not_split(job: PlateJob) -> str | None:
    if not job.join:
        return "join is off, and parts are of joined rows"
    if job.joins is not None:
        return "the SQL in joins is of one machine"
    if not job.concat:
        return "concat is off, and parts are of one output"
    if job.chunk_size is not None and job.range_size is None:
        return "row groups of chunk_size rows go across parts, unless range_size is given, too"
    return None
