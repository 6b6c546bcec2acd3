"""The limits of a plate on a worker of an existing Dask cluster."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cytobatch.engine.resources import ResourceLimits
from tests.support.examples import examples

dask_worker = pytest.importorskip(
    "cytobatch.batch.flows.dask_worker", reason="distributed is not installed", exc_type=ImportError
)

GIB = 2**30
WORKERS = {
    "tcp://10.0.0.1:1": {"host": "10.0.0.1", "nthreads": 2},
    "tcp://10.0.0.1:2": {"host": "10.0.0.1", "nthreads": 1},
    "tcp://10.0.0.2:1": {"host": "10.0.0.2", "nthreads": 4},
}


@pytest.mark.parametrize(("address", "plates"), list(zip(WORKERS, (3, 3, 4), strict=True)))
def test_all_threads_of_a_machines_workers_convert_plates(address: str, plates: int) -> None:
    assert dask_worker.plates_on_host(WORKERS, address) == plates


@pytest.mark.parametrize(
    ("on_host", "dask_memory", "threads", "limits"),
    [
        (1, None, 1, ResourceLimits(8, 16 * GIB)),
        (4, None, 2, ResourceLimits(2, 4 * GIB)),
        (4, 4 * GIB, 2, ResourceLimits(2, 3 * GIB // 2)),
        (16, GIB // 16, 1, ResourceLimits(1, 64 * 2**20)),
    ],
)
def test_a_plate_gets_its_part_of_machine_and_worker(
    on_host: int, dask_memory: int | None, threads: int, limits: ResourceLimits
) -> None:
    assert dask_worker.plate_limits(ResourceLimits(8, 16 * GIB), on_host, dask_memory, threads) == limits


@settings(max_examples=examples(100))
@given(st.integers(1, 128), st.integers(GIB, 2**40), st.integers(1, 16), st.none() | st.integers(GIB, 2**40), st.data())
def test_plates_at_once_take_no_more_than_machine_and_worker_have(
    cpus: int, memory: int, on_host: int, dask_memory: int | None, data: st.DataObject
) -> None:
    threads = data.draw(st.integers(1, on_host))
    limits = dask_worker.plate_limits(ResourceLimits(cpus, memory), on_host, dask_memory, threads)
    assert limits.workers * on_host <= max(cpus, on_host)
    assert limits.memory * on_host <= memory
    assert dask_memory is None or limits.memory * threads <= dask_memory
