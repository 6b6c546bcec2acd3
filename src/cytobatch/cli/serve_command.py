"""`cytobatch serve`: run plates on this machine for a Prefect server. `cytobatch prefect`: Prefect's own commands."""

import runpy
import sys
from collections.abc import Sequence

from cytobatch.batch.flows.settings import prefect_settings
from cytobatch.cli.console import err
from cytobatch.config.environment import prefect_server_is_given
from cytobatch.config.plural import plural
from cytobatch.errors import ConfigurationError, ExitCode


def serve(name: str, limit: int, *, debug: bool) -> int:
    """Serve the flows until a signal ends the process. Raises ConfigurationError without a server."""
    if not prefect_server_is_given():
        raise ConfigurationError(
            "no Prefect server named",
            where="environment",
            why="PREFECT_API_URL is not set",
            remedy="start one with `prefect server start`, then PREFECT_API_URL=http://<host>:4200/api",
        )
    with prefect_settings(debug=debug):
        from cytobatch.batch.flows.serve import serve_flows

        err.print(f"serving cytobatch-plate/{name}, {plural(limit, 'run')} at once; Ctrl-C ends it")
        serve_flows(name, limit)
    return ExitCode.OK


def run_prefect(words: Sequence[str]) -> int:
    """Run Prefect's command line in this process, and return its exit code."""
    sys.argv = ["prefect", *words]
    try:
        runpy.run_module("prefect", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return ExitCode.OK
