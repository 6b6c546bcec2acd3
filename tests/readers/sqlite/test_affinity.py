import pyarrow as pa
import pytest

from cytobatch.errors import InvalidTableError
from cytobatch.readers.numbers import Repair
from cytobatch.readers.sqlite.affinity import ValueCoercer


@pytest.mark.parametrize(
    ("value", "meant", "told"),
    [
        (1.5, 1.5, None),
        (7, 7, None),
        ("0.25", 0.25, None),
        ("nan", None, "null"),
        ("word", None, "null"),
        (b"\xff", None, "null"),
        ("inf", float("inf"), "inf"),
        ("0,5", 0.5, "0.5"),
    ],
)
def test_what_stands_in_a_column_of_measurements(value: object, meant: float | None, told: str | None) -> None:
    meanings = ValueCoercer("a.sqlite")
    assert meanings.number(value, "x", integer=False, count=3) == meant
    assert meanings.repairs == ([] if told is None else [Repair("x", str(value), told, 3)])


def test_an_integer_is_itself_however_large() -> None:
    # As a float it would be 2**63, which no column of integers holds.
    assert ValueCoercer("a.sqlite").number(2**63 - 1, "n", integer=True) == 2**63 - 1


@pytest.mark.parametrize("value", [2.5, "2.5", "9223372036854775808"])
def test_what_is_no_integer_is_refused_in_a_key(value: object) -> None:
    with pytest.raises(InvalidTableError) as caught:
        ValueCoercer("a.sqlite").number(value, "n", integer=True)
    assert (caught.value.where, repr(value) in caught.value.why) == ("a.sqlite", True)


def test_bytes_that_are_no_text_are_kept_as_far_as_they_can_be() -> None:
    meanings = ValueCoercer("a.sqlite")
    assert [meanings.text(value, "s") for value in (b"a\xff", "b", 5, 0.5)] == ["a\ufffd", "b", "5", "0.5"]
    assert meanings.repairs == [Repair("s", "bytes that are not UTF-8", "a\ufffd", 1)]


def test_what_was_met_elsewhere_is_added_up() -> None:
    meanings = ValueCoercer("a.sqlite")
    for count in (2, 3):
        other = ValueCoercer("a.sqlite")
        other.number("nan", "x", integer=False, count=count)
        meanings.add(other.repairs)
    assert meanings.repairs == [Repair("x", "nan", "null", 5)]


def test_a_column_of_values_of_all_kinds() -> None:
    values = [1, 2.0, "3", None, "nan"]
    assert ValueCoercer("a").array(values, pa.field("n", pa.int64())).to_pylist() == [1, 2, 3, None, None]
    assert ValueCoercer("a").array(values, pa.field("x", pa.float64())).to_pylist() == [1.0, 2.0, 3.0, None, None]
    assert ValueCoercer("a").array(values, pa.field("s", pa.string())).to_pylist() == ["1", "2.0", "3", None, "nan"]
