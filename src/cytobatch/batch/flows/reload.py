"""New settings for a Prefect that is imported already."""

from collections.abc import Iterator
from contextlib import contextmanager

from prefect import context
from prefect.logging.configuration import setup_logging


@contextmanager
def reloaded_settings() -> Iterator[None]:
    """Make Prefect read its settings from the environment again, and restore the earlier ones afterwards.

    `temporary_settings` would not do, because its settings are those of one thread's context, and Prefect's server and
    its workers have threads of their own. The settings of the process are a global variable of `prefect.context`.
    """
    earlier = context.GLOBAL_SETTINGS_CONTEXT
    context.refresh_global_settings_context()
    setup_logging()
    try:
        yield
    finally:
        context.GLOBAL_SETTINGS_CONTEXT = earlier
