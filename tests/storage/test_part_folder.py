"""The folder of a plate's parts at the destination: hidden, removed, and refused where it is not shared."""

import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from cytobatch.config.options import PlateJob
from cytobatch.errors import AbsentFileError, StorageError
from cytobatch.storage import part_folder as module
from cytobatch.storage.part_folder import PartFolder


def part_folder(destination: str, run: str = "run") -> PartFolder:
    return PartFolder(PlateJob(source="in", destination=destination), run)


def part(folder: Path) -> Path:
    path = folder / "part.parquet"
    pq.write_table(pa.table({"a": [1, 2]}), path)
    return path


@pytest.mark.parametrize("target", ["out", "deep/er/out", "plate.parquet", "deep/er/plate.parquet"])
def test_nothing_is_left_of_a_local_folder(target: str, tmp_path: Path) -> None:
    (tmp_path / "at").mkdir()
    (tmp_path / "work").mkdir()
    parts, worker = (part_folder(str(tmp_path / "at" / target)) for _ in range(2))
    content = part(tmp_path / "work").read_bytes()
    worker.put("1.parquet", tmp_path / "work" / "part.parquet")
    assert parts.fetch("1.parquet", tmp_path / "work").read_bytes() == parts.read("1.parquet") == content
    parts.remove("2.parquet")
    parts.close()
    assert list((tmp_path / "at").rglob("*")) == []
    parts.close()


def test_a_folder_that_was_there_stays(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    parts = part_folder(str(tmp_path / "out"))
    parts.put("1.parquet", part(tmp_path))
    # The publisher that begins again finds the folder of the one that was killed.
    part_folder(str(tmp_path / "out")).close()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_two_plates_of_one_folder_have_parts_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    one, other = (part_folder(str(tmp_path / "out" / name)) for name in ("a.parquet", "b.parquet"))
    one.put("1.parquet", part(tmp_path / "work"))
    with pytest.raises(AbsentFileError, match="a part of the plate is not there") as error:
        other.fetch("1.parquet", tmp_path)
    assert "a destination that all workers share" in error.value.remedy
    one.close()
    other.close()


def test_what_reads_the_destination_does_not_see_parts(tmp_path: Path) -> None:
    parts = part_folder(str(tmp_path))
    pq.write_table(pa.table({"a": [3]}), tmp_path / "whole.parquet")
    (tmp_path / "work").mkdir()
    parts.put("1.parquet", part(tmp_path / "work"))
    assert ds.dataset(tmp_path).to_table()["a"].to_pylist() == [3]


def test_parts_in_a_bucket(tmp_path: Path, s3: Any, bucket: str) -> None:
    parts = part_folder(f"s3://{bucket}/plates/P1")
    (tmp_path / "work").mkdir()
    content = part(tmp_path).read_bytes()
    parts.put("1.parquet", tmp_path / "part.parquet")
    assert parts.read("1.parquet") == content
    assert parts.fetch("1.parquet", tmp_path / "work").read_bytes() == content
    parts.remove("1.parquet")
    parts.remove("1.parquet")
    parts.close()
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)
    with pytest.raises(StorageError):
        parts.fetch("1.parquet", tmp_path / "work")


@pytest.mark.parametrize("target", ["out", "out/plate.parquet"])
def test_parts_of_killed_runs_on_a_disk_are_removed_and_those_of_live_ones_are_not(target: str, tmp_path: Path) -> None:
    destination = str(tmp_path / target)
    (tmp_path / "work").mkdir()
    killed, alive, own = (part_folder(destination, run) for run in ("killed", "alive", "own"))
    with killed.used():
        killed.put("1.part", part(tmp_path / "work"))
    with alive.used(), own.used():
        alive.put("1.part", part(tmp_path / "work"))
        own.remove_dead()
        own.close()
        assert alive.read("1.part")
        with pytest.raises(AbsentFileError):
            killed.read("1.part")
        alive.close()
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("target", ["out", "out/plate.parquet"])
def test_parts_of_killed_runs_in_a_bucket_are_removed_once_they_are_old(
    target: str, tmp_path: Path, s3: Any, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def folder(run: str) -> PartFolder:
        return part_folder(f"s3://{bucket}/{target}", run)

    def runs() -> list[str]:
        listed = s3.list_objects_v2(Bucket=bucket).get("Contents", ())
        return [one["Key"].partition("parts-")[2].partition("/")[0] for one in listed if "parts-" in one["Key"]]

    s3.put_object(Bucket=bucket, Key="out/.parts-of-something-else", Body=b"")
    folder("killed").put("1.part", part(tmp_path))
    own = folder("own")
    own.remove_dead()
    assert "killed" in runs()
    monkeypatch.setattr(module, "_DEAD_AFTER", timedelta(seconds=1))
    time.sleep(2.1)  # the store counts whole seconds
    own = folder("own")
    folder("alive").put("1.part", part(tmp_path))
    own.put("1.part", part(tmp_path))
    own.remove_dead()
    assert sorted(runs()) == ["alive", "of-something-else", "own"]


def test_a_store_that_cannot_take_parts_is_found_before(tmp_path: Path, bucket: str) -> None:
    for destination in (f"s3://{bucket}/P1", str(tmp_path / "out")):
        parts = part_folder(destination)
        assert parts.fault(tmp_path) is None
        parts.close()
    assert not (tmp_path / "out").exists()
    fault = part_folder(f"s3://{bucket}-absent/P1").fault(tmp_path)
    assert fault is not None
    assert fault.startswith("parts cannot go through the destination (no such bucket")
