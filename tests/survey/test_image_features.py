"""Which columns of an image table measure the image follows from CellProfiler's categories."""

import pyarrow as pa
import pytest

from cytobatch.survey.image_features import image_feature_columns, image_features, is_image_feature, text_features

FEATURES = [
    "Count_Cells",
    "Intensity_MeanIntensity_OrigDNA",
    "ImageQuality_PowerLogLogSlope_OrigER",
    "Granularity_1_RNA",
    "Threshold_FinalThreshold_Nuclei",
    "Texture_Variance_RNA_5_03_256",
    "Correlation_Correlation_DNA_ER",
    "AreaOccupied_AreaOccupied_Scratches",
    "Math_UpperInnerFence",
    "Classify_Bright_PctObjectsPerBin",
    "Align_Xshift_DNA",
    "Crop_AreaRetainedAfterCropping_DNA",
    "Overlap_Jaccard_DNA",
    "NewPlugin_Score",
]
OTHERS = [
    *("FileName_DNA", "PathName_DNA", "URL_DNA", "MD5Digest_DNA", "Height_DNA", "Width_DNA", "Scaling_DNA"),
    *("Series_DNA", "Frame_DNA", "Channel_DNA", "ImageSet_ImageSet", "Thumbnail_DNA", "Description_x"),
    *("ExecutionTime_01Images", "TimeElapsed_01Images", "ModuleError_01Images", "ProcessingStatus", "Group_Index"),
    *("Group_Number", "Group_Length", "ImageNumber", "TableNumber", "Metadata_Dose", "Metadata_QCFlag_x"),
    *("Mean_Cells_AreaShape_Area", "Median_Cells_AreaShape_Area", "StDev_Nuclei_Intensity_MeanIntensity_DNA"),
    *("Unnamed: 0", "index", "level_0", "Score"),
]


@pytest.mark.parametrize("prefix", ["", "Image_"])
def test_measurements_of_images_are_known_by_their_category(prefix: str) -> None:
    assert [name for name in FEATURES + OTHERS if is_image_feature(prefix + name)] == FEATURES


def test_parts_of_a_location_are_no_features() -> None:
    columns = ["Well_Row", "Well_Column", "Plate_Barcode", "Site_Number", "Count_Cells"]
    assert image_feature_columns(columns) == ["Count_Cells"]


def test_features_are_doubles_under_image_and_text_is_named() -> None:
    rows = pa.table(
        {
            "Texture_B_DNA": pa.chunked_array([[1, None]]),
            "Image_Count_Cells": pa.chunked_array([[3, 4]]),
            "Count_Cells": pa.chunked_array([[5.0, 6.0]]),
            "Threshold_Empty_Cells": pa.chunked_array([[None, None]], pa.string()),
            "Classify_Word": pa.chunked_array([["a", "b"]]),
            "Height_DNA": pa.chunked_array([[7, 7]]),
        }
    )
    features = image_features(rows)
    assert features.to_pydict() == {
        "Image_Count_Cells": [5.0, 6.0],
        "Image_Count_Cells_1": [3.0, 4.0],
        "Image_Texture_B_DNA": [1.0, None],
        "Image_Threshold_Empty_Cells": [None, None],
    }
    assert set(features.schema.types) == {pa.float64()}
    assert text_features(rows) == ["Classify_Word"]
