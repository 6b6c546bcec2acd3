"""Prefect's start, once its settings are made: its log handlers, and its server if the user has none."""

import sys
from collections.abc import Callable
from contextlib import ExitStack

from cytobatch.batch.flows.settings import EphemeralServer
from cytobatch.engine.gc_tuning import gc_frozen


def start_prefect(stack: ExitStack, server: EphemeralServer | None, *, debug: bool) -> Callable[[float], bool] | None:
    """Start Prefect until the stack ends. Call it inside `prefect_settings`, before anything else of Prefect is used.

    Imports wait until the settings are made, because Prefect reads them at import. Prefect's server takes long to
    import, so it is imported only if it is needed.

    Returns the function that sends the last events and logs within some seconds; None for a server of the run's own,
    which ends with the stack.
    """
    is_imported = "prefect.context" in sys.modules
    with gc_frozen():
        from cytobatch.batch.flows.services import close_services, quiet_handlers

        if is_imported:
            from cytobatch.batch.flows.reload import reloaded_settings

            stack.enter_context(reloaded_settings())
        if not debug:
            stack.enter_context(quiet_handlers())
        if server is None:
            return close_services
        from cytobatch.batch.flows.server import run_ephemeral_server

        stack.enter_context(run_ephemeral_server(server))
    return None
