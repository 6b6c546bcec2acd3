"""A plate that is converted in parts by this process: each part travels as bytes, as it does to another process."""

import pickle
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from cytobatch.config.options import PlateJob
from cytobatch.conversion.convert import ConvertedPlate, convert_part, convert_survey
from cytobatch.conversion.parts import ConvertedPart, PartsConverter, PlateInParts
from cytobatch.conversion.run_resources import RunResources
from cytobatch.pipeline.accounting import check_accounts
from cytobatch.pipeline.folders import folders_for
from cytobatch.pipeline.plate import open_resources, plan_plate, survey_plate


def in_this_process(resources: RunResources, converted: set[int]) -> PartsConverter:
    """Return a converter of parts with a folder for each, which is removed when the next part is asked for."""

    def convert_parts(plate: PlateInParts) -> Iterator[ConvertedPart]:
        sent = pickle.dumps(plate)
        for number in range(plate.count):
            folder = Path(tempfile.mkdtemp(dir=resources.scratch))
            part = convert_part(pickle.loads(sent), number, replace(resources, out=folder, scratch=folder))
            converted.add(number)
            yield pickle.loads(pickle.dumps(part))
            shutil.rmtree(folder)

    return convert_parts


def converted_plate(source: Path, out: Path, *, in_parts: bool, **options: Any) -> tuple[ConvertedPlate, int]:
    """Convert a plate into a folder, and return the outputs, the ledger, and the number of parts."""
    job = PlateJob(source=str(source), destination=str(out), **options)
    parts = set[int]()
    with folders_for(job) as folders:
        plan_source, plan = plan_plate(job, folders.cache)
        with open_resources(plan, plan_source, folders) as opened:
            resources = replace(opened, out=out)
            survey = survey_plate(plan, resources)
            converter = in_this_process(resources, parts) if in_parts else None
            converted = convert_survey(survey, resources, converter)
            check_accounts(converted.survey, converted.ledger)
            return converted, len(parts)
