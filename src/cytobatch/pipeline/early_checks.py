"""Checks of a plan before a file of its source is fetched, so that an option that cannot fit costs no transfer."""

import functools

from cytobatch.engine.join_engine import check_join_text
from cytobatch.formats.base import ConversionPlan
from cytobatch.storage.access import Access
from cytobatch.storage.annotation_files import read_table_text
from cytobatch.survey.annotation_files import ReadText
from cytobatch.survey.platemap import check_annotations


def annotation_reader(plan: ConversionPlan) -> ReadText:
    """Return a function that reads each platemap or LoadData file once, with the access to the source."""
    access = Access.to_source(plan.job)
    return functools.cache(lambda uri: read_table_text(uri, access))


def check_plan(plan: ConversionPlan, read: ReadText) -> None:
    """Check the user's SQL, the platemap and the LoadData file of a plan. Raises JoinSqlError and AnnotationError."""
    if plan.job.joins is not None:
        # Only where names of files are those of tables, the tables are known now.
        check_join_text(plan.job.joins, {name for export in plan.exports for name in export.tables})
    check_annotations(plan, read)
