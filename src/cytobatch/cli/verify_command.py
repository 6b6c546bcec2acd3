"""`cytobatch verify`: check a published result, and print the differences."""

import sys

from cytobatch.cli.console import out
from cytobatch.cli.flags import VerifyFlags
from cytobatch.config.option_errors import flag_of
from cytobatch.config.options import PlateJob
from cytobatch.config.plural import count, plural
from cytobatch.errors import ExitCode
from cytobatch.pipeline.resolve_jobs import parse_options
from cytobatch.pipeline.verification.model import Verification
from cytobatch.pipeline.verification.verify import VerifyRequest
from cytobatch.pipeline.verification.verify import verify as verified

_SHOWN = 20


def verify(result: str, flags: VerifyFlags) -> int:
    """Print what differs, and return the exit code: that of invalid data if anything does."""
    given = {
        "source": flags.source or result,
        "destination": result,
        "profile": flags.profile,
        "endpoint_url": flags.endpoint_url,
        "no_sign_request": flags.no_sign_request,
        "scratch_dir": flags.scratch_dir,
    }
    job = PlateJob(**parse_options(given, "command line", flag_of).explicit())
    cells = None if flags.cells == "all" else int(flags.cells)
    found = verified(VerifyRequest(job, flags.source is not None, cells, flags.seed))
    if flags.json:
        sys.stdout.write(f"{found.to_json()}\n")
    else:
        _print(found)
    return ExitCode.INPUT_DATA if found.differences else ExitCode.OK


def _print(found: Verification) -> None:
    for difference in found.differences[:_SHOWN]:
        out.print(f"differs  {difference}")
    if len(found.differences) > _SHOWN:
        out.print(f"and {plural(len(found.differences) - _SHOWN, 'more difference')}; --json has all")
    for text in found.not_derived:
        out.print(f"not derived again: {text}")
    derived = (
        f", {count(found.cells)} of {plural(found.rows, 'row')} derived again: {plural(found.values, 'value')}"
        if found.cells
        else ""
    )
    verdict = plural(len(found.differences), "difference") if found.differences else "no difference"
    out.print(f"{found.result}: {plural(found.outputs, 'output')}{derived}; {verdict}")
