"""Where the plates of one run are converted: in turn, in threads, in processes, or by Dask. Its text forms."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator

from cytobatch.config.bad_values import BadValueError
from cytobatch.errors import ConfigurationError

_MOST_AT_ONCE = 256
FORMS = "one of sequential, threads:N, processes:N, dask, dask:N and dask:tcp://host:port"
"""The text forms of task runners."""
_SCHEMES = ("tcp", "tls")


class RunnerKind(StrEnum):
    """The kinds of task runners."""

    SEQUENTIAL = "sequential"
    """One plate after the other, in the main thread."""
    THREADS = "threads"
    """Several plates at once, in threads of this process."""
    PROCESSES = "processes"
    """Several plates at once, in processes of this machine."""
    DASK = "dask"
    """Several plates at once, on the workers of a Dask cluster: one that is started for the run, or an existing one."""


_COUNTED = (RunnerKind.THREADS, RunnerKind.PROCESSES)


@dataclass(frozen=True, slots=True)
class TaskRunner:
    """A task runner as the option names it.

    Attributes
    ----------
    kind
        Where plates are converted.
    count
        How many plates are converted at once. None for `dask` without a number: one for each CPU.
    address
        The address of the scheduler of an existing Dask cluster.
    """

    kind: RunnerKind = RunnerKind.SEQUENTIAL
    count: int | None = None
    address: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the task runner of a text. Raises ValueError for any other text."""
        name, colon, rest = text.strip().partition(":")
        kind = next((kind for kind in RunnerKind if kind == name.lower()), None)
        if kind is None or (colon and not rest):
            raise BadValueError(f"{text!r} is no task runner", f"give {FORMS}")
        if kind is RunnerKind.DASK and "://" in rest:
            return cls(kind, None, _checked_address(rest))
        if (kind in _COUNTED and not rest) or (kind is RunnerKind.SEQUENTIAL and rest):
            raise BadValueError(f"{text!r} has {'a' if rest else 'no'} number", f"give {FORMS}")
        return cls(kind, _checked_count(rest) if rest else None)

    def __str__(self) -> str:
        rest = self.address or self.count
        return f"{self.kind.value}:{rest}" if rest else self.kind.value

    @property
    def is_on_this_machine(self) -> bool:
        """Whether plates are converted on this machine alone, with its CPUs and its memory."""
        return self.address is None

    @property
    def is_private(self) -> bool:
        """Whether nobody else can read what travels: on this machine, or through TLS."""
        if self.address is None:
            return True
        parts = urlsplit(self.address)
        return parts.scheme == "tls" or is_loopback(parts.hostname or "")

    @property
    def is_elsewhere(self) -> bool:
        """Whether the scheduler may be on another machine."""
        return self.address is not None and not is_loopback(urlsplit(self.address).hostname or "")


def is_loopback(host: str) -> bool:
    """Decide whether a host name or IP address is that of this machine alone."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def common_task_runner(texts: Iterable[str | None]) -> TaskRunner:
    """Return the one task runner of all plates of a run. Raises ConfigurationError if they name several."""
    runners = {TaskRunner.parse(text) if text else TaskRunner() for text in texts}
    if len(runners) > 1:
        raise ConfigurationError(
            "plates name different task runners",
            where="task_runner",
            why=", ".join(sorted(map(str, runners))),
            remedy="name one for the whole run: in the defaults of the job spec, or by --task-runner",
        )
    return next(iter(runners), TaskRunner())


def _checked_address(text: str) -> str:
    parts = urlsplit(text)
    try:
        is_complete = parts.scheme in _SCHEMES and bool(parts.hostname) and bool(parts.port)
    except ValueError:
        is_complete = False
    if not is_complete or parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc:
        raise BadValueError(
            f"{text!r} is no address of a Dask scheduler",
            "give one such as dask:tcp://host:8786 or dask:tls://host:8786",
        )
    return f"{parts.scheme}://{parts.netloc}"


def _checked_count(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,4}", text) or not 1 <= int(text) <= _MOST_AT_ONCE:
        raise BadValueError(
            f"{text!r} is no number of plates at once", f"give one from 1 to {_MOST_AT_ONCE}, as in processes:4"
        )
    return int(text)


def _normal_form(text: str) -> str:
    return str(TaskRunner.parse(text))


TaskRunnerText = Annotated[str, AfterValidator(_normal_form)]
"""The checked text of a task runner. It stays a text, as which specs, flags and Prefect's forms show it."""
