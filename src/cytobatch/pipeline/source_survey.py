"""A source as far as it is looked into before a run: local files are surveyed, of a bucket a few exports."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from cytobatch.config.uris import is_remote
from cytobatch.conversion.run_resources import RunResources
from cytobatch.errors import InputDataError
from cytobatch.formats.base import ConversionPlan
from cytobatch.pipeline.folders import Folders
from cytobatch.pipeline.plate import open_resources, survey_plate
from cytobatch.pipeline.sample import SourceSample, sampled, sampled_rows, unreadable_sample, why_not_sampled
from cytobatch.readers.inputs import Inputs
from cytobatch.storage.source import Source
from cytobatch.survey.annotation_files import ReadText
from cytobatch.survey.model import Survey

_COUNTED_BYTES = 256 * 2**20
"""The most bytes of a plate whose rows are counted by reading it."""


@dataclass(frozen=True, slots=True)
class SurveyedSource:
    """What is known of a source before a run.

    `survey` is None if nothing could be surveyed, and `sample` has why. `rows` are by table; about, for a sample.
    `resources` read further rows, as long as the source is open.
    """

    survey: Survey | None
    rows: Mapping[str, int]
    sample: SourceSample | None = None
    resources: RunResources | None = None


@contextmanager
def open_source(plan: ConversionPlan, source: Source, folders: Folders, read: ReadText) -> Iterator[SurveyedSource]:
    """Survey a local source, or a sample of one in a bucket. Raises StorageError, and InputDataError for the whole."""
    if not is_remote(plan.job.source):
        with open_resources(plan, source, folders) as resources:
            surveyed = survey_plate(plan, resources, read)
            yield SurveyedSource(surveyed, _row_counts(surveyed, resources.inputs), None, resources)
        return
    part, of = sampled(plan), len(plan.exports)
    if part is None:
        yield SurveyedSource(None, {}, why_not_sampled(plan))
        return
    with open_resources(part, source, folders) as resources:
        yield _surveyed_sample(part, of, resources, read)


def _surveyed_sample(part: ConversionPlan, of: int, resources: RunResources, read: ReadText) -> SurveyedSource:
    inputs = resources.inputs
    try:
        surveyed = survey_plate(part, resources, read)
        rows = sampled_rows(surveyed, inputs, of)
    except InputDataError as error:
        if len(part.exports) == of:
            raise
        # A few exports may lack what the others have.
        return SurveyedSource(None, {}, unreadable_sample(part, of, inputs.fetched, error))
    return SurveyedSource(surveyed, rows, SourceSample(len(part.exports), of, inputs.fetched), resources)


def _row_counts(surveyed: Survey, inputs: Inputs) -> dict[str, int]:
    """Return rows by table, or nothing if the format does not count them cheaply and the plate is large."""
    source_format = surveyed.plan.format
    if not source_format.traits.cheap_row_counts and surveyed.plan.size > _COUNTED_BYTES:
        return {}
    rows = dict.fromkeys(surveyed.schemas, 0)
    for export in surveyed.exports:
        for name, table in export.tables.items():
            count = source_format.count_rows(table, inputs.whole(table.source))
            if count is None:
                return {}
            rows[name] += count
    return rows
