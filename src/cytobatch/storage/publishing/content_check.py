"""Whether a file that is published is the one that was written: a full disk or another program may have changed it."""

import zlib
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

from cytobatch.errors import StorageError
from cytobatch.output.file_content import BLOCK_BYTES, crc32_of_block
from cytobatch.storage.publishing.store import PendingFile


@contextmanager
def reading_threads(count: int) -> Iterator[Executor]:
    """Yield a pool of threads. After an error or a signal nothing more begins: a large file takes a minute to read."""
    pool = ThreadPoolExecutor(count, thread_name_prefix="check")
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def check_file(file: PendingFile, threads: Executor) -> None:
    """Read a file, by several threads, and raise StorageError if it is not what was written."""
    check_size(file, file.local.stat().st_size)
    expected = file.content.crc32s
    found = threads.map(partial(crc32_of_block, file.local), range(len(expected)))
    for number, (crc32, written) in enumerate(zip(found, expected, strict=True)):
        _check_block(file, number, crc32, written)


def check_part(file: PendingFile, number: int, content: bytes) -> int:
    """Return the CRC-32 of bytes of a file from a block on. Raises StorageError if they are not what was written."""
    blocks = [content[start : start + BLOCK_BYTES] for start in range(0, len(content), BLOCK_BYTES)]
    crc32s = list(map(zlib.crc32, blocks))
    for block, crc32 in enumerate(crc32s, number):
        _check_block(file, block, crc32, file.content.crc32s[block])
    return crc32s[0] if len(crc32s) == 1 else zlib.crc32(content)


def check_size(file: PendingFile, size: int) -> None:
    """Raise StorageError if a file had another size when it was written."""
    if size != file.content.size:
        raise _changed(file, f"{file.content.size:,} bytes were written, and {size:,} are there")


def _check_block(file: PendingFile, number: int, crc32: int, written: int) -> None:
    if crc32 != written:
        start, end = number * BLOCK_BYTES, min((number + 1) * BLOCK_BYTES, file.content.size)
        raise _changed(file, f"the CRC-32 of bytes {start:,} to {end:,} was {written:08x}, and is {crc32:08x}")


def _changed(file: PendingFile, why: str) -> StorageError:
    return StorageError(
        "an output has changed on the scratch disk",
        where=str(file.local),
        why=why,
        remedy="check the scratch disk, and that no other program writes there",
    )
