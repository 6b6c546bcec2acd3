"""What a plan shows of a plate in a bucket, from a few of its exports."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import cytobatch
from cytobatch.pipeline import sample
from cytobatch.synthetic import PlateFormat, SyntheticPlate, write_plate
from tests.support.plates import (
    cytominer_tables,
    site_tables,
    write_incarta_plate,
    write_npz_plate,
    write_site,
    write_sites,
    write_sqlite,
)

Upload = Callable[[Path, str], str]


def planned(source: str | Path, bucket: str, **options: Any) -> cytobatch.PlanDescription:
    return cytobatch.plan(source, f"s3://{bucket}/out", **options)


def test_tables_joins_and_rows_of_a_sample_are_about_those_of_the_plate(
    upload: Upload, bucket: str, tmp_path: Path
) -> None:
    write_plate(SyntheticPlate(wells=4, sites=2), tmp_path / "in", PlateFormat.CSV)
    local, remote = planned(tmp_path / "in", bucket), planned(upload(tmp_path / "in", "in"), bucket)
    assert local.survey is not None
    assert remote.survey is not None
    assert remote.sample is not None
    assert (remote.sample.exports, remote.sample.of) == (3, 8)
    assert {name: table.schema for name, table in remote.survey.schemas.items()} == {
        name: table.schema for name, table in local.survey.schemas.items()
    }
    assert remote.survey.join == local.survey.join
    assert remote.rows.keys() == local.rows.keys()
    for name, rows in remote.rows.items():
        assert rows == pytest.approx(local.rows[name], rel=0.2)
    assert 0 < remote.sample.fetched < sample._MOST_FETCHED
    assert len(remote.plan.exports) == 8


@pytest.mark.parametrize("kind", ["sqlite", "incarta", "npz", "few sites"])
def test_all_of_a_small_plate_is_surveyed(kind: str, upload: Upload, bucket: str, tmp_path: Path) -> None:
    match kind:
        case "sqlite":
            write_sqlite(tmp_path / "in" / "p.sqlite", cytominer_tables(site_tables(7), "t"))
        case "incarta":
            write_incarta_plate(tmp_path / "in", 2)
        case "npz":
            write_npz_plate(tmp_path / "in", 2)
        case _:
            write_sites(tmp_path / "in", 2)
    local, remote = planned(tmp_path / "in", bucket), planned(upload(tmp_path / "in", "in"), bucket)
    assert remote.sample is not None
    assert remote.sample.is_whole
    assert dict(remote.rows) == dict(local.rows)


def test_of_one_large_database_the_declarations_are_read(
    upload: Upload, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_plate(SyntheticPlate(wells=4, sites=2, features=300), tmp_path / "in", PlateFormat.SQLITE)
    local = planned(tmp_path / "in", bucket)
    monkeypatch.setattr(sample, "_MOST_BYTES", 1000)
    remote = planned(upload(tmp_path / "in", "in"), bucket)
    assert remote.sample is not None
    assert (remote.sample.exports, remote.sample.is_outline, remote.sample.is_whole) == (1, True, False)
    assert 0 < remote.sample.fetched < local.plan.size / 4
    assert remote.survey is not None
    assert local.survey is not None
    assert remote.survey.join == local.survey.join
    assert {name: table.schema.names for name, table in remote.survey.schemas.items()} == {
        name: table.schema.names for name, table in local.survey.schemas.items()
    }
    assert dict(remote.rows) == dict(local.rows)
    assert remote.survey.warnings == ()


@pytest.mark.parametrize("kind", ["csv", "wal"])
def test_a_plate_of_large_files_that_have_no_outline_is_listed_with_the_reason(
    kind: str, upload: Upload, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sample, "_MOST_BYTES", 100)
    if kind == "csv":
        write_sites(tmp_path / "in", 1)
    else:
        path = write_sqlite(tmp_path / "in" / "p.sqlite", cytominer_tables(site_tables(7), "t"))
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
    found = planned(upload(tmp_path / "in", "in"), bucket)
    assert found.survey is None
    assert found.sample is not None
    assert (found.sample.exports, found.sample.of, found.sample.fetched) == (0, 1, 0)
    assert "plan from a local copy" in found.sample.reason


def test_a_sample_that_cannot_be_surveyed_alone_is_no_error_and_a_whole_plate_is(
    upload: Upload, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("x", "y"):
        tables = site_tables(2)
        tables["Image"] = tables["Image"].drop_columns("Metadata_Well")
        write_site(tmp_path / "in" / name, tables)
    uri = upload(tmp_path / "in", "in")
    with pytest.raises(cytobatch.LayoutError) as caught:
        planned(uri, bucket, well_profiles="median")
    monkeypatch.setattr(sample, "_MOST_BYTES", 500)
    found = planned(uri, bucket, well_profiles="median")
    assert found.survey is None
    assert found.sample is not None
    assert (found.sample.exports, found.sample.of) == (1, 2)
    assert found.sample.fetched > 0
    assert found.sample.reason == caught.value.reason
