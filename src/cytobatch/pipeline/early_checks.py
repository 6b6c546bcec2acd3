"""Checks of a plan before a file of its source is fetched, so that what cannot work costs no transfer."""

import functools
import shutil
from pathlib import Path

from cytobatch.config.options import PlateJob
from cytobatch.config.uris import is_remote
from cytobatch.engine.join_engine import check_join_text
from cytobatch.engine.resources import ResourceLimits
from cytobatch.errors import ConfigurationError, StorageError
from cytobatch.formats.base import ConversionPlan
from cytobatch.pipeline.memory_estimate import least_memory
from cytobatch.pipeline.scratch_estimate import scratch_need
from cytobatch.storage.access import Access
from cytobatch.storage.annotation_files import read_table_text
from cytobatch.survey.annotation_files import ReadText
from cytobatch.survey.platemap import check_annotations


def check_apart(job: PlateJob) -> None:
    """Raise ConfigurationError if the destination is the source, or lies in it: its files would be inputs."""
    source, destination = _location(job.source), _location(job.destination)
    if destination == source or destination.startswith(f"{source.rstrip('/')}/"):
        raise ConfigurationError(
            "destination lies in the source" if destination != source else "destination is the source",
            where=job.destination,
            why=f"the source is {job.source}, and the next run would take what is published for inputs",
            remedy="name a destination outside of the source",
        )


def _location(uri: str) -> str:
    """Return a location in a form that is the same for each spelling."""
    return uri.rstrip("/") if is_remote(uri) else str(Path(uri).expanduser().resolve())


def annotation_reader(plan: ConversionPlan) -> ReadText:
    """Return a function that reads each platemap or LoadData file once, with the access to the source."""
    access = Access.to_source(plan.job)
    return functools.cache(lambda uri: read_table_text(uri, access))


def check_plan(plan: ConversionPlan, read: ReadText) -> None:
    """Check the destination, the user's SQL, the platemap and the LoadData file of a plan.

    Raises ConfigurationError, JoinSqlError and AnnotationError.
    """
    check_apart(plan.job)
    if plan.job.joins is not None:
        # Only where names of files are those of tables, the tables are known now.
        check_join_text(plan.job.joins, {name for export in plan.exports for name in export.tables})
    check_annotations(plan, read)


def check_resources(plan: ConversionPlan, limits: ResourceLimits, scratch: Path) -> None:
    """Check that memory and scratch disk are enough for a plan.

    Parameters
    ----------
    plan
        The plan of the plate.
    limits
        What the run may take.
    scratch
        A folder on the scratch disk.

    Raises
    ------
    ConfigurationError
        If the memory is less than the least of the plan.
    StorageError
        If the disk has less free space than the conversion takes at least.
    """
    least = least_memory(plan)
    if limits.memory < least:
        raise ConfigurationError(
            "too little memory",
            where=plan.job.label,
            why=f"the run may take {limits.memory // 2**20} MiB, and this plate takes {least // 2**20} MiB at least",
            remedy=f"allow {least // 2**20}MiB with CYTOBATCH_MEMORY (--memory), in a container or machine that has it",
        )
    need = scratch_need(plan, remote=is_remote(plan.job.source), table_bytes=limits.table_bytes)
    free = shutil.disk_usage(scratch).free
    if free < need.least:
        raise StorageError(
            "too little space on the scratch disk",
            where=str(scratch),
            why=f"{free // 2**20} MiB are free, and this plate takes {need.least // 2**20} MiB at least, "
            f"{need.total // 2**20} MiB at most",
            remedy="free space, or name a folder on another disk with CYTOBATCH_SCRATCH_DIR (--scratch-dir)",
        )
