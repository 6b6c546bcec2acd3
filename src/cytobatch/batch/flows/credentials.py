"""Credentials from blocks of Prefect's server. Prefect is imported when a block is needed, and not before."""

import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from contextvars import copy_context

from cytobatch.storage.credentials import CredentialsLoader, StoreCredentials, provide_credentials

_KEPT_SECONDS = 60.0
"""How long loaded credentials are used again: a plate has several clients of its stores."""


def provide_blocks(*, in_flow_run: bool = False) -> None:
    """Make Prefect's blocks the credentials of this process.

    Parameters
    ----------
    in_flow_run
        Whether Prefect has its settings from a run, also where PREFECT_API_URL is not set, as on a worker of Dask.
    """
    if not in_flow_run:
        provide_credentials(BlockLoader(_load_from_given_server))
        return
    # Prefect's settings are in the context, and boto3's threads, which renew credentials, have another one.
    context = copy_context()
    provide_credentials(BlockLoader(lambda name: context.copy().run(_load_in_run, name)))


class BlockLoader:
    """Loads credentials, and keeps them for a short time. Several threads may call it at once."""

    def __init__(self, load: CredentialsLoader, clock: Callable[[], float] = time.monotonic) -> None:
        self._load, self._clock = load, clock
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[float, StoreCredentials]] = {}

    def __call__(self, name: str) -> StoreCredentials:
        """Return the credentials of a block. Raises the errors of its load."""
        with self._lock:
            loaded, credentials = self._kept.get(name, (-_KEPT_SECONDS, None))
            if credentials is None or self._clock() - loaded >= _KEPT_SECONDS:
                credentials = self._load(name)
                self._kept[name] = self._clock(), credentials
            return credentials


def _load_from_given_server(name: str) -> StoreCredentials:
    from cytobatch.batch.flows.preparation import check_blocks
    from cytobatch.batch.flows.settings import prefect_settings
    from cytobatch.config.environment import prefect_server_is_given

    check_blocks([name], server_is_given=prefect_server_is_given())
    with ExitStack() as stack:
        if "prefect" not in sys.modules:
            stack.enter_context(prefect_settings(debug=False))
        return _load_in_run(name)


def _load_in_run(name: str) -> StoreCredentials:
    from cytobatch.batch.flows.blocks import load_block

    return load_block(name)
