"""Print submissions: plates, array jobs, their time and cost."""

import shlex
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.filesize import decimal

from cytobatch.batch.aws.array_jobs import ArrayJob, plates_in
from cytobatch.batch.aws.deployment import Deployment
from cytobatch.batch.aws.preflight import Inspected
from cytobatch.batch.aws.pricing import Estimate, PriceTable, estimate
from cytobatch.batch.aws.submit import Submission, SubmittedJob
from cytobatch.config.plural import count, plural
from cytobatch.config.variables import PREFIX

_SHOWN = 20
_GIB = 2**30


def print_left_alone(console: Console, plates: Sequence[Inspected]) -> None:
    """Print the plates that are done already, and those that look invalid."""
    done = [plate for plate in plates if plate.done]
    if done:
        console.print(f"done already: {count(len(done))} of {plural(len(plates), 'plate')}", highlight=False)
    invalid = [plate for plate in plates if plate.error]
    for plate in invalid[:_SHOWN]:
        for line in f"invalid: {plate.job.shown_label}: {plate.error}".split("\n"):
            console.print(line, style="yellow", markup=False, highlight=False)
    if len(invalid) > _SHOWN:
        console.print(f"and {count(len(invalid) - _SHOWN)} more")


def print_arrays(console: Console, arrays: Sequence[ArrayJob], deployment: Deployment, prices: PriceTable) -> None:
    """Print the planned jobs with their machines, times and cost, one line for each property."""
    dollars = 0.0
    for array in arrays:
        gib = deployment.scratch_gib[array.compute]
        expected = estimate(array.plates, array.size, array.compute, gib, prices)
        dollars += expected.dollars
        for line in _array_lines(array, gib, expected):
            console.print(line, highlight=False, markup=False)
    console.print(
        f"{plural(plates_in(arrays), 'plate')}, about ${dollars:,.2f} by {prices.what}; storage and requests apart",
        highlight=False,
        markup=False,
    )


def _array_lines(array: ArrayJob, gib: int, expected: Estimate) -> Iterator[str]:
    size, scratch = array.size, max(need.scratch_bytes for need in array.plates) / _GIB
    yield f"{array.name}: {plural(len(array.plates), 'plate')} on {array.compute}"
    yield f"  to read  {decimal(sum(need.source_bytes for need in array.plates))}"
    machine = f"{plural(size.vcpus, 'vCPU')}, {size.memory_mib // 1024} GiB memory"
    yield f"  machine  {machine}, {scratch:,.1f} of {gib} GiB scratch"
    yield f"  time     {_duration(expected.longest_seconds)} for the largest plate, {expected.hours:,.1f} hours in all"


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes / 60:.1f} h"


def print_job(console: Console, job: SubmittedJob) -> None:
    """Print a job that AWS Batch accepted."""
    console.print(
        f"{job.id}  {job.name}: {plural(job.plates, 'plate')} on {job.compute}", highlight=False, markup=False
    )


def print_submission(console: Console, submission: Submission, folder: str) -> None:
    """Print the location of a submission, and the commands that follow its jobs."""
    lines = [f"kept in  {folder}/submission.json"]
    lines += [f"follow   cytobatch status {' '.join(job.id for job in submission.jobs)}"]
    # The specs are the submitter's own, and lie in a bucket.
    collect = f"{PREFIX}TRUST_SPEC=true cytobatch collect --job-spec"
    lines += [f"collect  {collect} {shlex.quote(job.spec)} --to FOLDER" for job in submission.jobs]
    for line in lines:
        console.print(line, highlight=False, markup=False)
