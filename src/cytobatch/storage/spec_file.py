"""The text of a job spec in a file or an object, which may be a stranger's: its size is bounded before it is read."""

from cytobatch.errors import JobSpecError
from cytobatch.storage.access import Access, read_text
from cytobatch.storage.s3_read import FileTooLargeError

MOST_BYTES = 2**27
"""A spec of 100,000 plates with an option or two for each has a tenth of it."""


def read_spec(uri: str, access: Access) -> str:
    """Return the text of a job spec. Raises JobSpecError if it is too large, and StorageError."""
    try:
        return read_text(uri, access, MOST_BYTES)
    except FileTooLargeError as error:
        raise JobSpecError(
            "job spec is too large",
            where=uri,
            why=f"it has more than {MOST_BYTES // 2**20} MiB",
            remedy="check that it is a job spec; split it into several specs if it is",
        ) from error
