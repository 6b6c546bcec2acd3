"""`cytobatch inspect`: find out what lies at a path, and print it."""

import sys

from cytobatch.cli.console import out
from cytobatch.cli.flags import InspectFlags
from cytobatch.cli.printing.inspection import print_inspection
from cytobatch.errors import ExitCode
from cytobatch.pipeline.inspection.inspect import inspect_path
from cytobatch.pipeline.resolve_jobs import access_options


def inspect(path: str, flags: InspectFlags) -> int:
    """Print what lies at a path, and return the exit code."""
    given = {
        "profile": flags.profile,
        "endpoint_url": flags.endpoint_url,
        "no_sign_request": flags.no_sign_request or None,
        "requester_pays": flags.requester_pays or None,
        "scratch_dir": flags.scratch_dir,
    }
    found = inspect_path(path, access_options(given, "command line"), flags.rows)
    if flags.json:
        sys.stdout.write(f"{found.to_json()}\n")
    else:
        print_inspection(out, found)
    return ExitCode.OK
