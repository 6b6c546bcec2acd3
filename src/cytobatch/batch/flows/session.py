"""Prefect for the length of one run: its settings, and its server if the user has none."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from cytobatch.batch.flows.settings import prefect_settings
from cytobatch.config.options import PlateJob
from cytobatch.engine.gc_tuning import gc_frozen
from cytobatch.report.model import RunReport
from cytobatch.storage.access import storage_errors

PlateConverter = Callable[[PlateJob, Callable[[str, str], None]], RunReport]
"""Converts a plate, and calls a function with the plate and each step as it starts."""


@contextmanager
def prefect_session(*, debug: bool) -> Iterator[PlateConverter]:
    """Yield the function that converts a plate as a flow run.

    Imports wait until the settings are made, because Prefect reads them at import. Prefect's server takes long to
    import, so it is imported only if it is needed. A process can open one session after another, because each one makes
    Prefect read its settings again. Raises StorageError if the system's folder for temporary files cannot be used.
    """
    is_imported = "prefect.context" in sys.modules
    with ExitStack() as stack:
        with storage_errors("the system's folder for temporary files"):
            server = stack.enter_context(prefect_settings(debug=debug))
        with gc_frozen():
            from cytobatch.batch.flows.plate import convert

            if is_imported:
                from cytobatch.batch.flows.reload import reloaded_settings

                stack.enter_context(reloaded_settings())
            if server:
                from cytobatch.batch.flows.server import run_ephemeral_server

                stack.enter_context(run_ephemeral_server(server))
        yield convert
