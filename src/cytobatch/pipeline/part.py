"""One part of a large plate, from the survey of the plate to its Parquet file at the destination."""

from dataclasses import replace

from cytobatch.config.options import PlateJob
from cytobatch.conversion.convert import convert_part
from cytobatch.conversion.ledger import LedgerPart
from cytobatch.conversion.parts import PlateInParts
from cytobatch.engine.resources import configure_arrow_threads, resource_limits
from cytobatch.pipeline.folders import folders_for
from cytobatch.pipeline.plate import open_part_resources
from cytobatch.pipeline.process_state import pandas_not_imported
from cytobatch.storage.access import storage_errors
from cytobatch.storage.part_folder import PartFolder

_OWN = ("workers", "memory", "scratch_dir", "cache_dir", "cache_mode")
"""The options of a machine, which may not be those of the machine that has surveyed the plate."""


def convert_plate_part(plate: PlateInParts, number: int, own: PlateJob, folder: PartFolder, name: str) -> LedgerPart:
    """Convert a part within the limits of the job `own`, and put it into the folder of parts under a name.

    Returns what the part adds to the ledger. Raises the errors of a conversion, and FractionError.
    """
    job = plate.survey.plan.job.model_copy(update={option: getattr(own, option) for option in _OWN})
    survey = replace(plate.survey, plan=replace(plate.survey.plan, job=job))
    configure_arrow_threads(resource_limits(job))
    with pandas_not_imported(), folders_for(job) as folders:
        with (
            open_part_resources(survey.plan, folders) as resources,
            storage_errors(f"scratch folder {folders.scratch.parent}"),
        ):
            part = convert_part(replace(plate, survey=survey), number, resources)
        folder.put(name, part.path)
        return part.ledger
