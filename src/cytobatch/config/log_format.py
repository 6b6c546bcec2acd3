"""How a log is written, and how much of it. It imports nothing, because every start of the program needs it."""

from enum import StrEnum


class LogFormat(StrEnum):
    """How the events of a run are written."""

    TEXT = "text"
    JSON = "json"


class LogLevel(StrEnum):
    """How grave an event is."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
