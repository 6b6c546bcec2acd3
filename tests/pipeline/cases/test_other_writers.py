"""Files of whole rows: an instrument's CSV tables, and embeddings of cells in archives."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.cases import Case, Files, check, params

HEADER = '"OBJECT ID","WELL LABEL","Row","Column","FOV","Z","T","Plate ID","Primary Target Area wv1"\n'
TABLE = HEADER + "1,A - 1,A,1,1,0,0,T1,10.5\n2,A - 1,A,1,1,0,0,T1,11.5\n"
AREA = "Primary Target Area wv1"


def targets(*areas: float) -> list[dict[str, object]]:
    return [{"Metadata_Plate": "T1", "Metadata_Well": "A01", "Metadata_Site": 1, AREA: area} for area in areas]


def day(content: str | bytes, name: str = "Day0.csv") -> Files:
    return {f"in/{name}": content.encode() if isinstance(content, str) else content}


SEMICOLONS = TABLE.replace(",", ";").replace("0.5", "0,5").replace("1.5", "1,5")
SUMMARY = "WELL LABEL,Primary Target Area wv1 Mean\nA - 1,11\n"

TABLES = params(
    Case("incarta_plain", day(TABLE), targets(10.5, 11.5)),
    Case("incarta_semicolon", day(SEMICOLONS), targets(10.5, 11.5), warned=("decimal commas",)),
    Case("incarta_utf16", day(TABLE.encode("utf-16")), targets(10.5, 11.5)),
    Case("incarta_with_summary_csv", day(TABLE) | day(SUMMARY, "Day0 summary.csv"), error="summary.*no OBJECT ID"),
    Case(
        "incarta_copy",
        day(TABLE) | day(TABLE, "Day0 (1).csv"),
        targets(10.5, 11.5, 10.5, 11.5),
        warned=(r"alike byte for byte.*'Day0.csv' and 'Day0 \(1\).csv'",),
    ),
)


@pytest.mark.parametrize("case", TABLES)
def test_a_table_of_an_instrument_is_read_in_any_dialect(tmp_path: Path, case: Case) -> None:
    check(case, tmp_path)


FEATURES = np.arange(6, dtype=np.float32).reshape(3, 2)


def archive(features: Any = FEATURES, locations: int | None = None, *, metadata: bool = True, site: str = "1") -> bytes:
    """Return an archive of a site: features, as many locations, and metadata."""
    count = len(features) if locations is None else locations
    members: dict[str, Any] = {"features": features, "locations": np.zeros((count, 2))}
    if metadata:
        known = {"Metadata_Plate": "SQ1", "Metadata_Well": "A01", "Metadata_Site": site, "Metadata_Model": "net"}
        members["metadata"] = np.array(known, dtype=object)
    stream = io.BytesIO()
    np.savez_compressed(stream, **members)
    return stream.getvalue()


def embedded(features: Any = FEATURES, well: str = "A01", site: int = 1, name: str = "net") -> list[dict[str, object]]:
    located = {"Metadata_Plate": "SQ1", "Metadata_Well": well, "Metadata_Site": site}
    return [located | {f"{name}_{n}": float(value) for n, value in enumerate(row, 1)} for row in features]


def archives(**files: bytes) -> Files:
    return {f"in/SQ1/{name}.npz": content for name, content in files.items()}


def without_metadata(first: str, second: str) -> Files:
    content = archive(metadata=False)
    return {f"in/SQ1/{first}.npz": content, f"in/SQ1/{second}.npz": content}


SPECIAL = np.array([[np.nan, 1], [np.inf, 2]], dtype=np.float32)
UNNAMED = [
    {"Metadata_Plate": "SQ1", "Metadata_Well": well, "Metadata_Site": 1} for well in ("A01", "A02") for _ in range(3)
]
COPIES = ("alike byte for byte",)

EMBEDDINGS = params(
    Case("npz_fortran_order", archives(A01_1=archive(np.asfortranarray(FEATURES))), embedded()),
    Case("npz_float16", archives(A01_1=archive(np.ones((3, 2), np.float16))), embedded(np.ones((3, 2)))),
    Case("npz_nan_and_inf", archives(A01_1=archive(SPECIAL)), embedded(SPECIAL)),
    Case("npz_no_metadata", without_metadata("A01_1", "A02_1"), UNNAMED, warned=COPIES),
    Case("npz_dash_names", without_metadata("A01-1", "A02-f01"), UNNAMED, warned=COPIES),
    Case("npz_empty_site", archives(A01_1=archive(), A01_2=archive(FEATURES[:0], site="2")), embedded()),
    Case(
        "npz_empty_site_flat",
        archives(A01_1=archive(), A01_2=archive(np.zeros(0, np.float32), site="2")),
        error="features are no table",
    ),
    Case("npz_locations_more_than_features", archives(A01_1=archive(locations=5)), error="locations do not fit"),
    Case(
        "npz_site_2d_crop_4d", archives(A01_1=archive(np.ones((3, 1, 1, 2), np.float32))), error="no table of numbers"
    ),
)


@pytest.mark.parametrize("case", EMBEDDINGS)
def test_embeddings_are_read_or_refused_by_their_shapes(tmp_path: Path, case: Case) -> None:
    check(case, tmp_path)
