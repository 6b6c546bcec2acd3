"""A file cut at any byte is reported, unless no row was lost."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cytobatch.report.model import Outcome
from cytobatch.synthetic import PlateFormat, SyntheticPlate, write_plate
from tests.support.examples import examples
from tests.support.plates import convert

PLATE = SyntheticPlate(wells=3, sites=1, cells=6, features=8, empty_site=False)
pytestmark = pytest.mark.slow
CUTS = settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def assert_loss_is_reported(source: Path, cut: Path, at: float, lost: tuple[str, object]) -> None:
    """Cut a file, and assert that its export is reported, or that the profile is the same.

    `lost` is the column and value that identify the rows of the cut file's export.
    """
    whole, _ = convert(source, source.parent / "whole")
    content = cut.read_bytes()
    cut.write_bytes(content[: int(len(content) * at)])
    table, report = convert(source, source.parent / "cut", max_failed_exports=1)
    failed = [entry for entry in report.ledger if entry.outcome is Outcome.FAILED]
    if not failed:
        assert table.equals(whole)
        return
    assert {source / entry.path for entry in failed} == {cut}
    assert all(entry.reason for entry in failed)
    column, value = lost
    assert table.to_pylist() == [row for row in whole.to_pylist() if row[column] != value]


@CUTS
@given(at=st.floats(0, 1, exclude_max=True), table=st.sampled_from(["Image", "Cells", "Cytoplasm", "Nuclei"]))
def test_a_csv_file_cut_anywhere(tmp_path_factory: pytest.TempPathFactory, at: float, table: str) -> None:
    source = tmp_path_factory.mktemp("cut") / "in"
    write_plate(PLATE, source)
    cut = source / "BR00117035-A02-1" / f"{table}.csv"
    assert_loss_is_reported(source, cut, at, ("Metadata_Well", "A02"))


@CUTS
@given(at=st.floats(0, 1, exclude_max=True))
def test_a_sqlite_file_cut_anywhere(tmp_path_factory: pytest.TempPathFactory, at: float) -> None:
    source = tmp_path_factory.mktemp("cut") / "in"
    for seed in (1, 2, 3):
        write_plate(PLATE.model_copy(update={"seed": seed, "name": f"P{seed}"}), source, PlateFormat.SQLITE)
    assert_loss_is_reported(source, source / "P2.sqlite", at, ("Metadata_Plate", "P2"))
