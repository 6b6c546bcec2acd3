import pytest

from cytobatch.formats.incarta import columns as incarta
from cytobatch.formats.measurement_names import MeasurementParts


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


@pytest.mark.parametrize(
    ("name", "compartment", "group", "channels"),
    [
        ("Primary Target Area wv1", "Cells", "AreaShape", ("wv1",)),
        ("Cells Max left border wv3", "Cells", "AreaShape", ("wv3",)),
        ("Nuclei Form Factor wv1", "Nuclei", "AreaShape", ("wv1",)),
        ("Cytoplasm Intensity CV wv2", "Cytoplasm", "Intensity", ("wv2",)),
        ("F Actin Intensity/Global Bckg wv2", "Cells", "Intensity", ("wv2",)),
        ("F Actin Intensity Spreading wv2", "Cells", "Intensity", ("wv2",)),
        ("Primary Target Light Flux wv1", "Cells", "Intensity", ("wv1",)),
        ("Primary Target Grey Level Non uniformity wv2", "Cells", "Texture", ("wv2",)),
        ("Primary Target Pearson correlation wv3", "Cells", "Correlation", ("wv3",)),
        ("Primary Target Neighbor Count (SOI) wv1", "Cells", "Neighbors", ("wv1",)),
        ("Primary Target cg X wv1", "Cells", "Location", ("wv1",)),
        ("Mitochondria Distance to Nuc wv3", "Cells", "Location", ("wv3",)),
        ("Mitochondria Org per Cell wv3", "Cells", "Children", ("wv3",)),
        ("Own Measure wv12", "Cells", None, ("wv12",)),
    ],
)
def test_measurements_have_a_compartment_a_group_and_a_wavelength(
    name: str, compartment: str, group: str | None, channels: tuple[str, ...]
) -> None:
    names = incarta.measurement_names(["WELL LABEL", name])
    assert dict(names.parts) == {name: MeasurementParts(compartment, group, channels)}


def test_the_centre_is_that_of_the_first_target_with_both_axes() -> None:
    assert incarta.measurement_names(["Cells Area wv1"]).centers is None
    columns = ["A cg X wv1", "B cg Y wv2", "B cg X wv2", "A b cg Y wv1"]
    assert incarta.measurement_names(columns).centers == ("B cg X wv2", "B cg Y wv2")
