"""One part of a large plate, from the survey of the plate to its Parquet file at the destination."""

from dataclasses import replace

from cytobatch.config.options import PlateJob
from cytobatch.conversion.convert import convert_part
from cytobatch.conversion.ledger import LedgerPart
from cytobatch.conversion.parts import PlateInParts
from cytobatch.engine.resources import configure_arrow_threads, resource_limits
from cytobatch.pipeline.folders import folders_for
from cytobatch.pipeline.plate import open_part_resources
from cytobatch.pipeline.process_state import collected_less_often, pandas_not_imported
from cytobatch.storage.access import storage_errors
from cytobatch.storage.part_folder import PartFolder

_OF_A_MACHINE = ("workers", "memory", "scratch_dir", "cache_dir", "cache_mode")
"""The options that may not be those of the machine that has surveyed the plate."""
_SECRET = "extra_args"


def without_transfer_arguments(plate: PlateInParts) -> PlateInParts:
    """Return a plate that may lie at its destination, without arguments of transfers that may be keys."""
    return _with_job(plate, plate.survey.plan.job.model_copy(update={_SECRET: {}}))


def _with_job(plate: PlateInParts, job: PlateJob) -> PlateInParts:
    return replace(plate, survey=replace(plate.survey, plan=replace(plate.survey.plan, job=job)))


def convert_plate_part(plate: PlateInParts, number: int, own: PlateJob, folder: PartFolder, name: str) -> LedgerPart:
    """Convert a part of a plate `without_transfer_arguments`, and put it into the folder of parts under a name.

    `own` is the job of the plate with the limits of this machine. Returns what the part adds to the ledger. Raises the
    errors of a conversion, and FractionError.
    """
    update = {option: getattr(own, option) for option in (*_OF_A_MACHINE, _SECRET)}
    job = plate.survey.plan.job.model_copy(update=update)
    configure_arrow_threads(resource_limits(job))
    with pandas_not_imported(), collected_less_often(), folders_for(job) as folders:
        with (
            open_part_resources(replace(plate.survey.plan, job=job), folders) as resources,
            storage_errors(f"scratch folder {folders.scratch.parent}"),
        ):
            part = convert_part(_with_job(plate, job), number, resources)
        folder.put(name, part.path)
        return part.ledger
