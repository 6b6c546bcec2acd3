"""Warnings where the job, the folders and the data name different plates or wells."""

from pathlib import Path

from cytobatch.report.model import RunReport
from tests.support.plates import convert, site_tables, write_npz_plate, write_site


def whats(report: RunReport) -> list[str]:
    return [warning.what for warning in report.warnings if " is " in warning.what]


def test_a_plate_of_another_name_than_the_jobs_is_a_warning_with_counts(tmp_path: Path) -> None:
    for site in (1, 2):
        write_site(tmp_path / "in" / f"s{site}", site_tables(2, plate="P1", well=f"A{site}"))
    table, report = convert(tmp_path / "in", tmp_path, plate="ANOTHER")
    assert set(table["Metadata_Plate"].to_pylist()) == {"P1"}
    assert whats(report) == ["the job's plate is 'ANOTHER', but the data has 'P1' in 2 of 2 image sets"]
    assert report.plates == ["P1"]
    _, report = convert(tmp_path / "in", tmp_path, plate="P1")
    assert whats(report) == []


def test_a_folder_of_another_plate_or_well_is_a_warning(tmp_path: Path) -> None:
    write_site(tmp_path / "in" / "P1-A01-1", site_tables(2, plate="P1", well="A1"))
    write_site(tmp_path / "in" / "P1-A02-1", site_tables(2, plate="P2", well="B2"))
    _, report = convert(tmp_path / "in", tmp_path)
    assert whats(report) == [
        "a folder's plate is 'P1', but the data has 'P2' in 1 of 2 image sets",
        "a folder's well is 'A02', but the data has 'B02' in 1 of 2 image sets",
    ]
    assert report.plates == ["P1", "P2"]


def test_files_of_whole_rows_are_compared_too(tmp_path: Path) -> None:
    _, report = convert(write_npz_plate(tmp_path / "npz"), tmp_path, plate="P9")
    assert whats(report) == ["the job's plate is 'P9', but the data has 'P1' in 3 of 3 image sets"]
