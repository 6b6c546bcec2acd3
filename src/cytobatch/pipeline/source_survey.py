"""A source as far as it is looked into before a run: local files are surveyed, of a bucket a few exports."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

from cytobatch.config.uris import has_dot_segments, is_remote
from cytobatch.conversion.run_resources import RunResources
from cytobatch.errors import InputDataError
from cytobatch.formats.base import ConversionPlan
from cytobatch.pipeline.folders import Folders
from cytobatch.pipeline.plate import open_local_resources, open_resources, survey_plate
from cytobatch.pipeline.sample import (
    SourceSample,
    first_of,
    outlined_rows,
    sampled,
    sampled_rows,
    unreadable_sample,
    why_not_sampled,
)
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
        yield _surveyed_outline(plan, source, folders, read)
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


def _surveyed_outline(plan: ConversionPlan, source: Source, folders: Folders, read: ReadText) -> SurveyedSource:
    """Survey the tables of the first file without its rows, if its format can be read so."""
    part, of = first_of(plan), len(plan.exports)
    file, *companions = part.exports[0].files
    # A stranger's key may lead out of the folder.
    stream = None if companions or has_dot_segments(file.path) else source.open_parts(file)
    folder = folders.scratch / "outline"
    rows = None if stream is None else plan.format.write_outline(stream, folder / file.path)
    if stream is None or rows is None:
        return SurveyedSource(None, {}, why_not_sampled(plan))
    sample = SourceSample(1, of, stream.fetched, is_outline=True)
    with open_local_resources(part, folder, folders) as resources:
        try:
            surveyed = survey_plate(part, resources, read)
        except InputDataError as error:
            # A survey needs more than declarations, as where the job asks for wells.
            return SurveyedSource(None, {}, unreadable_sample(part, of, stream.fetched, error))
    # What is odd about a table without rows is not odd about the plate.
    return SurveyedSource(replace(surveyed, warnings=()), outlined_rows(surveyed, rows, of), sample)


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
