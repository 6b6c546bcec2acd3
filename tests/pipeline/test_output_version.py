"""The version of the outputs grows whenever the same inputs give other rows, columns or values."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from cytobatch.config.options import PlateJob
from cytobatch.pipeline.plate import run_plate
from cytobatch.report.model import OUTPUT_VERSION
from tests.support.plates import cytominer_tables, site_tables, write_sites, write_sqlite

_OPTIONS: dict[str, dict[str, Any]] = {
    "csv": {"well_profiles": "median", "image_features": True},
    "sqlite": {},
    "csv_by_cytotable": {"preset": "cellprofiler_csv"},
}
_CONTENT = {
    (1, "csv"): "a28c9dd3521800c3989267df4b7665350318be1a6d2503d08d52410db02675b6",
    (1, "sqlite"): "b0c42535aae09d83751738833b12d1194e6986d39f898f5995b0292d75816497",
    (1, "csv_by_cytotable"): "30d8c322861c0bce580226ebc3ca27b11374294630d379007e42b516943b1cd4",
}
"""The checksum of the content of all Parquet files, by version and kind of plate."""


@pytest.mark.parametrize("kind", _OPTIONS)
def test_other_content_has_another_version(kind: str, tmp_path: Path) -> None:
    """If it fails, the content has changed: raise OUTPUT_VERSION, and enter the new checksums."""
    source = tmp_path / "in"
    if kind == "sqlite":
        source = tmp_path / "P1.sqlite"
        write_sqlite(source, cytominer_tables(site_tables(7), "t"))
    else:
        write_sites(source, 2)
    run_plate(PlateJob(source=str(source), destination=str(tmp_path / "out"), **_OPTIONS[kind]))
    assert content_of(tmp_path / "out") == _CONTENT.get((OUTPUT_VERSION, kind)), kind


def content_of(folder: Path) -> str:
    """The checksum of names, types and values of a folder's Parquet files."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.parquet")):
        table = pq.read_table(path)
        fields = [(field.name, str(field.type)) for field in table.schema]
        digest.update(json.dumps([path.name, fields, table.to_pylist()], default=str).encode())
    return digest.hexdigest()
