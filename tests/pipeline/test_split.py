"""Which plates are converted in parts, and why others are not."""

import pickle
from pathlib import Path
from typing import Any

import pytest

from cytobatch.config.options import PlateJob
from cytobatch.conversion.parts import PlateInParts
from cytobatch.pipeline.folders import folders_for
from cytobatch.pipeline.part import without_transfer_arguments
from cytobatch.pipeline.plate import open_resources, plan_plate, survey_plate
from cytobatch.pipeline.split import is_split_wanted, why_not_split
from cytobatch.survey.model import Survey
from tests.support.plates import per_tables, site_tables, write_sites, write_sqlite


def surveyed(source: Path, **options: Any) -> Survey:
    job = PlateJob(source=str(source), destination=str(source.parent / "out"), **options)
    with folders_for(job) as folders:
        plan_source, plan = plan_plate(job, folders.cache)
        with open_resources(plan, plan_source, folders) as resources:
            return survey_plate(plan, resources)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sites(tmp_path_factory.mktemp("plate") / "in", 2)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"range_size": 1}, None),
        ({"range_size": 1, "chunk_size": 1}, None),
        ({"chunk_size": 1}, "row groups of chunk_size rows"),
        ({}, "its valid exports are one range"),
        ({"range_size": 1, "join": False}, "join is off"),
        ({"range_size": 1, "concat": False}, "concat is off"),
        ({"range_size": 1, "joins": "SELECT * FROM cells"}, "the SQL in joins"),
    ],
)
def test_why_a_plate_is_not_split(source: Path, options: dict[str, Any], reason: str | None) -> None:
    found = why_not_split(surveyed(source, **options))
    assert found is None if reason is None else found is not None and found.startswith(reason)


def test_one_file_is_one_part(tmp_path: Path) -> None:
    tables = (per_tables(site_tables(image=image)) for image in (1, 2))
    source = write_sqlite(tmp_path / "in" / "plate.sqlite", *tables).parent
    reason = why_not_split(surveyed(source, range_size=1))
    assert reason is not None
    assert "tables of one file" in reason


@pytest.mark.parametrize(
    ("options", "on_large_plates", "wanted"),
    [
        ({}, True, False),
        ({"split_size": 0}, True, True),
        ({"split_size": 0}, False, False),
        ({"split": "always"}, False, True),
        ({"split": "never", "split_size": 0}, True, False),
    ],
)
def test_when_a_plate_is_split(source: Path, options: dict[str, Any], on_large_plates: bool, wanted: bool) -> None:
    assert is_split_wanted(surveyed(source, **options), on_large_plates=on_large_plates) is wanted


def test_keys_are_not_in_what_lies_at_the_destination(source: Path) -> None:
    plate = PlateInParts.of(surveyed(source, extra_args={"SSECustomerKey": "secret-key"}), {})
    assert b"secret-key" in pickle.dumps(plate)
    assert b"secret-key" not in pickle.dumps(without_transfer_arguments(plate))
