"""A persistent cache that several runs share."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from cytobatch.config.option_types import CacheMode
from cytobatch.config.options import PlateJob
from cytobatch.planning.inventory import SourceFile
from cytobatch.readers.inputs import BEGINNING
from cytobatch.storage.kept_objects import KeptObjects
from cytobatch.storage.source import Source
from proxy import gets, proxy
from tests.support.subprocesses import run_python

URI = "s3://bucket/p/a.csv"
VERSION = SourceFile("a.csv", 5, "one")


def source(bucket: str, url: str, cache: Path) -> Source:
    job = PlateJob(
        source=f"s3://{bucket}/p",
        destination="/out",
        endpoint_url=url,
        cache_mode=CacheMode.PERSISTENT,
        cache_dir=cache,
    )
    return Source(job, cache)


def test_two_runs_that_read_different_versions_do_not_disturb_each_other(
    s3: Any, bucket: str, aws: str, tmp_path: Path
) -> None:
    old, new = b"old" * BEGINNING, b"new" * BEGINNING
    s3.put_object(Bucket=bucket, Key="p/a.csv", Body=old)
    first = source(bucket, aws, tmp_path)
    with first.inputs(first.inventory().files, 2**30) as one:
        begun = one.beginning("a.csv")
        whole = one.whole("a.csv")
        s3.put_object(Bucket=bucket, Key="p/a.csv", Body=new)
        second = source(bucket, aws, tmp_path)
        with second.inputs(second.inventory().files, 2**30) as other:
            assert other.whole("a.csv").read_bytes() == new
            assert (begun.read_bytes(), whole.read_bytes()) == (old, old)
        assert whole.read_bytes() == old
        one.release("a.csv")
    third = source(bucket, aws, tmp_path)
    with third.inputs(third.inventory().files, 2**30) as inputs:
        assert inputs.whole("a.csv").read_bytes() == new


def test_runs_that_fetch_the_same_objects_at_once_all_have_them(s3: Any, bucket: str, aws: str, tmp_path: Path) -> None:
    bodies = {f"{number}.csv": bytes([number]) * (BEGINNING + 1000 * number) for number in range(6)}
    for name, body in bodies.items():
        s3.put_object(Bucket=bucket, Key=f"p/{name}", Body=body)
    barrier = threading.Barrier(4)

    def run(_: int) -> bool:
        own = source(bucket, aws, tmp_path)
        with own.inputs(own.inventory().files, 2**30) as inputs:
            barrier.wait(20)
            inputs.prepare(bodies, ())
            inputs.expect(bodies)
            return all(inputs.whole(name).read_bytes() == body for name, body in bodies.items())

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(run, range(4)))
    # What is left are whole objects, one of each.
    assert sorted(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()) == sorted(bodies.values())
    with proxy(aws) as (url, asked):
        again = source(bucket, url, tmp_path)
        with again.inputs(again.inventory().files, 2**30) as inputs:
            assert all(inputs.whole(name).read_bytes() == body for name, body in bodies.items())
        assert not gets(asked)


def test_a_part_of_an_object_is_not_kept(s3: Any, bucket: str, aws: str, tmp_path: Path) -> None:
    s3.put_object(Bucket=bucket, Key="p/a.csv", Body=bytes(2 * BEGINNING))
    own = source(bucket, aws, tmp_path)
    with own.inputs(own.inventory().files, 2**30) as inputs:
        inputs.beginning("a.csv")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_the_folder_of_a_killed_run_is_removed_and_that_of_a_live_one_is_not(tmp_path: Path) -> None:
    alive = KeptObjects(tmp_path)
    (alive.folder / "a.csv").write_bytes(b"half")
    # The other run ends as one that is killed does: it removes nothing.
    run_python(
        """
        import os, sys
        from pathlib import Path
        from cytobatch.storage.kept_objects import KeptObjects
        kept = KeptObjects(Path(sys.argv[1]))
        (kept.folder / "b.csv").write_bytes(b"half")
        os._exit(0)
        """,
        tmp_path,
    )
    assert len(list(tmp_path.rglob("*.csv"))) == 2
    KeptObjects(tmp_path).close()
    assert [path.name for path in tmp_path.rglob("*.csv")] == ["a.csv"]
    alive.close()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "version", [SourceFile("a.csv", 5, "other"), SourceFile("a.csv", 6, "one"), SourceFile("a.csv", 5, None, 7.0)]
)
def test_an_object_is_taken_at_its_own_version_only(version: SourceFile, tmp_path: Path) -> None:
    kept = KeptObjects(tmp_path)
    local = kept.folder / "a.csv"
    local.write_bytes(b"12345")
    kept.keep(URI, VERSION, local)
    assert kept.take(URI, VERSION, kept.folder / "again.csv")
    assert not kept.take(URI, version, kept.folder / "other.csv")
    assert not kept.take(f"{URI}/x", VERSION, kept.folder / "other.csv")
    kept.close()
