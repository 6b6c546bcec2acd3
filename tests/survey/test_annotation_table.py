"""Tables of annotations by key: separators, spellings of keys, and errors that name the file."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cytobatch.config.wells import normalise_well
from cytobatch.errors import AnnotationError
from cytobatch.survey.annotation_table import Key, annotation_table, rows_by_key

WORDS = st.text(st.sampled_from("abcXYZ 0123._-"), max_size=5).map(str.strip)


def normalise(key: Key) -> Key:
    return (normalise_well(key[0] or ""),)


@pytest.mark.parametrize("separator", ["\t", ","])
def test_a_header_decides_the_separator_and_blank_lines_are_no_rows(separator: str) -> None:
    text = "\n".join(separator.join(row) for row in (("well", " drug ", "dose"), ("a1", "x", "1"))) + "\n\n"
    table = annotation_table(text, "map.txt", ("well",), normalise)
    assert table.columns == ("drug", "dose")
    assert table.by_key == {("A01",): {"well": "a1", "drug": "x", "dose": "1"}}


def test_rows_of_one_key_may_be_repeated_if_they_are_alike() -> None:
    assert annotation_table("well,drug\nA01,x\nA01,x\n", "map.txt", ("well",)).by_key == {
        ("A01",): {"well": "A01", "drug": "x"}
    }


@pytest.mark.parametrize(
    ("text", "what", "why"),
    [
        ("", "unreadable table", "not enough values"),
        ('well,drug\nA01,"x\n', "unreadable table", "unexpected end of data"),
        ("hole,drug\nA01,x\n", "not the table it should be", "it has no column well among its 2"),
        ("well,drug,drug\nA01,x,y\n", "not the table it should be", "two columns have one name"),
        ("well,drug\nA01\n", "ragged table", "row 2 has not as many values as there are columns"),
        ("well,drug\nA01,x\na1,y\n", "repeated key", "A01 has two rows that differ"),
    ],
)
def test_a_text_that_is_not_such_a_table_is_an_error_that_names_the_file(text: str, what: str, why: str) -> None:
    with pytest.raises(AnnotationError) as caught:
        annotation_table(text, "map.txt", ("well",), normalise)
    assert (caught.value.what, caught.value.where) == (what, "map.txt")
    assert why in caught.value.why
    assert caught.value.remedy


def test_a_missing_column_that_is_no_key_is_an_error_too() -> None:
    with pytest.raises(AnnotationError) as caught:
        rows_by_key("plate\nP1\n", "list.csv", ("plate",), ("map",))
    assert caught.value.why == "it has no column map among its 1"
    assert caught.value.remedy == "it needs the columns plate, map"


@given(st.dictionaries(WORDS, WORDS, min_size=1, max_size=5))
def test_every_row_is_found_by_its_key(rows: dict[str, str]) -> None:
    text = "key\tvalue\n" + "".join(f"{key}\t{value}\n" for key, value in rows.items())
    table = annotation_table(text, "map.txt", ("key",))
    assert {key: row["value"] for (key,), row in table.by_key.items()} == rows
