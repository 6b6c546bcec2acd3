from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cytobatch.batch.aws.preflight import check_local, inspect, pending_plates
from cytobatch.config.options import PlateJob
from cytobatch.errors import ConfigurationError, InputDataError, JobSpecError, StorageError
from cytobatch.pipeline.plate import run_plate
from proxy import gets, proxy
from tests.support.plates import write_sites

Upload = Callable[[Path, str], str]


def test_plates_are_looked_at_in_order_and_one_that_is_not_there_is_its_own_fault(
    upload: Upload, bucket: str, tmp_path: Path
) -> None:
    good = upload(write_sites(tmp_path / "in", 2), "P1")
    jobs = [
        PlateJob(source=source, destination=f"s3://{bucket}/out/{number}", plate=f"P{number}")
        for number, source in enumerate([good, f"s3://{bucket}/absent", good])
    ]
    reported: list[str] = []
    inspected = inspect(jobs, lambda plate: reported.append(plate.job.label))
    assert [plate.job.label for plate in inspected] == ["P0", "P1", "P2"]
    assert sorted(reported) == ["P0", "P1", "P2"]
    assert [plate.error is None for plate in inspected] == [True, False, True]
    assert inspected[0].need.source_bytes == inspected[2].need.source_bytes > 0
    assert "missing or empty" in str(inspected[1].error)


def test_a_plate_that_is_done_is_known_only_where_that_was_asked_for(
    upload: Upload, bucket: str, tmp_path: Path
) -> None:
    source = upload(write_sites(tmp_path / "in", 1), "P1")
    job = PlateJob(source=source, destination=f"s3://{bucket}/out", skip_done=True)
    run_plate(job)
    assert inspect([job])[0].done
    assert not inspect([job.model_copy(update={"skip_done": False})])[0].done


def test_options_that_do_not_fit_a_plate_are_found_and_a_platemap_of_many_plates_is_read_once(
    upload: Upload, s3: Any, aws: str, bucket: str, tmp_path: Path
) -> None:
    source = upload(write_sites(tmp_path / "in", 1), "P1")
    for name, text in {"good": "well_position\tdrug\nA01\tx\n", "bad": "well\tdrug\nA01\tx\n"}.items():
        s3.put_object(Bucket=bucket, Key=f"{name}.txt", Body=text.encode())

    def job(number: int, **options: Any) -> PlateJob:
        return PlateJob(source=source, destination=f"s3://{bucket}/out/{number}", plate=f"P{number}", **options)

    bad = inspect([job(0, joins="SELECT * FROM ghosts"), job(1, platemap=f"s3://{bucket}/bad.txt"), job(2)])
    assert [type(plate.error).__name__ for plate in bad] == ["JoinSqlError", "AnnotationError", "NoneType"]
    with pytest.raises(ConfigurationError, match="2 of 3 plates look invalid"):
        pending_plates(bad, keep_going=False)
    with pytest.raises(InputDataError, match="1 of 2 plates look invalid"):
        pending_plates(bad[1:], keep_going=False)
    assert pending_plates(bad, keep_going=True) == bad
    with proxy(aws) as (url, requests):
        jobs = [job(number, platemap=f"s3://{bucket}/good.txt", endpoint_url=url) for number in range(40)]
        assert [plate.error for plate in inspect(jobs)] == [None] * 40
    # Plates that are inspected at once may each read it.
    assert 1 <= len([one for one in gets(requests) if one.key == "good.txt"]) <= 16


@pytest.mark.usefixtures("aws")
def test_a_bucket_that_is_not_there_ends_it() -> None:
    with pytest.raises(StorageError, match="no such bucket"):
        inspect([PlateJob(source="s3://absent-bucket-of-tests/P1", destination="s3://absent-bucket-of-tests/out")])


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("source", {"source": "/data/P1", "destination": "s3://out/P1"}),
        ("destination", {"source": "s3://in/P1", "destination": "out/P1"}),
        ("platemap", {"source": "s3://in/P1", "destination": "s3://out/P1", "platemap": "maps"}),
        ("load_data", {"source": "s3://in/P1", "destination": "s3://out/P1", "load_data": "/l/load_data.csv"}),
    ],
)
def test_local_files_cannot_be_submitted(name: str, options: dict[str, str]) -> None:
    with pytest.raises(JobSpecError, match=f"{name} is on this machine"):
        check_local([PlateJob(**options)])
    check_local([PlateJob(source="s3://in/P1", destination="gs://out/P1", platemap="s3://m/map.txt")])
