"""A file that is not what was written any more is not published, wherever it has changed."""

import time
import zlib
from collections.abc import Iterator
from concurrent.futures import Executor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cytobatch.errors import StorageError
from cytobatch.output.file_content import BLOCK_BYTES, FileContent
from cytobatch.storage.publishing import content_check
from cytobatch.storage.publishing.content_check import check_file, check_part, check_size, reading_threads
from cytobatch.storage.publishing.store import PendingFile

CONTENT = bytes(range(256)) * (2 * BLOCK_BYTES // 256) + b"the rest"
WRITTEN = FileContent.of(CONTENT)
SMALL = b"a few bytes"


@pytest.fixture
def threads() -> Iterator[Executor]:
    with reading_threads(2) as pool:
        yield pool


def pending(folder: Path, content: bytes, written: FileContent = WRITTEN) -> PendingFile:
    path = folder / "file"
    path.write_bytes(content)
    return PendingFile("/out/file", path, written)


def flipped(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


def test_what_was_written_passes(tmp_path: Path, threads: Executor) -> None:
    check_file(pending(tmp_path, CONTENT), threads)
    check_file(pending(tmp_path, b"", FileContent.of(b"")), threads)


@pytest.mark.parametrize("at", [0, BLOCK_BYTES - 1, BLOCK_BYTES, 2 * BLOCK_BYTES, len(CONTENT) - 1])
def test_a_flipped_bit_is_found(at: int, tmp_path: Path, threads: Executor) -> None:
    with pytest.raises(StorageError, match="changed on the scratch disk") as caught:
        check_file(pending(tmp_path, flipped(CONTENT, at)), threads)
    start = at // BLOCK_BYTES * BLOCK_BYTES
    assert f"the CRC-32 of bytes {start:,} to {min(start + BLOCK_BYTES, len(CONTENT)):,} was" in str(caught.value)


def test_after_an_error_nothing_more_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size, read = 200, list[int]()
    file = pending(tmp_path, b"", FileContent(0, WRITTEN.sha256, (0,) * size))

    def wrong_block(_path: Path, number: int) -> int:
        read.append(number)
        time.sleep(0.01)
        return 1

    monkeypatch.setattr(content_check, "crc32_of_block", wrong_block)
    with pytest.raises(StorageError, match="CRC-32"), reading_threads(2) as threads:
        check_file(file, threads)
    assert len(read) < size // 2


@given(at=st.integers(0, len(SMALL) - 1), bit=st.integers(0, 7))
def test_each_bit_counts(at: int, bit: int) -> None:
    file = PendingFile("/out/file", Path("file"), FileContent.of(SMALL))
    changed = SMALL[:at] + bytes([SMALL[at] ^ (1 << bit)]) + SMALL[at + 1 :]
    with pytest.raises(StorageError, match="changed on the scratch disk"):
        check_part(file, 0, changed)


@pytest.mark.parametrize("content", [b"", CONTENT[:-1], CONTENT[: 2 * BLOCK_BYTES], CONTENT + b"x"], ids=len)
def test_another_size_is_found(content: bytes, tmp_path: Path, threads: Executor) -> None:
    file = pending(tmp_path, content)
    with pytest.raises(StorageError, match=f"{len(CONTENT):,} bytes were written, and {len(content):,} are there"):
        check_file(file, threads)
    with pytest.raises(StorageError, match="changed on the scratch disk"):
        check_size(file, len(content))


def test_a_part_of_several_blocks_has_one_checksum(tmp_path: Path) -> None:
    file = pending(tmp_path, CONTENT)
    assert check_part(file, 0, CONTENT) == zlib.crc32(CONTENT)
    assert check_part(file, 1, CONTENT[BLOCK_BYTES : 2 * BLOCK_BYTES]) == WRITTEN.crc32s[1]
    with pytest.raises(StorageError, match="changed on the scratch disk"):
        check_part(file, 1, flipped(CONTENT, 2 * BLOCK_BYTES + 1)[BLOCK_BYTES:])
