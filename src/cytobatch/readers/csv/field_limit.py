"""The longest field that Python's `csv` module parses: raised for one parse, and then restored.

The limit, 128 KiB by default, belongs to the whole process, hence also to a program that uses this package.
Image tables with a pipeline in one of their fields exceed it.
"""

import csv
import threading
from collections.abc import Iterator
from contextlib import contextmanager

LONGEST_FIELD = 16 * 2**20
"""Characters of the longest field that is read; no line of a header is read beyond as many bytes."""

_lock = threading.Lock()


@contextmanager
def field_limit_for(text: str) -> Iterator[None]:
    """Let Python's `csv` module parse fields as long as `text`, up to LONGEST_FIELD, within the block.

    A field is never longer than its text, so the limit of the process changes only for texts beyond it.

    One thread at a time is in the block. Otherwise one thread could restore the limit while another still parses, or
    take the raised limit for the one to restore. Code outside of this package does not take the lock: it can meet the
    raised limit for the duration of one parse, and a limit that it sets meanwhile stays.
    """
    with _lock:
        limit = csv.field_size_limit()
        if len(text) <= limit or limit >= LONGEST_FIELD:
            yield
            return
        csv.field_size_limit(LONGEST_FIELD)
        try:
            yield
        finally:
            if csv.field_size_limit() == LONGEST_FIELD:
                csv.field_size_limit(limit)
