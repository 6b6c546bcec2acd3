"""The compartment of measurements in files of whole rows."""

import pytest

from cytobatch.formats.measurement_names import MeasurementNames, MeasurementParts


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Cells Area wv1", "Cells"),
        ("Nuclei\u00a0Area", "Nuclei"),
        ("Cytoplasm_Area", "Cytoplasm"),
        ("Nuclei", "Nuclei"),
        ("Nucleisize", "Cells"),
        ("nuclei Area", "Cells"),
        ("Mitochondria Area", "Cells"),
        ("", "Cells"),
    ],
)
def test_a_measurement_is_of_the_compartment_that_it_begins_with(name: str, expected: str) -> None:
    assert MeasurementNames().parts_of(name) == MeasurementParts(expected)


def test_a_formats_own_parts_win() -> None:
    own = MeasurementParts("Spots", "Texture", ("wv1",))
    assert MeasurementNames({"Nuclei Area": own}).parts_of("Nuclei Area") == own
