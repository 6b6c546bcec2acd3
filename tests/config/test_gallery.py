"""The Cell Painting Gallery's folders, local and in a bucket."""

from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from cytobatch.config.gallery import networks_folder, plate_sources
from cytobatch.config.options import PlateJob
from cytobatch.config.presets.catalog import PresetName
from cytobatch.errors import SourceNotFoundError
from cytobatch.pipeline.plate import run_plate
from cytobatch.report.model import RunReport
from cytobatch.storage.access import Access
from cytobatch.storage.source import list_folders
from tests.support.plates import cytominer_tables, npz_members, site_tables, write_npz, write_site, write_sqlite
from tests.support.program import Run

BATCH = "2021_04_26_Batch1"


def bare(site: int, objects: int = 3) -> dict[str, object]:
    """A site whose tables have no columns for plate, well and site."""
    tables = site_tables(objects, offset=1000.0 * site)
    tables["Image"] = tables["Image"].drop_columns(["Metadata_Plate", "Metadata_Well", "Metadata_Site"])
    return tables


def workspace(root: Path) -> Path:
    """Four plates: sites, wells, a whole-plate folder, and a SQLite file."""
    analysis = root / "analysis" / BATCH
    for site in (1, 2):
        write_site(analysis / "BR1" / "analysis" / f"BR1-A01-{site}", bare(site))
    (analysis / "BR1" / "analysis" / "BR1-A01-1" / "outlines").mkdir()
    (analysis / "BR1" / "analysis" / "BR1-A01-1" / "outlines" / "A01_s1--cell_outlines.png").write_bytes(b"png")
    write_site(analysis / "BR2" / "analysis" / "BR2-B02", bare(1))
    write_site(analysis / "BR3" / "analysis", site_tables(4, plate="BR3"))
    write_sqlite(root / "backend" / BATCH / "BR4" / "BR4.sqlite", cytominer_tables(site_tables(5, plate="BR4"), 1))
    (root / "backend" / BATCH / "BR4" / "BR4.csv").write_text("Metadata_Plate,Metadata_Well\nBR4,A01\n")
    write_sqlite(root / "backend" / BATCH / "BR1" / "BR1.sqlite", cytominer_tables(site_tables(9, plate="BR1"), 1))
    return root


def converted(root: str, tmp_path: Path, plate: str, **options: object) -> RunReport:
    job = {"source": root, "destination": str(tmp_path / f"{plate}.parquet"), "plate": plate, "batch": BATCH}
    return run_plate(PlateJob.model_validate({**job, **options}))


def rows(tmp_path: Path, plate: str) -> list[tuple[object, ...]]:
    table = pq.read_table(tmp_path / f"{plate}.parquet")
    names = ["Metadata_Plate", "Metadata_Well", "Metadata_Site"]
    columns = [table[name].to_pylist() if name in table.column_names else [None] * table.num_rows for name in names]
    return sorted(set(zip(*columns, strict=True)))


@pytest.mark.parametrize(
    ("plate", "count", "locations", "folder"),
    [
        ("BR1", 6, [("BR1", "A01", 1), ("BR1", "A01", 2)], "analysis"),
        ("BR2", 3, [("BR2", "B02", None)], "analysis"),
        ("BR3", 4, [("BR3", "A01", 1)], "analysis"),
        ("BR4", 5, [("BR4", "A01", 1)], "backend"),
    ],
)
def test_a_plate_is_found_in_its_workspace(
    plate: str, count: int, locations: list[tuple[object, ...]], folder: str, tmp_path: Path
) -> None:
    root = workspace(tmp_path / "workspace")
    report = converted(str(root), tmp_path, plate)
    assert report.counts.rows == count
    assert rows(tmp_path, plate) == locations
    assert report.source == f"{root}/{folder}/{BATCH}/{plate}"
    assert report.plate == plate


def test_the_preset_decides_between_analysis_and_backend(tmp_path: Path) -> None:
    root = str(workspace(tmp_path / "workspace"))
    preset = "cell-health-cellprofiler-to-cytominer-database"
    assert converted(root, tmp_path, "BR4", preset=preset).counts.rows == 5
    assert converted(root, tmp_path, "BR1", preset="cellprofiler_sqlite_cpg0016_jump").counts.rows == 9


def test_the_error_for_an_absent_plate_names_the_folders_that_were_searched(tmp_path: Path) -> None:
    root = str(workspace(tmp_path / "workspace"))
    with pytest.raises(SourceNotFoundError, match="plate 'BR9' of batch") as caught:
        converted(root, tmp_path, "BR9")
    assert f"analysis/{BATCH}/BR9" in caught.value.why


def test_a_workspace_in_a_bucket_is_read_with_its_metadata(tmp_path: Path, upload: Callable[[Path, str], str]) -> None:
    root = workspace(tmp_path / "workspace")
    maps = root / "metadata" / "platemaps" / BATCH
    (maps / "platemap").mkdir(parents=True)
    (maps / "barcode_platemap.csv").write_text("Assay_Plate_Barcode,Plate_Map_Name\nBR1,OAA01.02.03.04.A\n")
    (maps / "platemap" / "OAA01.02.03.04.A.txt").write_text("well_position\tdrug\nA01\tx\n")
    uri = upload(root, "cpg/source_4/workspace")
    report = converted(uri, tmp_path, "BR1", platemap=f"{uri}/metadata/platemaps/{BATCH}")
    table = pq.read_table(tmp_path / "BR1.parquet")
    assert set(table["Metadata_drug"].to_pylist()) == {"x"}
    assert (report.counts.rows, report.counts.sites) == (6, 2)
    assert list_folders(f"{uri}/analysis/{BATCH}", Access()) == ["BR1", "BR2", "BR3"]
    assert list_folders(f"{uri}/nothing", Access()) == []


def test_embeddings_are_found_by_network_batch_and_plate(tmp_path: Path) -> None:
    root = tmp_path / "workspace_dl" / "embeddings" / "net_1"
    for site in (1, 2):
        members = npz_members()
        del members["metadata"]
        write_npz(root / BATCH / "BR1" / "A01" / str(site) / "embedding.npz", members)
    report = converted(str(root), tmp_path, "BR1")
    assert (report.counts.rows, report.layout) == (6, "npz")
    assert rows(tmp_path, "BR1") == [("BR1", "A01", 1), ("BR1", "A01", 2)]


def test_a_batch_is_planned_as_its_plates(tmp_path: Path, cytobatch: Run) -> None:
    root = workspace(tmp_path / "workspace")
    done = cytobatch("plan", "--source", str(root), "--batch", BATCH, "--destination", "out/{plate}.parquet")
    assert done.returncode == 0, done.stderr
    assert [line.split()[1] for line in done.stdout.splitlines() if line.startswith("plate ")] == [
        "BR1",
        "BR2",
        "BR3",
        "BR4",
    ]
    done = cytobatch("validate", "--source", str(root), "--batch", "none", "--destination", "out/{plate}.parquet")
    assert done.returncode == 3
    assert "no plate found" in done.stderr


def test_a_workspace_has_a_plate_in_analysis_or_backend() -> None:
    both = [each.folder for each in plate_sources("s3://b/w/", "B1", "P1", PresetName.CELL_HEALTH)]
    assert both == ["s3://b/w/analysis/B1/P1", "s3://b/w/backend/B1/P1"]
    assert [each.folder for each in plate_sources("/w", "B1", "P1", PresetName.CELLPROFILER_SQLITE)] == [
        "/w/backend/B1/P1"
    ]
    network = "/w_dl/embeddings/net"
    assert [each.folder for each in plate_sources(network, "B1", "P1", PresetName.DEEPPROFILER)] == [f"{network}/B1/P1"]
    assert plate_sources(network, "B1", "P1", PresetName.CELLPROFILER_CSV) == ()
    assert networks_folder("s3://b/workspace_dl/") == "s3://b/workspace_dl/embeddings"
    assert networks_folder("/w/embeddings") == "/w/embeddings"
    assert networks_folder(network) is None
