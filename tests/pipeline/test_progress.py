"""How far a conversion is: what `progress` gets while a plate is converted. It ends with the report's figures."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import cytobatch
from cytobatch.conversion import work_done
from cytobatch.conversion.work_done import WorkCounter, WorkDone
from cytobatch.report.model import RunReport
from tests.conversion.test_out_of_core import SMALL
from tests.conversion.test_out_of_core import plate as large_plate
from tests.support.plates import (
    cytominer_tables,
    per_tables,
    site_tables,
    write_incarta_plate,
    write_site,
    write_sites,
    write_sqlite,
)


def _sites(folder: Path) -> Path:
    return write_sites(folder, 6, 4)


def _databases(folder: Path) -> Path:
    for number in (1, 2, 3):
        write_sqlite(folder / f"{number}.sqlite", per_tables(site_tables(4)))
    return folder


def _one_database(folder: Path) -> Path:
    write_sqlite(folder / "P1.sqlite", *(cytominer_tables(site_tables(4, image=n), f"{n:04}") for n in (1, 2, 3)))
    return folder / "P1.sqlite"


def _failing_site(folder: Path) -> Path:
    write_sites(folder, 4)
    cells = next(folder.rglob("Cells.csv"))
    cells.write_bytes(cells.read_bytes()[:-9])
    return folder


def converted(source: Path, destination: Path, **options: Any) -> tuple[RunReport, list[cytobatch.PlateProgress]]:
    """Convert a plate; return its report and all progress, which came in this thread."""
    events: list[cytobatch.PlateProgress] = []

    def progress(event: cytobatch.StepStarted | cytobatch.PlateProgress) -> None:
        assert threading.current_thread() is threading.main_thread()
        if isinstance(event, cytobatch.PlateProgress):
            events.append(event)

    return cytobatch.convert(source, destination, progress=progress, **options), events


@pytest.fixture
def every_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pass on each count, and not a few of them a second."""
    monkeypatch.setattr(work_done, "_SECONDS", 0.0)


@pytest.mark.usefixtures("every_count")
@pytest.mark.parametrize(
    ("write", "options"),
    [
        (_sites, {}),
        (_sites, {"workers": 2}),
        (_sites, {"join": False}),
        (_sites, {"concat": False}),
        (_sites, {"joins": "SELECT * FROM cells"}),
        (_sites, {"anndata": "h5ad", "well_profiles": "mean"}),
        (_failing_site, {"max_failed_exports": 1}),
        (_databases, {}),
        (_databases, {"join": False}),
        (_one_database, {}),
        (write_incarta_plate, {}),
    ],
)
def test_the_figures_grow_to_those_of_the_report(
    write: Callable[[Path], Path], options: dict[str, Any], tmp_path: Path
) -> None:
    report, events = converted(write(tmp_path / "P1"), tmp_path / "out", workers=options.pop("workers", 1), **options)
    done = [event.bytes_done for event in events]
    assert done[0] == 0
    assert done == sorted(done)
    assert len(set(done)) > 2
    last, end = events[-2:]
    assert end.fraction == 1
    assert (end.exports_done, end.exports, end.rows) == (report.counts.exports,) * 2 + (report.counts.rows,)
    assert last == end, "all was counted before the end was announced"
    assert {(event.plate, event.step) for event in events} == {(report.plate, "convert")}


@pytest.mark.usefixtures("every_count")
def test_a_conversion_that_starts_again_starts_again_at_nothing(tmp_path: Path) -> None:
    for number in range(1, 4):
        tables = site_tables(4)
        counts = pa.array([1, 2, 3, 0.5 if number == 3 else 4])
        tables["Cells"] = tables["Cells"].append_column("Children_Spots_Count", counts)
        write_site(tmp_path / "P1" / f"P1-A01-{number}", tables)
    report, events = converted(tmp_path / "P1", tmp_path / "out", workers=1)
    done = [event.bytes_done for event in events]
    assert done.count(0) >= 2
    assert done != sorted(done)
    assert (events[-1].fraction, events[-1].rows) == (1, report.counts.rows)


def test_the_listener_is_called_a_few_times_a_second_and_in_its_own_thread_alone() -> None:
    passed_on: list[WorkDone] = []
    counter = WorkCounter(passed_on.append)
    counter.start(1, 0)
    counter.expect(1000, 0)
    for _ in range(1000):
        counter.read(1)
    assert [done.bytes_done for done in passed_on] == [0]
    thread = threading.Thread(target=counter.end, args=(7,))
    thread.start()
    thread.join()
    assert len(passed_on) == 1
    counter.end(7)
    assert passed_on[1:] == [WorkDone(bytes_done=1000, bytes=1000, exports_done=1, exports=1, rows=7)]


def test_an_exception_during_the_conversion_ends_it(tmp_path: Path) -> None:
    def progress(event: cytobatch.StepStarted | cytobatch.PlateProgress) -> None:
        if isinstance(event, cytobatch.PlateProgress):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cytobatch.convert(_sites(tmp_path / "P1"), tmp_path / "out", progress=progress)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("every_count", "any_memory")
def test_a_plate_larger_than_memory_is_counted_by_slices(tmp_path: Path) -> None:
    source = large_plate(tmp_path / "P1.sqlite")
    assert source.stat().st_size > SMALL // 16
    report, events = converted(source, tmp_path / "out", memory=SMALL)
    done = [event.bytes_done for event in events]
    assert done == sorted(done)
    assert len(set(done)) > 4
    assert events[-2] == events[-1]
    assert (events[-1].exports_done, events[-1].rows) == (1, report.counts.rows)
