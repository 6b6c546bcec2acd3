"""`cytobatch collect`: what it takes, and what it says."""

from cytobatch.batch.collect import gather, publish
from cytobatch.cli.console import out
from cytobatch.cli.options import NO_OPTIONS, DebugFlag, Options, SpecFlag, resolve_jobs
from cytobatch.errors import ExitCode
from cytobatch.report.summary import PlateState
from cytobatch.storage.access import Access

_SHOWN = 20


def collect(*, to: str, options: Options = NO_OPTIONS, job_spec: SpecFlag = None, debug: DebugFlag = False) -> int:  # noqa: ARG001
    """Gather the run reports of all plates into one table and one page.

    Parameters
    ----------
    to: The folder, local or in a bucket, that gets batch.parquet, batch.csv and index.html.
    """
    jobs = resolve_jobs(options, job_spec)
    table = gather(jobs)
    paths = publish(table, to, Access.to_destination(jobs[0]))
    states = [f"{table.in_state(state)} {state}" for state in PlateState if table.in_state(state)]
    out.print(f"{len(table.rows)} plate(s): {', '.join(states)}", highlight=False)
    lacking = [row for row in table.rows if row.state is not PlateState.DONE]
    for row in lacking[:_SHOWN]:
        out.print(f"  {row.state}  {row.plate}: {row.reason}", markup=False, highlight=False)
    if len(lacking) > _SHOWN:
        out.print(f"  and {len(lacking) - _SHOWN} more", highlight=False)
    for path in paths:
        out.print(f"  {path}", markup=False, highlight=False)
    return ExitCode.PLATES_FAILED if lacking else ExitCode.OK
