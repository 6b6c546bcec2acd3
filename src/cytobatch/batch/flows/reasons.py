"""Why Prefect has no record of a run, in one line for a person."""

from httpx import HTTPStatusError, TimeoutException, TransportError

from cytobatch.batch.flows.bookkeeping import in_words

_BUSY = 503
_HINT = "a server on SQLite has one writer: for many runs at once use PostgreSQL, and a longer prefect_wait"


def reason_of_silence(url: str, seconds: float) -> str:
    """Return why a record is incomplete whose server took longer than the run waits."""
    return f"{url} did not answer within {seconds:.1f} s at the end of the run; {_HINT}"


def reason_of(error: BaseException | None, url: str) -> str:
    """Return why a record is incomplete, from the error that ended it, or None if Prefect ended it without one."""
    if error is None:
        return f"{url} ended the flow run itself"
    if isinstance(error, HTTPStatusError):
        status = f"{error.response.status_code} {error.response.reason_phrase}".strip()
        hint = f"; {_HINT}" if error.response.status_code == _BUSY else ""
        return f"{url} answered {status}{hint}"
    if isinstance(error, TimeoutException):
        return f"{url} does not answer"
    if isinstance(error, TransportError):
        return f"{url} cannot be reached ({in_words(error)})"
    return f"Prefect failed ({in_words(error)})"
