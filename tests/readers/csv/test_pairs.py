import csv
import gzip
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cytobatch.errors import InvalidTableError
from cytobatch.readers.csv.pairs import read_pairs, simple_rows

PIPELINE = 'CellProfiler Pipeline: x\nVersion:5\n\nImages:[notes:["a, b"]]\r\n    Filter?:No\n'
ROWS = [("CellProfiler_Version", "4.2.4"), ("Pipeline_Pipeline", PIPELINE), ("Empty", "")]


def written(rows: list[tuple[str, ...]], delimiter: str = ",") -> str:
    stream = io.StringIO()
    csv.writer(stream, delimiter=delimiter).writerows(rows)
    return stream.getvalue()


@pytest.mark.parametrize("header", [[("Key", "Value")], []], ids=["header", "no header"])
@pytest.mark.parametrize("delimiter", [",", "\t", ";"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gzip"])
def test_keys_and_values(header: list[tuple[str, str]], delimiter: str, encoding: str, tmp_path: Path) -> None:
    text = written([*header, *ROWS], delimiter)
    content = gzip.compress(text.encode()) if encoding == "gzip" else text.encode(encoding)
    path = tmp_path / "Experiment.csv"
    path.write_bytes(content)
    assert read_pairs(path) == ROWS


TEXTS = st.text(st.sampled_from("ab,;\"\r\n \t'é"), max_size=8)


@given(st.lists(st.tuples(TEXTS, TEXTS), max_size=5), st.sampled_from(",;\t|"))
def test_rows_in_the_usual_form_are_those_of_pythons_parser(rows: list[tuple[str, str]], delimiter: str) -> None:
    text = written([("key", "value"), *rows], delimiter)
    found = simple_rows(text, delimiter)
    assert found is None or found == [["key", "value"], *map(list, rows)]


@given(st.text(st.sampled_from('ab,"\r\n'), max_size=12))
def test_a_text_of_any_form_is_read_as_by_pythons_parser(text: str) -> None:
    found = simple_rows(text, ",")
    assert found is None or found == list(csv.reader(io.StringIO(text, newline=""), strict=True))


def test_the_usual_form_is_the_one_that_cellprofiler_writes() -> None:
    assert simple_rows(written([("Key", "Value"), *ROWS]), ",") is not None


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "without rows"),
        (b"Key,Value\n", "without rows"),
        (b"Key,Value\na,b,c\n", "row 2 has 3 value"),
        (b"Well\nA01\n", "row 1 has 1 value"),
        (b'Key,Value\nPipeline_Pipeline,"cut sho', "unexpected end of data"),
        (gzip.compress(b"Key,Value\na,b\n", mtime=0)[:-12], "cannot be read"),
    ],
)
def test_other_files_are_invalid(content: bytes, why: str, tmp_path: Path) -> None:
    path = tmp_path / "Experiment.csv"
    path.write_bytes(content)
    with pytest.raises(InvalidTableError) as caught:
        read_pairs(path)
    assert why in caught.value.reason


def test_a_long_pipeline_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "Experiment.csv"
    path.write_text(written([("a", 'x"' * 200_000), ('key "in" quotes', "z" * 300_000)]))
    limit = csv.field_size_limit()
    assert [len(value) for _, value in read_pairs(path)] == [400_000, 300_000]
    assert csv.field_size_limit() == limit
