"""A conversion leaves the caller's process as it was, also after an error and beside another conversion."""

import gc
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import cytobatch
from tests.support.plates import cytominer_tables, site_tables, write_sites, write_sqlite
from tests.support.process_state import changes, process_state
from tests.support.subprocesses import run_python

PATIENCE = 60


@pytest.fixture(autouse=True)
def nothing_is_frozen() -> None:
    """Objects that an earlier test has frozen, and that are freed meanwhile, would change their number."""
    gc.unfreeze()


@pytest.fixture
def plate(tmp_path: Path) -> Path:
    return write_sites(tmp_path / "in", 3, 4)


def profile(folder: Path) -> bytes:
    return (folder / "single_cells.parquet").read_bytes()


def test_the_first_use_in_a_process_changes_nothing(plate: Path, tmp_path: Path) -> None:
    printed = run_python(
        """
        import sys
        from tests.support.process_state import changes, process_state
        source, destination = sys.argv[1:]
        before = process_state()
        import cytobatch
        cytobatch.plan(source, destination, workers=3)
        cytobatch.convert(source, destination, workers=3)
        print(changes(before, process_state()))
        """,
        plate,
        tmp_path / "out",
    )
    assert printed == "{}\n"


@pytest.mark.parametrize("options", [{}, {"join": False}, {"well_profiles": "median"}], ids=repr)
def test_a_conversion_changes_nothing(options: dict[str, Any], plate: Path, tmp_path: Path) -> None:
    before = process_state()
    cytobatch.convert(plate, tmp_path / "out", workers=pa.cpu_count() + 1, **options)
    assert changes(before, process_state()) == {}


def test_a_conversion_from_bucket_to_bucket_changes_nothing(
    upload: Callable[[Path, str], str], bucket: str, plate: Path
) -> None:
    source = upload(plate, "in/P1")
    cytobatch.convert(source, f"s3://{bucket}/out/first")
    before = process_state()
    cytobatch.convert(source, f"s3://{bucket}/out/second", workers=pa.cpu_count() + 1)
    assert changes(before, process_state()) == {}


def test_a_plan_changes_nothing(plate: Path, tmp_path: Path) -> None:
    before = process_state()
    cytobatch.plan(plate, tmp_path / "out", workers=pa.cpu_count() + 1)
    assert changes(before, process_state()) == {}


@pytest.mark.parametrize("function", [cytobatch.convert, cytobatch.plan])
def test_an_error_changes_nothing(function: Any, tmp_path: Path) -> None:
    before = process_state()
    with pytest.raises(cytobatch.SourceNotFoundError):
        function(tmp_path / "nowhere", tmp_path / "out", workers=pa.cpu_count() + 1)
    assert changes(before, process_state()) == {}


def test_an_error_of_the_conversion_changes_nothing(plate: Path, tmp_path: Path) -> None:
    (plate / "P1-A01-2" / "Cells.csv").write_bytes(b"")
    before = process_state()
    with pytest.raises(cytobatch.TooManyFailedExportsError):
        cytobatch.convert(plate, tmp_path / "out", workers=pa.cpu_count() + 1)
    assert changes(before, process_state()) == {}


def test_the_pools_have_the_sizes_of_the_conversion_while_it_runs(plate: Path, tmp_path: Path) -> None:
    workers, sizes = pa.cpu_count() + 1, set[int]()
    cytobatch.convert(plate, tmp_path / "out", workers=workers, progress=lambda _: sizes.add(pa.cpu_count()))
    assert sizes == {workers}


@pytest.mark.parametrize(("own", "meanwhile"), [(700, 50_000), (90_000, 90_000), (0, 0)])
def test_python_looks_for_cycles_less_often_while_a_conversion_runs(
    own: int, meanwhile: int, plate: Path, tmp_path: Path
) -> None:
    before, found = gc.get_threshold(), set[tuple[int, int, int]]()
    gc.set_threshold(own, *before[1:])
    try:
        cytobatch.convert(plate, tmp_path / "out", progress=lambda _: found.add(gc.get_threshold()))
        assert gc.get_threshold() == (own, *before[1:])
    finally:
        gc.set_threshold(*before)
    assert found == {(meanwhile, *before[1:])}


def test_one_process_converts_any_number_of_times(plate: Path, tmp_path: Path) -> None:
    database = write_sqlite(tmp_path / "db" / "P1.sqlite", cytominer_tables(site_tables(4), 1))
    for number in range(3):
        cytobatch.convert(plate, tmp_path / f"csv{number}")
        cytobatch.convert(database, tmp_path / f"sqlite{number}")
    for kind in ("csv", "sqlite"):
        assert len({profile(tmp_path / f"{kind}{number}") for number in range(3)}) == 1


class _HeldConversion:
    """A conversion in a thread of its own, which stops at a step until it is released."""

    def __init__(self, source: Path, destination: Path, step: cytobatch.PlateStep, workers: int) -> None:
        self._stopped, self._released = threading.Event(), threading.Event()
        self._step = step
        self._pool = ThreadPoolExecutor(1)
        self._future = self._pool.submit(
            cytobatch.convert, source, destination, workers=workers, progress=self._stop_at_step
        )
        assert self._stopped.wait(PATIENCE)

    def _stop_at_step(self, started: cytobatch.StepStarted) -> None:
        if started.step is self._step:
            self._stopped.set()
            assert self._released.wait(PATIENCE)

    def finish(self) -> None:
        self._released.set()
        self._pool.shutdown()
        assert self._future.result().counts.rows > 0


def test_two_conversions_at_once_work_and_the_last_restores_the_process(plate: Path, tmp_path: Path) -> None:
    database = write_sqlite(tmp_path / "db" / "P1.sqlite", cytominer_tables(site_tables(4), 1))
    for name, source in (("csv", plate), ("sqlite", database)):
        cytobatch.convert(source, tmp_path / name / "alone")
    before = process_state()
    sizes = [pa.cpu_count() + 1, pa.cpu_count() + 2]
    first = _HeldConversion(plate, tmp_path / "csv" / "beside", cytobatch.PlateStep.CONVERT, sizes[0])
    assert pa.cpu_count() == sizes[0]
    second = _HeldConversion(database, tmp_path / "sqlite" / "beside", cytobatch.PlateStep.SURVEY, sizes[1])
    assert pa.cpu_count() == sizes[1]
    first.finish()
    assert pa.cpu_count() == sizes[1]
    second.finish()
    assert changes(before, process_state()) == {}
    for name in ("csv", "sqlite"):
        assert profile(tmp_path / name / "beside") == profile(tmp_path / name / "alone")


def test_four_threads_convert_at_once_and_write_the_same_bytes(plate: Path, tmp_path: Path) -> None:
    database = write_sqlite(tmp_path / "db" / "P1.sqlite", cytominer_tables(site_tables(4), 1))
    sources = [plate, database, plate, database]
    before = process_state()
    with ThreadPoolExecutor(len(sources)) as pool:
        folders = [tmp_path / str(number) for number in range(len(sources))]
        rows = [report.counts.rows for report in pool.map(cytobatch.convert, sources, folders)]
    assert rows == [12, 4, 12, 4]
    assert changes(before, process_state()) == {}
    written = [profile(folder) for folder in folders]
    assert written[:2] == written[2:]


def test_an_error_in_one_thread_does_not_reach_another(plate: Path, tmp_path: Path) -> None:
    before = process_state()
    good = _HeldConversion(plate, tmp_path / "good", cytobatch.PlateStep.CONVERT, pa.cpu_count() + 1)
    with pytest.raises(cytobatch.SourceNotFoundError):
        cytobatch.convert(tmp_path / "nowhere", tmp_path / "out", workers=pa.cpu_count() + 2)
    good.finish()
    assert changes(before, process_state()) == {}
    assert profile(tmp_path / "good")


@pytest.mark.slow
def test_pandas_is_not_imported_and_pyarrow_still_knows_it(plate: Path, tmp_path: Path) -> None:
    database = write_sqlite(tmp_path / "db" / "P1.sqlite", cytominer_tables(site_tables(4), 1))
    run_python(
        """
        import sys
        import cytobatch
        plate, database, out = sys.argv[1:]
        cytobatch.plan(plate, out)
        for number, options in enumerate([{}, {"well_profiles": "median"}, {"join": False}, {"drop_null": True}]):
            for source in (plate, database):
                cytobatch.convert(source, f"{out}/{number}", **options)
                assert "pandas" not in sys.modules, (source, options)
        import pandas, pyarrow
        # Only a pandas Series has NaN for null.
        assert pyarrow.array(pandas.Series([1.0, float("nan")])).null_count == 1
        """,
        plate,
        database,
        tmp_path / "out",
    )


@pytest.mark.slow
def test_pandas_that_is_imported_during_a_conversion_is_known_to_pyarrow_at_once(plate: Path, tmp_path: Path) -> None:
    run_python(
        """
        import importlib.util, sys
        import cytobatch
        import pyarrow
        counts = []
        def progress(started):
            if started.step is cytobatch.PlateStep.CONVERT and not counts:
                assert "pandas" not in sys.modules
                import pandas
                counts.append(pyarrow.array(pandas.Series([1.0, float("nan")])).null_count)
        finders = list(sys.meta_path)
        cytobatch.convert(*sys.argv[1:], progress=progress)
        assert counts == [1]
        assert [finder for finder in sys.meta_path if finder not in finders and "cytobatch" in str(finder)] == []
        """,
        plate,
        tmp_path / "out",
    )


@pytest.mark.slow
def test_the_command_line_converts_without_pandas(plate: Path, tmp_path: Path) -> None:
    database = write_sqlite(tmp_path / "db" / "P1.sqlite", cytominer_tables(site_tables(4), 1))
    run_python(
        """
        import json, sys
        from cytobatch.cli.app import main
        plate, database, out = sys.argv[1:]
        plates = [{"source": plate, "destination": out + "/a"}, {"source": database, "destination": out + "/b"}]
        assert main(["run", "--job-spec", json.dumps({"plates": plates})]) == 0
        assert "prefect" in sys.modules
        assert "pandas" not in sys.modules
        """,
        plate,
        database,
        tmp_path / "out",
    )
