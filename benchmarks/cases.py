"""The cases: what is measured, what it is compared to, and its bound."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import limit
from many import measure_many
from measure import Runs, in_turn, piece
from plates import PlateName
from s3 import measure_s3
from session import Session
from show import Finding, Row, at_least, at_most
from split import measure_split
from start import measure_start

_GIB = 2**30
_MEMORY_WORKERS = 2


@dataclass(frozen=True, slots=True)
class Case:
    """A case: its name, the plates that it needs, and its work. `only_by_name`: it runs only if it is named."""

    name: str
    title: str
    plates: tuple[PlateName, ...]
    run: Callable[[Session, str], None]
    only_by_name: bool = False


def against_floor(plate: PlateName, bound: float) -> Callable[[Session, str], None]:
    """Return the case that compares the conversion of a plate with its floor."""

    def run(session: Session, case: str) -> None:
        runs = session.runs(plate)
        convert, floor = in_turn([session.convert(plate), session.floor(plate)], runs)
        session.show.case(case, [Row("convert", convert), Row("floor", floor)])
        session.add(at_most(case, "wall over the floor", convert.over(floor).wall, bound))
        session.guard(case, plate, session.out(plate))

    return run


def large(plate: PlateName) -> Callable[[Session, str], None]:
    """Return the case that compares a plate that exceeds the memory bound with its floor, and measures its peak."""

    def run(session: Session, case: str) -> None:
        against_floor(plate, 1.3)(session, case)
        (took,) = in_turn([session.convert(plate, _MEMORY_WORKERS)], 1)
        session.show.case(f"{case}, {_MEMORY_WORKERS} workers", [Row("convert", took)])
        session.add(at_most(case, "peak", took.median.peak / _GIB, 1.5, " GiB"))

    return run


def memory(session: Session, case: str) -> None:
    """Measure the peaks at 40 and at 400 sites."""
    plates = (PlateName.CSV_LARGE, PlateName.CSV)
    took: list[Runs] = []
    for plate in plates:
        took += in_turn([session.convert(plate, _MEMORY_WORKERS)], session.runs(plate))
        session.guard(case, plate, session.out(plate))
    for plate, runs in zip(plates, took, strict=True):
        session.show.case(case, [Row(f"convert {plate}", runs)])
    many, few = (runs.median.peak for runs in took)
    session.add(at_most(case, "peak at 400 sites over that at 40", many / few, 1.15))
    session.add(at_most(case, "peak, the larger of the two", max(many, few) / _GIB, 1.5, " GiB"))


def memory_limit(session: Session, case: str) -> None:
    """Convert 400 sites within 3 GiB. If the process needs more memory it fails, and so does the case."""
    plate = PlateName.CSV_LARGE
    work = session.convert(plate)
    bounded = limit.bounded(work)
    (took,) = in_turn([bounded.work], 1)
    session.show.case(f"{case}: {bounded.how}", [Row("convert", took)])
    session.add(Finding(case, f"400 sites within 3 GiB ({bounded.how})", "finished", "finishes", held=True))
    session.guard(case, plate, session.out(plate))


def workers(session: Session, case: str) -> None:
    """Compare two workers with one. A small plate shows the single-threaded parts at the start and the end."""
    for plate, sites in ((PlateName.CSV, 40), (PlateName.CSV_LARGE, 400)):
        runs = session.more_runs(plate)
        one, two = in_turn([session.convert(plate, 1), session.convert(plate, 2)], runs)
        session.show.case(f"{case}, {sites} sites", [Row("1 worker", one), Row("2 workers", two)])
        session.add(at_least(case, f"speed-up of 2 workers over 1, {sites} sites", one.over(two).wall, 1.7))
        session.guard(case, plate, session.out(plate))


def size(session: Session, case: str) -> None:
    """Compare the profile's bytes with those of the same table written by pyarrow."""
    plate = PlateName.CSV
    out, plain = session.out(plate), session.out(plate).with_suffix(".plain.parquet")
    rewrite = piece("rewrite", "rewrite", out, plain, scratch=session.scratch)
    convert, written = in_turn([session.convert(plate), rewrite], 1)
    session.show.case(case, [Row("convert", convert), Row("pyarrow writes the table", written)])
    session.add(_smaller(case, out, plain))
    session.guard(case, plate, out)


def _smaller(case: str, one: Path, other: Path) -> Finding:
    ours, theirs = one.stat().st_size, other.stat().st_size
    reached = f"{ours / 1e6:,.3f} MB, {ours / theirs:.2f} times it"
    return Finding(case, "bytes of the profile", reached, f"smaller than {theirs / 1e6:,.3f} MB", ours < theirs)


CASES = (
    Case("csv40", "CSV, 40 sites", (PlateName.CSV,), against_floor(PlateName.CSV, 1.3)),
    Case("size", "output size", (PlateName.CSV,), size),
    Case("workers", "2 workers against 1", (PlateName.CSV, PlateName.CSV_LARGE), workers),
    Case("s3", "CSV in S3, 40 sites", (PlateName.CSV,), measure_s3),
    Case("csv400", "CSV, 400 sites", (PlateName.CSV_LARGE,), against_floor(PlateName.CSV_LARGE, 1.3)),
    Case("memory", "peak memory, 40 and 400 sites", (PlateName.CSV, PlateName.CSV_LARGE), memory),
    Case("limit", "400 sites in 3 GiB", (PlateName.CSV_LARGE,), memory_limit),
    Case("sqlite40", "SQLite, 40 sites", (PlateName.SQLITE,), against_floor(PlateName.SQLITE, 1.3)),
    Case("sqlite400", "SQLite, 400 sites", (PlateName.SQLITE_LARGE,), large(PlateName.SQLITE_LARGE)),
    Case("plate", "CSV, a plate of 3,456 sites", (PlateName.CSV_WHOLE,), large(PlateName.CSV_WHOLE), only_by_name=True),
    Case(
        "split400",
        "CSV, 400 sites by the workers of a Dask cluster",
        (PlateName.CSV_LARGE,),
        measure_split,
        only_by_name=True,
    ),
    Case("tall", "one whole-plate CSV folder", (PlateName.TALL,), against_floor(PlateName.TALL, 1.5)),
    Case(
        "tall-shuffled",
        "the same, rows not sorted by image",
        (PlateName.TALL_SHUFFLED,),
        against_floor(PlateName.TALL_SHUFFLED, 1.5),
    ),
    Case("start", "a tiny plate, whole process", (PlateName.TINY,), measure_start),
    Case("plates64", "many small plates by each task runner", (PlateName.MANY,), measure_many),
)
"""The cases in their order. Cases that share a plate follow each other."""
