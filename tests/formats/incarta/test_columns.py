import pytest

from cytobatch.formats.incarta import columns as incarta


@pytest.mark.parametrize(
    ("column", "measured", "counted"),
    [
        ("Primary Target Area wv1", True, False),
        ("F Actin Intensity/Global Bckg wv12", True, False),
        ("F Actin Neighbor Count wv2", True, True),
        ("Mitochondria Org per Cell wv3", True, True),
        ("OBJECT ID", False, False),
        ("Acquisition Time Stamp", False, False),
        ("wv", False, False),
    ],
)
def test_names_show_measurements_and_counts(column: str, measured: bool, counted: bool) -> None:
    assert (incarta.is_measurement(column), incarta.is_count(column)) == (measured, counted)
