"""Plates through a proxy that injects faults: the right result, or a documented exit code, and never another."""

import hashlib
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cytobatch.config.options import PlateJob
from cytobatch.errors import CytobatchError, ExitCode
from cytobatch.pipeline.plate import run_plate
from tests.support.fault_proxy import WAITING, Fault, FaultProxy, Injection, fault_proxy, random_plan
from tests.support.plates import write_sites

Upload = Callable[[Path, str], str]
TIMEOUT = 0.5
"""Seconds that a store may take here for the next bytes: a fortieth of the default."""
LONGEST = 6 * TIMEOUT
"""What two minutes are with this time limit."""
SPARE = 12
"""Seconds for the conversion itself on a busy machine."""
DOCUMENTED = {ExitCode.OK, ExitCode.INPUT_DATA, ExitCode.STORAGE, ExitCode.ACCESS}


@dataclass(slots=True)
class Lab:
    """A plate in a bucket behind a proxy, and what its conversion gives without faults."""

    proxy: FaultProxy
    s3: Any
    bucket: str
    source: str
    expected: dict[str, str]
    requests: int

    def convert(self, plan: Sequence[Injection], destination: str) -> int:
        """Convert with faults; return the exit code. Checks result and time."""
        self.proxy.begin(plan)
        began = time.monotonic()
        try:
            run_plate(self.job(destination))
            code = ExitCode.OK
        except CytobatchError as error:
            code = error.exit_code
            # What other bytes at a beginning make of a plate may be a fault of the input.
            assert code is not ExitCode.INPUT_DATA or Fault.WRONG in self.proxy.injected, (plan, str(error))
        assert code in DOCUMENTED, plan
        assert time.monotonic() - began < LONGEST + SPARE, plan
        if code is ExitCode.OK:
            assert self.published(destination) == self.expected, plan
        return code

    def job(self, destination: str) -> PlateJob:
        return PlateJob(
            source=self.source,
            destination=destination,
            plate="P1",
            endpoint_url=self.proxy.url,
            store_timeout=TIMEOUT,
            check_md5=True,
            workers=2,
        )

    def published(self, destination: str) -> dict[str, str]:
        """Return the checksums of the published files but for the report, by their names."""
        if not destination.startswith("s3://"):
            files = {path.name: path.read_bytes() for path in Path(destination).iterdir()}
        else:
            prefix = f"{destination.removeprefix(f's3://{self.bucket}/')}/"
            keys = [one["Key"] for one in self.s3.list_objects_v2(Bucket=self.bucket, Prefix=prefix)["Contents"]]
            files = {
                key.removeprefix(prefix): self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read() for key in keys
            }
        return {name: hashlib.sha256(content).hexdigest() for name, content in files.items() if "report" not in name}


@pytest.fixture
def lab(upload: Upload, s3: Any, bucket: str, aws: str, tmp_path: Path) -> Any:
    source = upload(write_sites(tmp_path / "in", 3, 40), "plate")
    with fault_proxy(aws) as proxy:
        lab = Lab(proxy, s3, bucket, source, {}, 0)
        run_plate(lab.job(str(tmp_path / "right")))
        lab.expected = lab.published(str(tmp_path / "right"))
        lab.requests = len(proxy.asked)
        assert "single_cells.parquet" in lab.expected
        yield lab


def run_faults(lab: Lab, seed: int, faults: int, kinds: Sequence[Fault], tmp_path: Path) -> Counter[int]:
    """Convert with random plans until so many faults were injected. Every other result goes into the bucket."""
    chance, injected, codes = random.Random(seed), 0, Counter[int]()
    while injected < faults:
        number = codes.total()
        destination = f"s3://{lab.bucket}/out-{number}" if number % 2 else str(tmp_path / f"out-{number}")
        plan = random_plan(chance, lab.requests + 8, kinds)
        codes[lab.convert(plan, destination)] += 1
        # A fault that lasts is one fault, however often it was seen.
        injected += len(set(lab.proxy.injected)) or 1
    return codes


@pytest.mark.parametrize(
    ("fault", "count", "codes"),
    [
        (Fault.RESET, 1, {0}),
        (Fault.RESET_AMID, 1, {0}),
        (Fault.CUT, 1, {0}),
        (Fault.ERROR, 1, {0}),
        (Fault.BUSY, 2, {0}),
        (Fault.DENIED, 1, {0}),
        (Fault.SLOW, 10_000, {0}),
        (Fault.SILENCE, 1, {0}),
        (Fault.DENIED, 10_000, {6}),
        (Fault.SKEWED, 10_000, {4}),
        (Fault.CUT, 10_000, {4}),
        (Fault.SILENCE, 10_000, {4}),
        (Fault.TRICKLE, 10_000, {4}),
        (Fault.ETAG, 10_000, {4}),
        (Fault.WRONG, 10_000, {3, 4}),
    ],
)
def test_a_fault_while_objects_come_has_its_exit_code(
    fault: Fault, count: int, codes: set[int], lab: Lab, tmp_path: Path
) -> None:
    first = next(one.number for one in lab.proxy.asked if one.method == "GET" and one.path.endswith("Cells.csv"))
    assert lab.convert([Injection(fault, first, count)], str(tmp_path / "out")) in codes
    assert fault in lab.proxy.injected


def test_faults_that_need_no_waiting_give_the_right_result_or_a_documented_code(lab: Lab, tmp_path: Path) -> None:
    codes = run_faults(lab, 24, 15, [fault for fault in Fault if fault not in WAITING], tmp_path)
    assert codes[ExitCode.OK]
    assert codes[ExitCode.STORAGE]


def test_the_body_of_an_error_that_comes_slowly_ends_the_run_in_time(lab: Lab) -> None:
    destination = f"s3://{lab.bucket}/out"
    assert lab.convert([], destination) == ExitCode.OK
    # The answer is that there is no report.
    report = next(one.number for one in lab.proxy.asked if one.method == "GET" and one.path.endswith("run-report.json"))
    assert lab.convert([Injection(Fault.TRICKLE, report, 10_000)], f"{destination}-2") == ExitCode.STORAGE


@pytest.mark.long
@pytest.mark.parametrize("fault", sorted(WAITING))
def test_a_destination_that_is_silent_from_any_request_on_ends_the_run_in_time(fault: Fault, lab: Lab) -> None:
    destination = f"s3://{lab.bucket}/out"
    assert lab.convert([], destination) == ExitCode.OK
    for number in range(len(lab.proxy.asked)):
        lab.convert([Injection(fault, number, 10_000)], f"{destination}-{number}")


@pytest.mark.long
def test_1500_faults_give_the_right_result_or_a_documented_code(lab: Lab, tmp_path: Path) -> None:
    codes = run_faults(lab, 2024, 1500, list(Fault), tmp_path)
    assert all(codes[code] for code in (ExitCode.OK, ExitCode.STORAGE, ExitCode.ACCESS))
