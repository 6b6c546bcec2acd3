"""A file cut at any byte is reported, unless no row was lost."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cytobatch.report.model import Outcome
from cytobatch.synthetic import PlateFormat, SyntheticPlate, write_plate
from tests.support.examples import examples
from tests.support.plates import convert

PLATE = SyntheticPlate(wells=3, sites=1, cells=6, features=8, empty_site=False)
pytestmark = pytest.mark.slow
CUTS = settings(max_examples=examples(15, 400))


@dataclass(frozen=True)
class Uncut:
    """A plate, and the profile of it."""

    source: Path
    profile: pa.Table

    @classmethod
    def of(cls, source: Path) -> "Uncut":
        return cls(source, convert(source, source.parent / "whole")[0])


@pytest.fixture(scope="module")
def csv_plate(tmp_path_factory: pytest.TempPathFactory) -> Uncut:
    source = tmp_path_factory.mktemp("csv") / "in"
    write_plate(PLATE, source)
    return Uncut.of(source)


@pytest.fixture(scope="module")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Uncut:
    source = tmp_path_factory.mktemp("sqlite") / "in"
    for seed in (1, 2, 3):
        write_plate(PLATE.model_copy(update={"seed": seed, "name": f"P{seed}"}), source, PlateFormat.SQLITE)
    return Uncut.of(source)


def assert_loss_is_reported(uncut: Uncut, file: str, at: float, lost: tuple[str, object]) -> None:
    """Cut a file of a copy, and assert that its export is reported, or that the profile is the same.

    `lost` is the column and value that identify the rows of the cut file's export.
    """
    with TemporaryDirectory() as folder:
        source = Path(shutil.copytree(uncut.source, Path(folder) / "in"))
        cut = source / file
        content = cut.read_bytes()
        cut.write_bytes(content[: int(len(content) * at)])
        table, report = convert(source, Path(folder) / "cut", max_failed_exports=1)
    failed = [entry for entry in report.ledger if entry.outcome is Outcome.FAILED]
    if not failed:
        assert table.equals(uncut.profile)
        return
    assert {source / entry.path for entry in failed} == {cut}
    assert all(entry.reason for entry in failed)
    column, value = lost
    assert table.to_pylist() == [row for row in uncut.profile.to_pylist() if row[column] != value]


@CUTS
@given(at=st.floats(0, 1, exclude_max=True), table=st.sampled_from(["Image", "Cells", "Cytoplasm", "Nuclei"]))
def test_a_csv_file_cut_anywhere(csv_plate: Uncut, at: float, table: str) -> None:
    assert_loss_is_reported(csv_plate, f"BR00117035-A02-1/{table}.csv", at, ("Metadata_Well", "A02"))


@CUTS
@given(at=st.floats(0, 1, exclude_max=True))
def test_a_sqlite_file_cut_anywhere(databases: Uncut, at: float) -> None:
    assert_loss_is_reported(databases, "P2.sqlite", at, ("Metadata_Plate", "P2"))
