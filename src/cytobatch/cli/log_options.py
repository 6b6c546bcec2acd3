"""How much of a run is shown, and how: from flags and variables, before anything can fail."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from cytobatch.config.log_format import LogFormat, LogLevel
from cytobatch.config.variables import is_set, value_of
from cytobatch.errors import ConfigurationError

_FORMAT_FLAG = "--log-format"


@dataclass(frozen=True, slots=True)
class LogOptions:
    """The format of events, and the least grave that are shown."""

    format: LogFormat = LogFormat.TEXT
    level: LogLevel = LogLevel.INFO


_DEFAULT = LogOptions()
_given = [_DEFAULT]


def set_log_options(words: Sequence[str]) -> None:
    """Take the options of this process from the words of its command line."""
    _given[0] = read_log_options(words)


def log_options() -> LogOptions:
    """Return the options of this process."""
    return _given[0]


def read_log_options(words: Sequence[str]) -> LogOptions:
    """Return the options of a command line, and of the variables for what it leaves open.

    A value that is not valid counts as not given: the command refuses it later, and its error has to be shown.
    """
    level = _level(quiet="--quiet" in words, verbose="--verbose" in words)
    level = level or _level(quiet=is_set("QUIET"), verbose=is_set("VERBOSE")) or LogLevel.INFO
    given = _format_of(words) or value_of("LOG_FORMAT") or LogFormat.TEXT
    return LogOptions(LogFormat(given) if given in list(LogFormat) else LogFormat.TEXT, level)


def _level(*, quiet: bool, verbose: bool) -> LogLevel | None:
    if verbose:
        return LogLevel.DEBUG
    return LogLevel.ERROR if quiet else None


def _format_of(words: Sequence[str]) -> str | None:
    for word, following in itertools.pairwise([*words, ""]):
        name, is_given, own = word.partition("=")
        if name == _FORMAT_FLAG:
            return own if is_given else following
    return None


def check_log_flags(*, quiet: bool, verbose: bool) -> None:
    """Raise ConfigurationError if two flags contradict each other."""
    if quiet and verbose:
        raise ConfigurationError(
            "--quiet and --verbose are given",
            where="command line",
            why="one shows errors alone, the other more than usual",
            remedy="drop one of the two",
        )
