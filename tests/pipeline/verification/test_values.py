"""A published value and the text or number that the source has for it."""

import math
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cytobatch.pipeline.verification.location import is_same_place
from cytobatch.pipeline.verification.values import Notation, Published, Raw, Repairs, is_same


@pytest.mark.parametrize(
    ("published", "raw", "type_"),
    [
        (1.5, "1.5", "double"),
        (1.5, " 1.50 ", "double"),
        (3.0, "3", "double"),
        (3, "3.0", "int64"),
        (2**53 + 1, str(2**53 + 1), "int64"),
        (None, "", "double"),
        (None, None, "double"),
        (math.nan, "nan", "double"),
        (math.nan, "-nan(ind)", "double"),
        (math.nan, "1.#QNAN", "double"),
        (-math.inf, "-inf", "double"),
        (math.inf, "1.#INF", "double"),
        (0.10000000149011612, "0.1", "float"),
        ("a b", "a b", "string"),
        (None, "", "string"),
        ("12", 12, "string"),
        (b"\x89PNG", b"\x89PNG", "binary"),
        ("ü", "ü".encode(), "string"),
        (datetime(2016, 6, 16, 7, 14), "2016-06-16T07:14:00-04:00", "timestamp[us]"),
    ],
)
def test_equal(published: Published, raw: Raw, type_: str) -> None:
    assert is_same(published, raw, type_)


@pytest.mark.parametrize(
    ("published", "raw", "type_"),
    [
        (1.5, "1.5000000000000002", "double"),
        (-1.5, "1.5", "double"),
        (2**53, str(2**53 + 1), "int64"),
        (None, "1.5", "double"),
        (math.nan, "1.5", "double"),
        (0.0, "", "double"),
        (1.5, "text", "double"),
        ("a", "b", "string"),
        (None, "b", "string"),
        ("a", None, "string"),
        (b"\x89PNG", b"\x88PNG", "binary"),
        (datetime(2016, 6, 16, 7, 15), "2016-06-16T07:14:00", "timestamp[us]"),
    ],
)
def test_different(published: Published, raw: Raw, type_: str) -> None:
    assert not is_same(published, raw, type_)


@given(st.floats(allow_nan=False), st.floats(allow_nan=False))
def test_doubles_are_equal_if_their_texts_are_those_of_one_number(one: float, other: float) -> None:
    assert is_same(one, repr(one), "double")
    assert is_same(one, repr(other), "double") == (one == other)


def test_a_decimal_comma() -> None:
    assert is_same(1.5, "1,5", "double", Notation(decimal=","))
    assert not is_same(1.5, "1,5", "double")


def test_a_repaired_text_is_what_the_report_has() -> None:
    repairs = Repairs({("cells", "Area", "#DIV/0!"): "nan"})
    assert repairs.repaired("cells", "Area", "#DIV/0!") == "nan"
    assert repairs.repaired("nuclei", "Area", "#DIV/0!") == "#DIV/0!"


@pytest.mark.parametrize(
    ("column", "published", "text", "same"),
    [
        ("Metadata_Well", "B03", "b3", True),
        ("Metadata_Well", "B03", "B - 3", True),
        ("Metadata_Well", "B03", "r02c03f01", True),
        ("Metadata_Well", "AA03", "r27c03", True),
        ("Metadata_Well", "B03", "B04", False),
        ("Metadata_Well", None, "B04", False),
        ("Metadata_Site", 1, "F001", True),
        ("Metadata_Site", 1, "1.0", True),
        ("Metadata_Site", 1, "2", False),
        ("Metadata_Plate", "24512", "24512.0", True),
        ("Metadata_Plate", "P1", "P2", False),
    ],
)
def test_places_in_other_spellings(column: str, published: Published, text: str, same: bool) -> None:
    assert is_same_place(column, published, text) == same


@pytest.mark.parametrize("raw", ["../x", " ../x ", b"../x"])
def test_a_text_that_the_report_names_counts_as_what_it_became(raw: Raw) -> None:
    repairs = Repairs({("cells", "Parent_Nuclei", "../x"): "null"})
    assert is_same(None, repairs.repaired("cells", "Parent_Nuclei", raw), "int64")
    assert not is_same(None, repairs.repaired("nuclei", "Parent_Nuclei", raw), "int64")


def test_a_hexadecimal_number_is_a_number() -> None:
    assert is_same(16, "0x10", "int64")
    assert not is_same(16, "0x11", "int64")
