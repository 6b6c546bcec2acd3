"""The checksums of a file's content, by pieces and by blocks."""

import hashlib
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cytobatch.output import file_content
from cytobatch.output.file_content import BLOCK_BYTES, Checksums, FileContent, crc32_of_block

BLOCK = 7


@given(pieces=st.lists(st.binary(max_size=40), max_size=8))
def test_pieces_of_any_size_have_the_checksums_of_the_whole(pieces: list[bytes]) -> None:
    whole = b"".join(pieces)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(file_content, "BLOCK_BYTES", BLOCK)
        checksums = Checksums()
        for piece in pieces:
            checksums.update(memoryview(piece))
        found = checksums.content()
        assert found == FileContent.of(whole)
    blocks = [whole[start : start + BLOCK] for start in range(0, len(whole), BLOCK)]
    assert found == FileContent(len(whole), hashlib.sha256(whole).hexdigest(), tuple(map(zlib.crc32, blocks)))


def test_a_file_is_read_by_its_blocks(tmp_path: Path) -> None:
    content = bytes(range(256)) * (2 * BLOCK_BYTES // 256) + b"the rest"
    path = tmp_path / "file"
    path.write_bytes(content)
    found = FileContent.read(path)
    assert found == FileContent.of(content)
    assert [crc32_of_block(path, number) for number in range(3)] == list(found.crc32s)
    assert found.crc32s[2] == zlib.crc32(b"the rest")
    assert crc32_of_block(path, 3) == zlib.crc32(b"")


def test_an_empty_file_has_no_blocks(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    assert FileContent.read(path) == FileContent(0, hashlib.sha256().hexdigest(), ())
