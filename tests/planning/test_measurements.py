"""The category and the channels in CellProfiler's measurement names."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cytobatch.planning.measurements import Channels, category
from tests.support.examples import examples

OBJECTS = [
    "Intensity_MeanIntensity_DNA",
    "Granularity_1_ER",
    "Location_MaxIntensity_X_Mito",
    "Intensity_MassDisplacement_RNA",
]
IMAGES = ["FileName_OrigDNA", "PathName_OrigER", "URL_OrigMito", "FileName_IllumDNA", "FileName_OrigBrightfield"]
PLATE = Channels.of(OBJECTS, IMAGES)


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ("AreaShape_Zernike_0_0", "AreaShape"),
        ("Intensity_MeanIntensity_DNA", "Intensity"),
        ("Parent_Nuclei", "Parent"),
        ("Children_Cells_Count", "Children"),
        ("Number_Object_Number", "Number"),
        ("ObjectNumber", "Number"),
        ("Count_Cells", "Count"),
        ("ImageQuality_PowerLogLogSlope_DNA", "ImageQuality"),
        ("Mean_Speckles_AreaShape_Area", "AreaShape"),
        ("StDev_Speckles_Intensity_MeanIntensity_DNA", "Intensity"),
        ("Mean_Speckles_Own_Feature", "Mean"),
        ("Own_Feature", "Own"),
        ("ImageNumber", None),
        ("Area", None),
        ("Metadata_Well", None),
    ],
)
def test_the_category_is_the_first_word(column: str, expected: str | None) -> None:
    assert category(column) == expected


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ("Intensity_MeanIntensity_DNA", ("DNA",)),
        ("Intensity_TotalIntensity_DNA_Cells", ("DNA",)),
        ("Intensity_MeanIntensity_Unknown_Dye", ("Unknown_Dye",)),
        ("Location_CenterMassIntensity_X_DNA", ("DNA",)),
        ("Location_Center_X", ()),
        ("Texture_AngularSecondMoment_DNA_3_00_256", ("DNA",)),
        ("Texture_DifferenceVariance_ER_3", ("ER",)),
        ("Texture_Contrast_Unknown_Dye_10_0", ("Unknown_Dye",)),
        ("Granularity_12_Mito", ("Mito",)),
        ("RadialDistribution_FracAtD_RNA_1of4", ("RNA",)),
        ("RadialDistribution_MeanFrac_RNA_Overflow", ("RNA",)),
        ("RadialDistribution_ZernikeMagnitude_DNA_9_1", ("DNA",)),
        ("Correlation_Correlation_DNA_ER", ("DNA", "ER")),
        ("Correlation_RWC_ER_DNA", ("ER", "DNA")),
        ("Correlation_Correlation_DNA_ER_Cells", ("DNA", "ER")),
        ("Correlation_K_DNA_Unknown", ("DNA", "Unknown")),
        ("Correlation_K_One_Two", ("One", "Two")),
        ("Correlation_K_One_Two_Three", ()),
        ("ImageQuality_FocusScore_OrigDNA", ("DNA",)),
        ("ImageQuality_Correlation_OrigDNA_20", ("DNA",)),
        ("ImageQuality_ThresholdOtsu_DNA_2W", ("DNA",)),
        ("FileName_OrigDNA", ("DNA",)),
        ("FileName_IllumDNA", ("IllumDNA",)),
        ("URL_OrigBrightfield", ("OrigBrightfield",)),
        ("Mean_Speckles_Intensity_MeanIntensity_DNA", ("DNA",)),
        ("Mean_Speckles_Correlation_K_DNA_ER", ("DNA", "ER")),
        ("Costes_Own_DNA_Plus", ("DNA",)),
        ("Math_DNA_over_ER", ()),
        ("AreaShape_Area", ()),
        ("Neighbors_NumberOfNeighbors_Adjacent", ()),
        ("Parent_DNA", ()),
        ("Children_DNA_Count", ()),
        ("Number_Object_Number", ()),
        ("Area", ()),
    ],
)
def test_channels_are_where_each_module_names_them(column: str, expected: tuple[str, ...]) -> None:
    assert PLATE.in_name(column) == expected


def test_names_with_underscores_are_found_by_the_other_features() -> None:
    plate = Channels.of(["Intensity_MeanIntensity_Mito", "Intensity_MeanIntensity_Mito_488", "Granularity_1_DNA"], [])
    assert plate.in_name("Texture_Contrast_Mito_488_3_00_256") == ("Mito_488",)
    assert plate.in_name("Texture_Contrast_Mito_3_00_256") == ("Mito",)
    assert plate.in_name("Correlation_K_Mito_488_DNA") == ("Mito_488", "DNA")
    assert plate.in_name("Correlation_K_DNA_Mito_488") == ("DNA", "Mito_488")


def test_a_pair_that_can_be_cut_in_two_ways_has_no_channels() -> None:
    plate = Channels.of([f"Intensity_MeanIntensity_{name}" for name in ("A", "A_B", "B_C", "C")], [])
    assert plate.in_name("Correlation_K_A_B_C") == ()


def test_an_original_of_two_measured_images_keeps_its_name() -> None:
    plate = Channels.of([f"Intensity_MeanIntensity_{name}" for name in ("DNA", "CorrDNA")], ["FileName_OrigDNA"])
    assert plate.in_name("FileName_OrigDNA") == ("OrigDNA",)
    assert plate.in_name("Intensity_MeanIntensity_CorrDNA") == ("CorrDNA",)
    assert Channels.of(["Granularity_1_CorrDNA"], []).in_name("FileName_OrigDNA") == ("CorrDNA",)
    assert Channels.of(["Granularity_1_inalDNA"], []).in_name("FileName_OriginalDNA") == ("OriginalDNA",)


WORDS = st.from_regex(r"[A-Z][a-z0-9]{0,3}(_[0-9]{3})?", fullmatch=True)
FORMS = (
    "Intensity_MeanIntensity_{}",
    "Location_MaxIntensity_Y_{}",
    "Granularity_3_{}",
    "Texture_Contrast_{}_3_00_256",
    "Texture_Contrast_{}_10_0",
    "RadialDistribution_FracAtD_{}_1of4",
    "RadialDistribution_ZernikePhase_{}_4_2",
    "ImageQuality_Correlation_{}_20",
    "FileName_{}",
)


@settings(max_examples=examples(60))
@given(st.lists(WORDS, min_size=1, max_size=5, unique=True))
def test_any_measured_image_is_found_in_every_feature(images: list[str]) -> None:
    plate = Channels.of([f"Intensity_MeanIntensity_{image}" for image in images], [])
    for image in images:
        # The longest known image wins, and another may have the number of a scale at its end.
        for form in FORMS:
            assert plate.in_name(form.format(image)) == (image,)


@given(st.text(max_size=30), st.lists(st.text(max_size=30), max_size=5))
def test_any_name_has_at_most_two_channels(name: str, others: list[str]) -> None:
    assert len(Channels.of([*others, name], others).in_name(name)) <= 2
