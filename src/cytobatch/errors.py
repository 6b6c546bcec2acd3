"""The errors of cytobatch, as one tree. Each class has the exit code that AWS Batch's retry rules read.

    CytobatchError                       exit code
    +-- ConfigurationError               2   the options are invalid; a retry cannot help
    |   +-- JobSpecError                     an invalid job spec, environment variable or flag
    |   +-- JoinSqlError                     the user's own `joins` SQL
    |   +-- WorkerVersionError               a worker has another version of cytobatch than the run
    +-- InputDataError                   3   the content of the source is invalid; a retry cannot help
    |   +-- SourceNotFoundError              the source is missing or empty
    |   +-- LayoutError                      no layout fits the source, or more than one does
    |   +-- AnnotationError                  a platemap or LoadData file that cannot be joined
    |   +-- InvalidTableError                one table that cannot be read, caught per export
    |   |   +-- FractionError                   a column of integers that holds a fraction
    |   |   +-- EndlessQueryError               a table without an end (`readers.sqlite.guard`)
    |   +-- TooManyFailedExportsError        more exports failed than `max_failed_exports` allows
    +-- StorageError                     4   an object store or disk failed to read or write; a retry may help
    |   +-- AccessError                  6   no permission, no bucket, no credentials; a retry cannot help
    |   |   +-- AbsentFileError                a file or an object that the job names does not exist
    |   +-- SourceChangedError               a file of the source changed while the run read it
    |   +-- OvertakenError                   another run has published meanwhile (`storage.publishing.store`)
    |   +-- WorkerLostError                  a worker has ended again and again before what it converts
    +-- ServiceError                     5   AWS Batch, its logs or Prefect refused or did not answer
    +-- InternalError                    70  a defect of cytobatch itself

A usage error of the command line exits with 2, as a ConfigurationError does.

Names, reasons and locations come from outside: a name may hold the codes of a terminal, line ends, marks that turn the
direction of writing, or a password. The functions here make such text fit to be shown.
"""

import re
from collections.abc import Callable
from enum import IntEnum
from functools import partial
from typing import Any

REPLACEMENT = "\ufffd"
"""Stands for each character that is not shown."""

_MOST = 2000
_UNSHOWN = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # control characters, line ends among them
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # directions of writing
    "\u2028\u2029\ufff9-\ufffb\U000e0000-\U000e007f"  # separators of lines and paragraphs, annotations, tags
    "\ud800-\udfff]"  # halves of characters, which cannot be encoded
)
_USER = re.compile(r"(?<=://)[^/\s'\"@]*@")
_SIGNED = re.compile(
    r"(?<=[?&;])(x-amz-(?:signature|credential|security-token)|x-goog-(?:signature|credential)|awsaccesskeyid"
    r"|googleaccessid|signature|sig|token|access_token|password)=[^&;\s'\"]*",
    re.IGNORECASE,
)
_HIDDEN = "…"


class ExitCode(IntEnum):
    """Exit codes of the program, one for each class of error."""

    OK = 0
    PLATES_FAILED = 1
    """The program succeeded, but `status` or `collect` lists plates that failed."""
    CONFIGURATION = 2
    INPUT_DATA = 3
    STORAGE = 4
    SERVICE = 5
    ACCESS = 6
    INTERNAL = 70
    INTERRUPTED = 130
    """SIGINT ended the program: the exit code of shells."""
    TERMINATED = 143


def printable(text: str) -> str:
    """Return text with each control character, line end, mark of direction and lone surrogate replaced."""
    return _UNSHOWN.sub(REPLACEMENT, text)


def without_secrets(text: str) -> str:
    """Return text without the user and password of its URLs, and without their signatures and access keys."""
    return _SIGNED.sub(rf"\1={_HIDDEN}", _USER.sub(f"{_HIDDEN}@", text))


def brief(text: str) -> str:
    """Return text that is fit for a message: printable, without secrets, and cut after 2,000 characters."""
    # A text of megabytes is cut first. Whatever the cut leaves of a secret is found in the rest.
    shown = without_secrets(printable(text[: 2 * _MOST]))
    return shown if len(shown) <= _MOST else shown[: _MOST - 1] + _HIDDEN


class CytobatchError(Exception):
    """The base of all errors. Its message has four parts: what failed, where, why, and how to fix it.

    Each part is one line of printable text, without passwords and signatures of URLs.

    Parameters
    ----------
    what : str
        The failure, in a few words.
    where : str, optional
        The file, URI, job or option that it concerns.
    why : str, optional
        The cause.
    remedy : str, optional
        How to fix it.
    """

    exit_code = ExitCode.INTERNAL

    def __init__(self, what: str, *, where: str = "", why: str = "", remedy: str = "") -> None:
        # Names, reasons and locations come from outside.
        what, where, why, remedy = brief(what), brief(where), brief(why), brief(remedy)
        super().__init__(what, where, why, remedy)
        self.what, self.where, self.why, self.remedy = what, where, why, remedy

    def __reduce__(self) -> tuple[Callable[[], "CytobatchError"], tuple[()], dict[str, Any]]:
        """Rebuild the error from its keywords, so that it survives a pickle round trip between processes.

        `BaseException` would call the class with positional arguments. Pickle drops the traceback and the cause.
        """
        rebuild = partial(type(self), self.what, where=self.where, why=self.why, remedy=self.remedy)
        return rebuild, (), self.__dict__

    def __str__(self) -> str:
        parts = ((": ", self.where), ("\n  why: ", self.why), ("\n  fix: ", self.remedy))
        return self.what + "".join(label + text for label, text in parts if text)

    @property
    def reason(self) -> str:
        """What failed and why, in one line for a ledger."""
        return f"{self.what}: {self.why}" if self.why else self.what


class ConfigurationError(CytobatchError):
    """The options are invalid."""

    exit_code = ExitCode.CONFIGURATION


class JobSpecError(ConfigurationError):
    """A job spec, an environment variable or a flag is invalid."""


class JoinSqlError(ConfigurationError):
    """The user's `joins` SQL does not parse, names no table of the plate, or fails."""


class WorkerVersionError(ConfigurationError):
    """A worker has another version of cytobatch than the run that sends it a plate."""


class InputDataError(CytobatchError):
    """The content of the source is invalid."""

    exit_code = ExitCode.INPUT_DATA


class SourceNotFoundError(InputDataError):
    """The source is missing or empty."""


class LayoutError(InputDataError):
    """No layout fits the source, or more than one does."""


class AnnotationError(InputDataError):
    """A platemap or LoadData file cannot be joined to the plate."""


class InvalidTableError(InputDataError):
    """One table of one export cannot be read whole."""


class FractionError(InvalidTableError):
    """A column of integers holds a fraction. `column` is its name, set where the error is raised."""

    column = ""


class TooManyFailedExportsError(InputDataError):
    """More exports failed than the job allows."""


class StorageError(CytobatchError):
    """An object store or a disk refused, or did not answer."""

    exit_code = ExitCode.STORAGE


class AccessError(StorageError):
    """A store or a disk refused for a reason that a retry meets again: no permission, no bucket, no credentials."""

    exit_code = ExitCode.ACCESS


class AbsentFileError(AccessError):
    """A file or an object that the job names does not exist. A source without files is a SourceNotFoundError."""


class SourceChangedError(StorageError):
    """A file of the source is no longer that of the listing. A retry reads the new one."""


class WorkerLostError(StorageError):
    """A worker has ended before the plate, or the part of a plate, that it converts, and so have those after it."""


class ServiceError(CytobatchError):
    """AWS Batch, the service that keeps its logs, or Prefect's server refused or did not answer.

    `submit`, `status` and `serve` raise it. A plate fails by it only if its credentials are a block of a Prefect server
    that does not answer: a record never fails a plate.
    """

    exit_code = ExitCode.SERVICE


class InternalError(CytobatchError):
    """A defect of cytobatch itself."""


def gravity(error: CytobatchError) -> tuple[bool, bool, int]:
    """Return the key by which the gravest error of a run of several plates is found. Its exit code is the run's.

    A defect of cytobatch comes first, and then what a retry may heal: the other plates would not be tried again.
    """
    return error.exit_code is ExitCode.INTERNAL, error.exit_code is ExitCode.STORAGE, error.exit_code


class FastPathUnavailable(Exception):
    """A fast way of reading does not apply to a file, for the reason given. A slower way reads it and finds the cause.

    Control flow between readers: it never reaches a user, and the file may be valid or not.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
