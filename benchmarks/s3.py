"""The case of a source in S3: MiniStack on loopback, and a proxy before it that counts the fetched bytes."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import boto3

from measure import Piece, in_turn, piece
from plates import PlateName
from proxy import Asked, gets, proxy
from servers import s3_server
from session import Session
from show import Finding, Row, at_most

_BUCKET, _PREFIX = "plates", "plate"
CREDENTIALS = (
    ("AWS_ACCESS_KEY_ID", "test"),
    ("AWS_SECRET_ACCESS_KEY", "test"),
    ("AWS_DEFAULT_REGION", "us-east-1"),
)
SOURCE = f"s3://{_BUCKET}/{_PREFIX}"


def upload(plate: Path, url: str) -> dict[str, int]:
    """Upload a plate; return the size of each object by its key."""
    credentials = {name.lower(): value for name, value in CREDENTIALS if name != "AWS_DEFAULT_REGION"}
    client = boto3.client("s3", endpoint_url=url, region_name="us-east-1", **credentials)
    client.create_bucket(Bucket=_BUCKET)
    sizes: dict[str, int] = {}
    for path in sorted(plate.rglob("*")):
        if path.is_file():
            key = f"{_PREFIX}/{path.relative_to(plate).as_posix()}"
            client.upload_file(str(path), _BUCKET, key)
            sizes[key] = path.stat().st_size
    return sizes


def measure_s3(session: Session, case: str) -> None:
    """Compare converting from S3 with the slower of fetching and converting, and count bytes once through the proxy.

    The server is a process of this machine. With one worker less than there are cores it has a core of its own, as a
    bucket's server has. With all workers the figure includes how server, fetching and converting share the cores.
    """
    most = session.options.workers
    with s3_server(session.scratch) as url:
        sizes = upload(session.plate(PlateName.CSV), url)
        for workers in sorted({max(1, most - 1), most}):
            _timed(session, case, url, workers)
        _counted(session, case, sizes, _recorded_gets(session, "convert from S3, counted", url, "convert"))
        _fetched_alone(session, case, sizes, _recorded_gets(session, "fetch alone, counted", url, "fetch"))


def _recorded_gets(session: Session, label: str, url: str, work: str) -> list[Asked]:
    """Return the GETs of objects that a piece of work makes in one run with all workers."""
    with proxy(url) as (address, requests):
        in_turn([_from_s3(session, label, address, session.options.workers, work)], 1)
    return gets(requests)


def _out(session: Session) -> Path:
    return session.out(PlateName.CSV).with_suffix(".s3.parquet")


def _from_s3(session: Session, label: str, url: str, workers: int, work: str = "convert") -> Piece:
    environment = (*CREDENTIALS, ("AWS_ENDPOINT_URL", url))
    flags = ("--workers", workers)
    return piece(label, work, SOURCE, _out(session), *flags, scratch=session.scratch, environment=environment)


def _timed(session: Session, case: str, url: str, workers: int) -> None:
    # The times of three processes that share the cores vary more than those of one.
    runs = session.more_runs(PlateName.CSV)
    pieces = [
        _from_s3(session, "convert from S3", url, workers),
        _from_s3(session, "fetch alone", url, workers, "fetch"),
        session.convert(PlateName.CSV, workers),
    ]
    both, fetch, convert = took = in_turn(pieces, runs)
    rows = [Row(one.label, runs) for one, runs in zip(pieces, took, strict=True)]
    session.show.case(f"{case}, {workers} worker(s)", rows)
    figure = f"wall over the slower of fetch and convert, {workers} worker(s)"
    session.add(at_most(case, figure, both.over(fetch, convert).wall, 1.2))
    session.guard(case, PlateName.CSV, _out(session))


def _counted(session: Session, case: str, sizes: dict[str, int], requests: Sequence[Asked]) -> None:
    """Check that each object was fetched, in exactly as many bytes as it has."""
    fetched = Counter[str]()
    for one in requests:
        fetched[one.key] += one.answered
    differing = [key for key in sizes if fetched[key] != sizes[key]]
    session.show.note(
        f"{case}: {len(requests)} GETs of {len(fetched)} objects, {fetched.total():,} bytes; "
        f"{len(sizes)} objects of {sum(sizes.values()):,} bytes are needed; "
        f"fetched with another number of bytes: {differing[:5]}"
    )
    reached = "1 for each" if not differing else f"{len(differing)} of {len(sizes)} objects differ"
    session.add(Finding(case, "bytes fetched of each object over its size", reached, "1", held=not differing))


def _fetched_alone(session: Session, case: str, sizes: dict[str, int], requests: Sequence[Asked]) -> None:
    """Check that fetching alone fetches all bytes of tables, because its time is the one to compare with."""
    fetched = sum(one.answered for one in requests)
    needed = sum(size for key, size in sizes.items() if not key.endswith("Experiment.csv"))
    reached = f"{fetched:,} of {needed:,}"
    session.add(Finding(case, "bytes of tables that fetching alone fetches", reached, "all", held=fetched >= needed))
