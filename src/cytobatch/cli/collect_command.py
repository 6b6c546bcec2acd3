"""`cytobatch collect`: gather run reports, write the batch's table and page, and print a summary."""

from cytobatch.batch.collect import gather, publish
from cytobatch.cli.console import err, out
from cytobatch.cli.flags import SpecFlags
from cytobatch.cli.options import resolve_jobs
from cytobatch.config.options import PlateOptions
from cytobatch.config.plural import count, plural
from cytobatch.errors import ExitCode
from cytobatch.report.summary import PlateState
from cytobatch.storage.access import Access

_SHOWN = 20


def collect(to: str, options: PlateOptions, spec: SpecFlags) -> int:
    """Write the table and the page into the folder `to`, and return the exit code."""
    jobs = resolve_jobs(options, spec)
    table = gather(jobs)
    paths = publish(table, to, Access.to_destination(jobs[0]))
    states = [f"{count(table.in_state(state))} {state}" for state in PlateState if table.in_state(state)]
    out.print(f"{plural(len(table.rows), 'plate')}: {', '.join(states)}")
    lacking = [row for row in table.rows if row.run is None]
    for row in lacking[:_SHOWN]:
        out.print(f"  {row.state}  {row.plate}: {row.reason}")
    if len(lacking) > _SHOWN:
        out.print(f"  and {count(len(lacking) - _SHOWN)} more")
    flagged = [row for row in table.rows if row.run is not None and row.reason]
    for row in flagged[:_SHOWN]:
        out.print(f"  warning  {row.plate}: {row.reason}")
    for path in paths:
        out.print(f"  {path}")
    if len(lacking) == len(table.rows):
        err.print("no plate has a report: give the source, destination and plates of the run", style="yellow")
    return ExitCode.PLATES_FAILED if lacking else ExitCode.OK
