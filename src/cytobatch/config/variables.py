"""Environment variables by name. The only module that reads or changes `os.environ`."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

PREFIX = "CYTOBATCH_"
_OFF = frozenset({"", "0", "false", "no", "off"})


def variables_with(prefix: str) -> list[str]:
    """Return the names of the variables that begin with a prefix, in order; case does not matter."""
    return sorted(name for name in os.environ if name.upper().startswith(prefix))


def is_set(name: str) -> bool:
    """Return whether the variable of an option is set and not switched off. A value that is no boolean counts as on."""
    return os.environ.get(f"{PREFIX}{name}", "").strip().lower() not in _OFF


def value_of(name: str) -> str | None:
    """Return the value of the variable of an option; None if it is not set, or blank."""
    return os.environ.get(f"{PREFIX}{name}", "").strip() or None


def debug_requested() -> bool:
    """Return whether CYTOBATCH_DEBUG requests tracebacks; a value that is not a boolean counts as a request.

    Errors are shown by this, and the error may be that the settings are invalid.
    """
    return is_set("DEBUG")


def without_proxy(host: str) -> str:
    """Return the value of `no_proxy` with a host more: requests to it go to no proxy that the environment names.

    Where both spellings are set, Python's programs take the one in lowercase.
    """
    earlier = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    return earlier if earlier.strip() == "*" else ",".join(filter(None, (earlier, host)))


@contextmanager
def temporary_variables(values: Mapping[str, str], defaults: Mapping[str, str]) -> Iterator[None]:
    """Set variables inside the context and restore the earlier ones afterwards.

    `values` replace variables that are set already, `defaults` do not.
    """
    changes = {name: value for name, value in defaults.items() if name not in os.environ} | dict(values)
    earlier = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in earlier.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
