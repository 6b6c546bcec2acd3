"""Local folders are listed whole: behind links, too, and never without a folder that cannot be read."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cytobatch.config.options import PlateJob
from cytobatch.errors import LayoutError, StorageError, TooManyFailedExportsError
from cytobatch.formats.hidden_files import DANGLING
from cytobatch.report.model import Outcome
from cytobatch.storage.source import Source
from tests.support.plates import convert, write_sites


def paths(root: Path) -> list[str]:
    job = PlateJob(source=str(root), destination="/out")
    return [file.path for file in Source(job, root / "cache").inventory().files]


def write(*files: Path) -> None:
    for path in files:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def test_links_to_folders_elsewhere_are_followed(tmp_path: Path) -> None:
    source = write_sites(tmp_path / "in", 1)
    write_sites(tmp_path / "elsewhere", 2)
    (source / "P1-A01-2").symlink_to(tmp_path / "elsewhere" / "P1-A01-2")
    table, report = convert(source, tmp_path / "out")
    assert table["Metadata_Site"].to_pylist() == [1, 1, 1, 2, 2, 2]
    assert {entry.path.partition("/")[0] for entry in report.ledger} == {"P1-A01-1", "P1-A01-2"}


def test_links_within_the_source_and_to_what_holds_it_are_not_followed(tmp_path: Path) -> None:
    root = tmp_path / "in"
    write(root / "a" / "x.csv")
    for name, target in (("latest", root / "a"), ("self", root), ("up", tmp_path)):
        (root / name).symlink_to(target)
    assert paths(root) == ["a/x.csv"]


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    root, one, other = (tmp_path / name for name in ("in", "one", "other"))
    write(root / "x.csv", one / "y.csv", other / "z.csv")
    (root / "one").symlink_to(one)
    (one / "other").symlink_to(other)
    (other / "one").symlink_to(one)
    assert paths(root) == ["one/other/z.csv", "one/y.csv", "x.csv"]


@pytest.mark.parametrize(("name", "is_error"), [("site", True), (".Trashes", False), ("lost+found", False)])
def test_a_folder_that_cannot_be_listed_is_an_error_unless_it_belongs_to_the_system(
    name: str, is_error: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "in"
    write(root / name / "x.csv", root / "y.csv")
    scandir = os.scandir

    def refuse(path: Any = ".") -> Iterator[os.DirEntry[str]]:
        if Path(path).name == name:
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    if is_error:
        with pytest.raises(StorageError, match="no permission"):
            paths(root)
    else:
        assert paths(root) == ["y.csv"]


def test_a_link_without_a_target_is_named_and_no_file(tmp_path: Path) -> None:
    source = write_sites(tmp_path / "in", 2)
    for name in ("Mito.csv", "notes.txt", "loop"):
        target = tmp_path / "gone" / name if name != "loop" else Path("loop")
        (source / "P1-A01-1" / name).symlink_to(target)
    table, report = convert(source, tmp_path / "out")
    assert table.num_rows == 6
    named = {entry.path: entry.reason for entry in report.ledger if entry.outcome is Outcome.IGNORED}
    assert named == dict.fromkeys((f"P1-A01-1/{name}" for name in ("Mito.csv", "loop", "notes.txt")), DANGLING)
    assert "3 files not read: P1-A01-1/Mito.csv, P1-A01-1/loop, P1-A01-1/notes.txt" in report.warnings[0].what


def test_a_table_that_is_a_link_without_a_target_is_missing(tmp_path: Path) -> None:
    source = write_sites(tmp_path / "in", 2)
    (source / "P1-A01-1" / "Cells.csv").unlink()
    (source / "P1-A01-1" / "Cells.csv").symlink_to(tmp_path / "gone.csv")
    with pytest.raises(TooManyFailedExportsError, match="missing"):
        convert(source, tmp_path / "out")
    table, report = convert(source, tmp_path / "out", max_failed_exports=1)
    assert table["Metadata_Site"].to_pylist() == [2, 2, 2]
    assert {entry.reason for entry in report.ledger if entry.path == "P1-A01-1/Cells.csv"} == {DANGLING}


def test_a_source_of_one_link_without_a_target_has_no_tables(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "P1.sqlite").symlink_to(tmp_path / "gone.sqlite")
    with pytest.raises(LayoutError, match="each of them is hidden, or no file"):
        convert(tmp_path / "in", tmp_path / "out")
