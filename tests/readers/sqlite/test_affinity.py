import pyarrow as pa
import pytest

from cytobatch.errors import InvalidTableError
from cytobatch.readers.numbers import Repair
from cytobatch.readers.sqlite.affinity import NUMBERS_IN_TEXT, ValueCoercer


@pytest.mark.parametrize(
    ("value", "number", "became"),
    [
        (1.5, 1.5, None),
        (7, 7, None),
        ("nan", None, "null"),
        ("word", None, "null"),
        (b"\xff", None, "null"),
        ("inf", float("inf"), "inf"),
        ("0,5", 0.5, "0.5"),
    ],
)
def test_values_in_a_column_of_measurements(value: object, number: float | None, became: str | None) -> None:
    coercer = ValueCoercer("a.sqlite")
    assert coercer.number(value, "x", integer=False, count=3) == number
    assert coercer.repairs == ([] if became is None else [Repair("x", str(value), became, 3)])


@pytest.mark.parametrize("value", ["0.25", b"0.25"])
def test_plain_numbers_in_text_are_counted_once_for_each_column(value: str | bytes) -> None:
    coercer = ValueCoercer("a.sqlite")
    assert [coercer.number(value, "x", integer=False, count=n) for n in (1, 2)] == [0.25, 0.25]
    assert coercer.number("7", "x", integer=False) == 7
    assert coercer.repairs == [Repair("x", NUMBERS_IN_TEXT, "numbers", 4)]


def test_text_fails_a_column_of_numbers_only() -> None:
    coercer = ValueCoercer("a.sqlite", {"x"})
    assert coercer.number("nan", "x", integer=False) is None
    assert coercer.number("word", "y", integer=False) is None
    with pytest.raises(InvalidTableError) as caught:
        coercer.number("word", "x", integer=False)
    assert (caught.value.where, "'word'" in caught.value.why) == ("a.sqlite", True)


def test_an_integer_stays_itself_however_large() -> None:
    # As a float it would be 2**63, which no column of integers holds.
    assert ValueCoercer("a.sqlite").number(2**63 - 1, "n", integer=True) == 2**63 - 1


@pytest.mark.parametrize("value", [2.5, "2.5", "9223372036854775808"])
def test_a_number_that_is_not_an_integer_is_refused_in_a_key(value: object) -> None:
    with pytest.raises(InvalidTableError) as caught:
        ValueCoercer("a.sqlite").number(value, "n", integer=True)
    assert (caught.value.where, repr(value) in caught.value.why) == ("a.sqlite", True)


def test_bytes_that_are_not_utf8_are_replaced_in_text() -> None:
    coercer = ValueCoercer("a.sqlite")
    assert [coercer.text(value, "s") for value in (b"a\xff", "b", 5, 0.5)] == ["a\ufffd", "b", "5", "0.5"]
    assert coercer.repairs == [Repair("s", "bytes that are not UTF-8", "a\ufffd", 1)]


def test_repairs_of_other_coercers_are_added_up() -> None:
    coercer = ValueCoercer("a.sqlite")
    for count in (2, 3):
        other = ValueCoercer("a.sqlite")
        other.number("nan", "x", integer=False, count=count)
        coercer.add(other.repairs)
    assert coercer.repairs == [Repair("x", "nan", "null", 5)]


def test_a_column_of_values_of_all_kinds() -> None:
    values = [1, 2.0, "3", None, "nan"]
    assert ValueCoercer("a").array(values, pa.field("n", pa.int64())).to_pylist() == [1, 2, 3, None, None]
    assert ValueCoercer("a").array(values, pa.field("x", pa.float64())).to_pylist() == [1.0, 2.0, 3.0, None, None]
    assert ValueCoercer("a").array(values, pa.field("s", pa.string())).to_pylist() == ["1", "2.0", "3", None, "nan"]
