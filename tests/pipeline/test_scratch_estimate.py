"""The estimate of the scratch disk that a plan takes."""

from pathlib import Path
from typing import Any

import pytest

from cytobatch.config.option_types import CacheMode
from cytobatch.config.options import PlateJob
from cytobatch.formats.base import ConversionPlan
from cytobatch.pipeline.scratch_estimate import FETCHED_AHEAD, room_to_fetch, scratch_need
from cytobatch.planning.inventory import Inventory, SourceFile
from cytobatch.readers.inputs import BEGINNING
from tests.support.planning import plan_by_headers

_MIB = 2**20


def plan_of(sizes: dict[str, int], **options: Any) -> ConversionPlan:
    files = [SourceFile(path, size) for path, size in sizes.items()]
    job = PlateJob(source="s3://b/p", destination="s3://b/o", **options)
    headers = {Path(path).stem.lower(): ("ImageNumber", "ObjectNumber") for path in sizes if path.endswith(".csv")}
    return plan_by_headers(job, Inventory.of("s3://b/p", files), headers)


def sites(count: int, size: int) -> dict[str, int]:
    names = ("Image", "Cells", "Cytoplasm", "Nuclei")
    return {f"P-A01-{n}/{name}.csv": 1000 if name == "Image" else size for n in range(1, count + 1) for name in names}


def test_local_files_are_not_fetched() -> None:
    need = scratch_need(plan_of(sites(3, _MIB)), remote=False, table_bytes=64 * _MIB)
    assert (need.fetched, need.staged) == (0, 0)
    assert need.total == need.outputs == 3 * (3 * _MIB + 1000)


def test_a_small_plate_is_fetched_whole_and_a_large_one_within_the_budget() -> None:
    small = plan_of(sites(3, _MIB))
    assert scratch_need(small, remote=True, table_bytes=64 * _MIB).fetched == small.size
    large = plan_of(sites(1000, 4 * _MIB))
    assert large.size > 10 * FETCHED_AHEAD
    surveyed = 3000 * BEGINNING + 1000 * 1000
    assert scratch_need(large, remote=True, table_bytes=64 * _MIB).fetched == surveyed + FETCHED_AHEAD + 4 * _MIB
    assert room_to_fetch(large) == FETCHED_AHEAD


@pytest.mark.parametrize("options", [{"cache_mode": CacheMode.PERSISTENT, "cache_dir": "/cache"}, {}])
def test_files_that_persist_or_are_surveyed_whole_are_on_the_disk_at_once(options: dict[str, Any]) -> None:
    plan = plan_of(sites(1000, 4 * _MIB) if options else {"BR1.sqlite": 50 * 2**30}, **options)
    assert scratch_need(plan, remote=True, table_bytes=64 * _MIB).fetched == plan.size
    assert options or room_to_fetch(plan) == plan.size


def test_tables_too_large_for_memory_count_and_so_does_each_format() -> None:
    plan = plan_of({"Image.csv": 1000, "Cells.csv": 100 * _MIB, "Nuclei.csv": 50 * _MIB}, anndata=("h5ad",))
    need = scratch_need(plan, remote=False, table_bytes=64 * _MIB)
    assert need.staged == 100 * _MIB
    assert need.outputs == 2 * plan.size


def test_a_record_of_the_analysis_is_fetched_and_written_too() -> None:
    files = {"Image.csv": 1000, "Cells.csv": 2000}
    with_record, without = (plan_of(each) for each in ({**files, "Experiment.csv": 500}, files))
    need, other = (scratch_need(plan, remote=True, table_bytes=_MIB) for plan in (with_record, without))
    assert (need.fetched - other.fetched, need.outputs - other.outputs) == (500, 500)


def test_compressed_tables_count_by_what_is_read_from_them() -> None:
    sizes = sites(3, 40 * _MIB)
    plain = plan_of(sizes)
    headers = dict.fromkeys(("image", "cells", "cytoplasm", "nuclei"), ("ImageNumber", "ObjectNumber"))
    files = [SourceFile(f"{path}.gz", size // 3) for path, size in sizes.items()]
    packed = plan_by_headers(plain.job, Inventory.of("s3://b/p", files), headers)
    assert plain.size - 100 < packed.size <= plain.size
    needs = [scratch_need(plan, remote=True, table_bytes=64 * _MIB) for plan in (plain, packed)]
    assert needs[1].outputs == packed.size
    assert needs[1].fetched == sum(file.size for file in files) < needs[0].fetched
    large = scratch_need(packed, remote=True, table_bytes=30 * _MIB)
    assert large.staged == 3 * (3 * (40 * _MIB // 3))
