import math

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cytobatch.errors import InvalidTableError
from cytobatch.readers.numbers import (
    Repair,
    convert_to_inferred_type,
    flags_from_text,
    parse_number,
    read_numbers,
    text_values,
)


@pytest.mark.parametrize("text", ["nan", "NaN", "-nan", "nan(ind)", "-nan(ind)", "1.#QNAN", "-1.#IND00"])
def test_spellings_of_nan(text: str) -> None:
    value = parse_number(text)
    assert value is not None
    assert math.isnan(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        (" 1.5 ", 1.5),
        ("1e-3", 0.001),
        ("inf", math.inf),
        ("-Infinity", -math.inf),
        ("1.#INF", math.inf),
        ("", None),
        ("NA", None),
        ("null", None),
        ("None", None),
        ("0,5", 0.5),
        ("-12,25", -12.25),
        ("1,5e-3", 0.0015),
        (",5", 0.5),
    ],
)
def test_numbers_and_missing_values(text: str, value: float | None) -> None:
    assert parse_number(text) == value


@pytest.mark.parametrize("text", ["A01", "1_000", "1,500", "1,5,0", "0x10", "one"])
def test_other_text_is_not_a_number(text: str) -> None:
    with pytest.raises(ValueError, match=r"1_000|could not convert"):
        parse_number(text)


@given(st.lists(st.one_of(st.none(), st.floats())))
def test_floats_survive_as_text(values: list[float | None]) -> None:
    text = pa.chunked_array([[None if value is None else repr(value) for value in values]], pa.string())
    numbers, _ = read_numbers("x", text, pa.float64(), "Cells.csv")
    assert [str(value) for value in numbers.to_pylist()] == [str(value) for value in values]


def test_integers_written_as_floats_are_integers_and_large_ones_are_exact() -> None:
    text = pa.chunked_array([["1.0", "7", "9007199254740993", "", "nan"]])
    numbers, repairs = read_numbers("x", text, pa.int64(), "Cells.csv")
    assert numbers.to_pylist() == [1, 7, 9007199254740993, None, None]
    assert repairs == [Repair("x", "nan", "null", 1)]


@pytest.mark.parametrize(("text", "kind"), [("1e400", pa.int64()), ("A01", pa.float64()), ("1.5", pa.int64())])
def test_a_value_that_does_not_fit_its_column_is_named(text: str, kind: pa.DataType) -> None:
    with pytest.raises(InvalidTableError) as caught:
        read_numbers("Area", pa.chunked_array([["1", text]]), kind, "Cells.csv")
    assert "'Area'" in caught.value.what
    assert repr(text) in caught.value.why


@pytest.mark.parametrize(
    ("values", "kind"),
    [(["1", "2", ""], pa.int64()), (["1", "2.5"], pa.float64()), (["1", "A01"], pa.string()), (["", " "], pa.null())],
)
def test_a_text_column_gets_the_type_that_all_its_values_have(values: list[str], kind: pa.DataType) -> None:
    assert convert_to_inferred_type(pa.chunked_array([values])).type == kind


def test_text_in_a_row_is_found_by_column() -> None:
    assert text_values({"a": "1.5", "b": "A01", "c": "nan"}) == {"b": "A01"}


def test_text_becomes_null_in_a_column_that_the_job_declares_numeric() -> None:
    text = pa.chunked_array([["1", "low", "low", "0,5"]])
    numbers, repairs = read_numbers("x", text, pa.float64(), "Cells.csv", otherwise_null=True)
    assert numbers.to_pylist() == [1.0, None, None, 0.5]
    assert repairs == [Repair("x", "low", "null", 2), Repair("x", "0,5", "0.5", 1)]


def test_yes_and_no_are_flags_and_other_words_are_refused() -> None:
    assert flags_from_text("x", pa.chunked_array([["Yes", "no", None]]), "a.csv").to_pylist() == [True, False, None]
    with pytest.raises(InvalidTableError, match="'perhaps'"):
        flags_from_text("x", pa.chunked_array([["perhaps"]]), "a.csv")
