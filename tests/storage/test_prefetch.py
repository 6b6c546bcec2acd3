"""Files of a bucket on the local disk: each byte is fetched once, before it is read, and removed afterwards."""

import itertools
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from cytobatch.config.option_types import CacheMode
from cytobatch.config.options import PlateJob
from cytobatch.errors import StorageError
from cytobatch.pipeline.folders import folders_for
from cytobatch.pipeline.plate import convert_plate, open_resources, plan_plate, run_plate, survey_plate
from cytobatch.readers.inputs import BEGINNING
from cytobatch.storage.source import Source
from proxy import Answer, Asked, proxy
from proxy import gets as gets_among
from tests.support.plates import write_sites

Upload = Callable[[Path, str], str]


def job(source: str, **options: Any) -> PlateJob:
    return PlateJob(source=source, destination="/out", **options)


Sent = Callable[[], list[tuple[str, str]]]


@pytest.fixture
def gets(aws: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sent]:
    """Returns each GET of an object from here on: its key and its range."""
    with proxy(aws) as (url, requests):
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        yield lambda: [(one.key, one.span) for one in gets_among(requests)]


def put(s3: Any, bucket: str, sizes: dict[str, int]) -> dict[str, bytes]:
    bodies = {name: bytes(range(256)) * (size // 256) + b"x" * (size % 256) for name, size in sizes.items()}
    for name, body in bodies.items():
        s3.put_object(Bucket=bucket, Key=f"p/{name}", Body=body)
    return bodies


def test_a_beginning_is_fetched_once_and_the_rest_is_added_to_it(
    s3: Any, bucket: str, tmp_path: Path, gets: Sent
) -> None:
    bodies = put(s3, bucket, {"large.csv": 3 * BEGINNING + 5, "small.csv": 1000, "none.csv": 0})
    source = Source(job(f"s3://{bucket}/p"), tmp_path)
    files = source.inventory().files
    with source.inputs(files, 2**30) as inputs:
        inputs.prepare([file.path for file in files], ())
        assert inputs.beginning("large.csv").read_bytes() == bodies["large.csv"][:BEGINNING]
        assert inputs.beginning("small.csv").read_bytes() == bodies["small.csv"]
        for name, body in bodies.items():
            assert inputs.whole(name).read_bytes() == body
    assert sorted(gets()) == [
        ("p/large.csv", f"0-{BEGINNING - 1}"),
        ("p/large.csv", f"{BEGINNING}-{3 * BEGINNING + 4}"),
        ("p/small.csv", ""),
    ]


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> int:
    """Makes objects large from 500,000 bytes on, and returns the size of their parts."""
    monkeypatch.setattr("cytobatch.storage.s3_cache._LARGE", 500_000)
    monkeypatch.setattr("cytobatch.storage.s3_cache._PART", 200_000)
    return 200_000


@pytest.mark.parametrize("begun", [True, False])
def test_no_byte_of_a_large_object_is_fetched_twice(
    begun: bool, s3: Any, bucket: str, aws: str, tmp_path: Path, small_parts: int
) -> None:
    assert_fetched_once(begun, s3, bucket, aws, tmp_path, 4 * small_parts + 100_001)


@pytest.mark.long
@pytest.mark.parametrize("begun", [True, False])
def test_no_byte_of_an_object_of_65_mib_is_fetched_twice(
    begun: bool, s3: Any, bucket: str, aws: str, tmp_path: Path
) -> None:
    assert_fetched_once(begun, s3, bucket, aws, tmp_path, 65 * 2**20 + 3)


def assert_fetched_once(begun: bool, s3: Any, bucket: str, aws: str, tmp_path: Path, size: int) -> None:
    bodies = put(s3, bucket, {"large.csv": size})
    with proxy(aws) as (url, requests):
        source = Source(job(f"s3://{bucket}/p", endpoint_url=url), tmp_path)
        with source.inputs(source.inventory().files, 2**30) as inputs:
            if begun:
                inputs.beginning("large.csv")
            assert inputs.whole("large.csv").read_bytes() == bodies["large.csv"]
        assert sum(one.answered for one in gets_among(requests)) == len(bodies["large.csv"])


@pytest.mark.parametrize("refused", [False, True])
def test_a_large_object_comes_in_parts_by_obstore_or_botocore(
    refused: bool, s3: Any, bucket: str, aws: str, tmp_path: Path, small_parts: int
) -> None:
    bodies = put(s3, bucket, {"large.csv": 900_001})

    def refuse(request: Asked) -> Answer | None:
        return Answer(403) if refused and request.by_obstore and request.key else None

    with proxy(aws, refuse) as (url, requests):
        source = Source(job(f"s3://{bucket}/p", endpoint_url=url), tmp_path)
        with source.inputs(source.inventory().files, 2**30) as inputs:
            local = inputs.whole("large.csv")
            assert local.read_bytes() == bodies["large.csv"]
            assert list(local.parent.iterdir()) == [local]
    answered = [request for request in gets_among(requests) if request.answered]
    assert {request.by_obstore for request in answered} == {not refused}
    assert sorted(int(request.span.partition("-")[0]) for request in answered) == list(range(0, 900_001, small_parts))


@pytest.mark.usefixtures("small_parts")
def test_a_large_object_that_changed_leaves_no_file(s3: Any, bucket: str, tmp_path: Path, aws: str) -> None:
    put(s3, bucket, {"large.csv": 900_000})
    source = Source(job(f"s3://{bucket}/p", endpoint_url=aws), tmp_path)
    with source.inputs(source.inventory().files, 2**30) as inputs:
        s3.put_object(Bucket=bucket, Key="p/large.csv", Body=bytes(900_000))
        with pytest.raises(StorageError) as caught:
            inputs.whole("large.csv")
    assert caught.value.what == "object changed while it was read"
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_expected_files_come_by_themselves_within_the_room_and_go_when_released(
    s3: Any, bucket: str, tmp_path: Path
) -> None:
    bodies = put(s3, bucket, {f"{number}.csv": 1000 for number in range(10)})
    source = Source(job(f"s3://{bucket}/p"), tmp_path)
    files = source.inventory().files

    def there() -> int:
        return sum(path.stat().st_size for path in tmp_path.rglob("*.csv"))

    with source.inputs(files, 2500) as inputs:
        inputs.expect(bodies)
        for name, body in bodies.items():
            end = time.monotonic() + 20
            while there() < min(3000, 1000 * (10 - int(name[0]))) and time.monotonic() < end:
                time.sleep(0.01)
            assert 0 < there() <= 3000
            assert inputs.whole(name).read_bytes() == body
            inputs.release(name)
    assert there() == 0


def test_a_file_expected_twice_comes_once_and_its_beginning_does_not_wait_for_it(
    s3: Any, bucket: str, tmp_path: Path, gets: Sent
) -> None:
    bodies = put(s3, bucket, {f"{number}.csv": 2 * BEGINNING for number in range(4)})
    source = Source(job(f"s3://{bucket}/p"), tmp_path)
    with source.inputs(source.inventory().files, 2**30) as inputs:
        inputs.prepare(bodies, ())
        inputs.expect(bodies)
        assert all(body.startswith(inputs.beginning(name).read_bytes()) for name, body in bodies.items())
        inputs.release("3.csv")
        inputs.expect(bodies)
        for name in list(bodies)[:3]:
            assert inputs.whole(name).read_bytes() == bodies[name]
    assert Counter(gets()).most_common(1)[0][1] == 1


def test_a_file_that_several_threads_read_is_fetched_once(s3: Any, bucket: str, tmp_path: Path, gets: Sent) -> None:
    put(s3, bucket, {"a.csv": 500_000})
    source = Source(job(f"s3://{bucket}/p"), tmp_path)
    with source.inputs(source.inventory().files, 2**20) as inputs:
        inputs.expect(["a.csv"])
        threads = [threading.Thread(target=inputs.whole, args=("a.csv",)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert inputs.whole("a.csv").stat().st_size == 500_000
    assert len(gets()) == 1


def test_an_object_that_changed_since_it_was_listed_is_reported(s3: Any, bucket: str, tmp_path: Path) -> None:
    put(s3, bucket, {"a.csv": 2 * BEGINNING})
    source = Source(job(f"s3://{bucket}/p"), tmp_path)
    with source.inputs(source.inventory().files, 2**20) as inputs:
        inputs.beginning("a.csv")
        s3.put_object(Bucket=bucket, Key="p/a.csv", Body=b"another" * BEGINNING)
        with pytest.raises(StorageError) as caught:
            inputs.whole("a.csv")
    assert caught.value.what == "object changed while it was read"
    assert "p/a.csv" in caught.value.where


def test_a_persistent_cache_is_used_only_for_the_listed_version(
    s3: Any, bucket: str, tmp_path: Path, gets: Sent
) -> None:
    for body in (b"first" * 100, b"first" * 100, b"other" * 100):
        s3.put_object(Bucket=bucket, Key="p/a.csv", Body=body)
        for _ in range(2):
            source = Source(job(f"s3://{bucket}/p", cache_mode=CacheMode.PERSISTENT, cache_dir=tmp_path), tmp_path)
            with source.inputs(source.inventory().files, 2**20) as inputs:
                assert inputs.whole("a.csv").read_bytes() == body
                inputs.release("a.csv")
    # The second object has the bytes of the first, and their ETag.
    assert len(gets()) == 2


def test_a_name_that_leads_out_of_its_folder_is_refused(s3: Any, bucket: str, tmp_path: Path) -> None:
    s3.put_object(Bucket=bucket, Key="p/../../outside.csv", Body=b"x")
    source = Source(job(f"s3://{bucket}/p"), tmp_path / "cache")
    files = source.inventory().files
    with source.inputs(files, 2**20) as inputs, pytest.raises(StorageError, match="leads out of its folder"):
        inputs.whole(files[0].path)
    assert not list(tmp_path.rglob("outside.csv"))


def test_each_byte_of_a_plate_is_fetched_once_and_the_profile_equals_that_of_local_files(
    upload: Upload, tmp_path: Path, gets: Sent
) -> None:
    local = write_sites(tmp_path / "in", 3)
    uri = upload(local, "plate")
    near, far = (
        run_plate(PlateJob(source=source, destination=str(tmp_path / name), plate="P1"))
        for name, source in (("near", str(local)), ("far", uri))
    )
    assert Counter(key for key, _ in gets()).most_common(1)[0][1] == 1
    assert near.counts == far.counts
    one, other = (pq.read_table(report.outputs[0].path) for report in (near, far))
    assert one.equals(other)


def test_files_of_exports_that_fail_and_of_tables_that_nothing_links_do_no_harm(upload: Upload, tmp_path: Path) -> None:
    local = write_sites(tmp_path / "in", 4)
    folders = sorted(path for path in local.iterdir() if path.is_dir())
    for folder in folders:
        (folder / "Worms.csv").write_text("ImageNumber,ObjectNumber,AreaShape_Area\n1,1,2.0\n")
    (folders[1] / "Cells.csv").write_text("no,table\n")
    near, far = (
        run_plate(PlateJob(source=source, destination=str(tmp_path / name), plate="P1", max_failed_exports=1))
        for name, source in (("near", str(local)), ("far", upload(local, "plate")))
    )
    assert near.counts.failed_exports == 1
    assert near.counts == far.counts
    assert near.warnings == far.warnings


def test_a_conversion_releases_every_file_needed_or_not(upload: Upload, tmp_path: Path) -> None:
    local = write_sites(tmp_path / "in", 4)
    for folder in (path for path in local.iterdir() if path.is_dir()):
        (folder / "Worms.csv").write_text("ImageNumber,ObjectNumber,AreaShape_Area\n1,1,2.0\n")
    next(local.rglob("Cells.csv")).write_text("no,table\n")
    source = upload(local, "plate")
    plate_job = PlateJob(source=source, destination=str(tmp_path / "out"), plate="P1", max_failed_exports=1)
    with folders_for(plate_job) as folders:
        located, plan = plan_plate(plate_job, folders.cache)
        with open_resources(plan, located, folders) as resources:
            converted = convert_plate(survey_plate(plan, resources), resources)
        assert len(converted.ledger.failed_exports) == 1
        assert not [path for path in folders.cache.rglob("*") if path.is_file()]


def test_of_tables_the_beginnings_come_first_and_image_tables_are_whole(
    upload: Upload, tmp_path: Path, gets: Sent
) -> None:
    local = write_sites(tmp_path / "in", 3)
    for path in (*local.rglob("Cells.csv"), *local.rglob("Image.csv")):
        # A last value of many digits makes the file larger than a beginning.
        lines = path.read_text().rstrip("\n").rpartition(",")
        path.write_text(f"{lines[0]},{'0' * BEGINNING}{lines[2]}\n")
    run_plate(PlateJob(source=upload(local, "plate"), destination=str(tmp_path / "out"), plate="P1"))
    spans = [(key.rpartition("/")[2], span) for key, span in gets()]
    assert [span for name, span in spans if name == "Image.csv"] == [""] * 3
    begun = [span.startswith("0-") for name, span in spans if name == "Cells.csv"]
    assert begun == [True] * 3 + [False] * 3


def test_of_a_header_longer_than_a_beginning_more_is_fetched_and_no_byte_twice(
    upload: Upload, tmp_path: Path, gets: Sent
) -> None:
    local = write_sites(tmp_path / "in", 3)
    more = [f"Texture_Contrast_DNA_{number:09}" for number in range(BEGINNING // 20)]
    for path in local.rglob("Cells.csv"):
        header, *rows = path.read_text().splitlines()
        values = ",".join(f"{number}.5" for number in range(len(more)))
        path.write_text("\n".join([f"{header},{','.join(more)}", *(f"{row},{values}" for row in rows), ""]))
    report = run_plate(PlateJob(source=upload(local, "plate"), destination=str(tmp_path / "out"), plate="P1"))
    assert report.counts.columns > len(more)
    spans: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for key, span in gets():
        if key.endswith("Cells.csv"):
            begin, end = span.split("-")
            spans[key].append((int(begin), int(end)))
    for path in local.rglob("Cells.csv"):
        (own,) = (found for key, found in spans.items() if key.endswith(f"{path.parent.name}/Cells.csv"))
        assert own[0][0] == 0
        assert all(one[1] + 1 == other[0] for one, other in itertools.pairwise(own))
        assert own[-1][1] == path.stat().st_size - 1


@pytest.mark.parametrize("row", ["", "1,1\n", "1,9,odd\n", '1,9,"0,5"\n'])
@pytest.mark.parametrize("concat", [True, False])
def test_a_plate_with_an_irregular_file_equals_the_plate_of_local_files_and_each_byte_is_fetched_once(
    row: str, concat: bool, upload: Upload, aws: str, tmp_path: Path
) -> None:
    local = write_sites(tmp_path / "in", 3)
    cells = sorted(local.rglob("Cells.csv"))
    for path in cells:
        lines = path.read_text().rstrip("\n").rpartition(",")
        path.write_text(f"{lines[0]},{'0' * BEGINNING}{lines[2]}\n")
    with cells[1].open("a") as stream:
        stream.write(row)
    uri = upload(local, "plate")
    with proxy(aws) as (address, requests):
        near, far = (
            run_plate(
                PlateJob(
                    source=source,
                    destination=str(tmp_path / name),
                    plate="P1",
                    concat=concat,
                    max_failed_exports=1,
                    endpoint_url=address,
                )
            )
            for name, source in (("near", str(local)), ("far", uri))
        )
    assert far.counts == near.counts
    assert len(far.outputs) == len(near.outputs)
    for one, other in zip(near.outputs, far.outputs, strict=True):
        if one.path.endswith(".parquet"):
            assert pq.read_table(one.path).equals(pq.read_table(other.path))
        else:
            assert one.sha256 == other.sha256
    got = Counter[str]()
    for request in gets_among(requests):
        got[request.key.removeprefix("plate/")] += request.answered
    sizes = {path.relative_to(local).as_posix(): path.stat().st_size for path in local.rglob("*.csv")}
    assert {path: size for path, size in got.items() if size != sizes[path]} == {}
