"""What can go wrong, as one tree. Each class has the exit code that AWS Batch's retry rules read.

    CytobatchError                       exit code
    +-- ConfigurationError               2   what the user asked for cannot be; a retry cannot help
    |   +-- JobSpecError                     a job spec or an environment variable that does not hold
    |   +-- JoinSqlError                     the user's own `joins` SQL
    +-- InputDataError                   3   the source is not what it should be; a retry cannot help
    |   +-- SourceNotFoundError              nothing there to convert
    |   +-- LayoutError                      no layout fits the source, or more than one does
    |   +-- AnnotationError                  a platemap or LoadData file that cannot be joined
    |   +-- InvalidTableError                one table that cannot be read, caught per export
    |   +-- TooManyFailedExportsError        more exports failed than `max_failed_exports` allows
    +-- StorageError                     4   reading or writing an object store or disk; a retry may help
    +-- ServiceError                     5   AWS Batch or its logs refused or did not answer; of `submit` and `status`
    +-- InternalError                    70  a fault of cytobatch itself

A usage error of the command line exits with 2, as a ConfigurationError does.
"""

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of the program, by class of error."""

    OK = 0
    PLATES_FAILED = 1
    """Nothing failed of the program, but `status` or `collect` has plates to show that did."""
    CONFIGURATION = 2
    INPUT_DATA = 3
    STORAGE = 4
    SERVICE = 5
    INTERNAL = 70
    TERMINATED = 143


class CytobatchError(Exception):
    """A failure that is told in one message: what, where, why, and what to do about it."""

    exit_code = ExitCode.INTERNAL

    def __init__(self, what: str, *, where: str = "", why: str = "", remedy: str = "") -> None:
        super().__init__(what, where, why, remedy)
        self.what, self.where, self.why, self.remedy = what, where, why, remedy

    def __str__(self) -> str:
        parts = ((": ", self.where), ("\n  why: ", self.why), ("\n  do:  ", self.remedy))
        return self.what + "".join(label + text for label, text in parts if text)

    @property
    def reason(self) -> str:
        """One line that says what and why, for a ledger."""
        return f"{self.what}: {self.why}" if self.why else self.what


class ConfigurationError(CytobatchError):
    """The request itself is wrong."""

    exit_code = ExitCode.CONFIGURATION


class JobSpecError(ConfigurationError):
    """A job spec, an environment variable or a flag that does not hold."""


class JoinSqlError(ConfigurationError):
    """The user's `joins` SQL does not parse, names no table of the plate, or fails."""


class InputDataError(CytobatchError):
    """The source's content is wrong."""

    exit_code = ExitCode.INPUT_DATA


class SourceNotFoundError(InputDataError):
    """There is nothing at the source."""


class LayoutError(InputDataError):
    """No layout fits what is at the source, or more than one does."""


class AnnotationError(InputDataError):
    """A platemap or LoadData file that cannot be joined to the plate."""


class InvalidTableError(InputDataError):
    """One table of one export cannot be read whole."""


class TooManyFailedExportsError(InputDataError):
    """More exports failed than the job allows."""


class StorageError(CytobatchError):
    """An object store or a disk refused, or did not answer."""

    exit_code = ExitCode.STORAGE


class ServiceError(CytobatchError):
    """AWS Batch, or the service that keeps its logs, refused or did not answer."""

    exit_code = ExitCode.SERVICE


class InternalError(CytobatchError):
    """A fault of cytobatch itself."""


class FastPathUnavailable(Exception):
    """A fast way of reading does not apply to a file, for the reason given. A slower way reads it and finds the cause.

    Control flow between readers: it never reaches a user, and says nothing about whether the file is valid.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
