"""Platemaps and LoadData files in every encoding that programs write."""

import gzip
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cytobatch.errors import AnnotationError, ExitCode
from cytobatch.storage.access import Access
from cytobatch.storage.annotation_files import read_table_text, table_text
from tests.support.plates import convert, site_tables, write_site

TEXT = "well_position\tdrug µ\nA01\tx\n"


@pytest.mark.parametrize(
    "content",
    [
        TEXT.encode(),
        TEXT.encode("utf-8-sig"),
        TEXT.encode("utf-16"),
        b"\xfe\xff" + TEXT.encode("utf-16-be"),
        gzip.compress(TEXT.encode(), mtime=0),
        gzip.compress(TEXT.encode("utf-16"), mtime=0),
    ],
)
def test_encodings_give_the_same_text(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "map.txt").write_bytes(content)
    assert read_table_text(str(tmp_path / "map.txt"), Access()) == TEXT


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (TEXT.encode("latin-1"), "not UTF-8 text"),
        (TEXT.encode("utf-16-le"), "not UTF-8 text"),
        (gzip.compress(TEXT.encode(), mtime=0)[:-9], "damaged gzip file"),
        (b"PK\x03\x04...", "not a text table"),
        (b"PAR1...", "damaged Parquet file"),
    ],
)
def test_other_content_is_invalid_input_and_not_a_failure_of_the_store(content: bytes, what: str) -> None:
    with pytest.raises(AnnotationError, match=what) as caught:
        table_text(content, "map.txt")
    assert caught.value.where == "map.txt"
    assert caught.value.exit_code == ExitCode.INPUT_DATA


@pytest.mark.parametrize("name", ["map.csv.gz", "map.parquet"])
def test_compressed_files_and_parquet_are_joined(tmp_path: Path, name: str) -> None:
    if name.endswith(".gz"):
        (tmp_path / name).write_bytes(gzip.compress(b"well_position,drug\nA01,x\n"))
    else:
        pq.write_table(pa.table({"well_position": ["A01"], "drug": ["x"], "dose": [None]}), tmp_path / name)
    source = write_site(tmp_path / "in", site_tables(2))
    table, report = convert(source, tmp_path, platemap=str(tmp_path / name))
    assert table["Metadata_drug"].to_pylist() == ["x", "x"]
    assert [file.path for file in report.annotations] == [str(tmp_path / name)]
    again, _ = convert(source, tmp_path, platemap=str(tmp_path / name), skip_done=True)
    assert again.equals(table)
