"""A result against its report and its source: right ones pass, and every change of a value is found."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cytobatch.config.option_types import AnnDataFormat
from cytobatch.config.options import PlateJob
from cytobatch.errors import AbsentFileError, InputDataError
from cytobatch.pipeline.plate import run_plate
from cytobatch.pipeline.verification.model import Difference, DifferenceKind, Verification
from cytobatch.pipeline.verification.verify import VerifyRequest, verify
from cytobatch.synthetic import ImageNumbers, ParentNumbers, PlateFormat, SyntheticPlate, write_plate
from proxy import gets, proxy

PLATE = SyntheticPlate(
    wells=2,
    sites=2,
    cells=6,
    features=8,
    image_numbers=ImageNumbers.SITE,
    parent_numbers=ParentNumbers.CROSSED,
)


def verified(source: Path | str, result: Path | str, cells: int | None = None, **options: Any) -> Verification:
    job = PlateJob(source=str(source), destination=str(result), **options)
    return verify(VerifyRequest(job, with_source=True, cells=cells))


@pytest.fixture(scope="module", params=[PlateFormat.CSV, PlateFormat.SQLITE])
def converted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A source of each format and its result, which tests copy before they change it."""
    folder = tmp_path_factory.mktemp("verify")
    write_plate(PLATE, folder / "in", request.param)
    run_plate(PlateJob(source=str(folder / "in"), destination=str(folder / "out")))
    return folder / "in", folder / "out"


def changed(result: Path, folder: Path, change: Callable[[pa.Table], pa.Table]) -> Path:
    """Return a copy of a result whose profile is changed, with its footer's metadata."""
    shutil.copytree(result, folder)
    table = pq.read_table(result / "single_cells.parquet")
    after = change(table)
    pq.write_table(after.replace_schema_metadata(table.schema.metadata), folder / "single_cells.parquet")
    return folder


def of_rows(found: Verification) -> list[Difference]:
    """Return the differences of rows. The file differs from its report, too."""
    kinds = {difference.kind for difference in found.differences}
    assert DifferenceKind.CONTENT in kinds
    return [difference for difference in found.differences if difference.row is not None]


def test_every_value_of_a_right_result_is_derived(converted: tuple[Path, Path]) -> None:
    source, result = converted
    found = verified(source, result)
    table = pq.read_table(result / "single_cells.parquet")
    assert found.differences == ()
    assert found.not_derived == ()
    assert found.cells == found.rows == table.num_rows > 0
    assert found.values >= table.num_rows * (table.num_columns - 4)


def test_swapped_values_and_a_moved_parent_are_found(converted: tuple[Path, Path], tmp_path: Path) -> None:
    source, result = converted

    def swap(table: pa.Table) -> pa.Table:
        name = next(name for name in table.column_names if name.startswith("Nuclei_"))
        values = table[name].to_pylist()
        values[0], values[1] = values[1], values[0]
        return table.set_column(table.schema.get_field_index(name), name, pa.array(values))

    found = of_rows(verified(source, changed(result, tmp_path / "out", swap)))
    assert [each.row for each in found] == [0, 1]


def test_a_repeated_row_and_a_row_of_no_object_are_found(converted: tuple[Path, Path], tmp_path: Path) -> None:
    source, result = converted
    twice = changed(result, tmp_path / "twice", lambda table: pa.concat_tables([table, table.slice(3, 1)]))
    last = pq.read_metadata(twice / "single_cells.parquet").num_rows - 1
    kinds = {each.kind: each.row for each in of_rows(verified(source, twice))}
    assert kinds == {DifferenceKind.IDENTITY: last}
    assert any(each.kind is DifferenceKind.SHAPE for each in verified(source, twice).differences)

    def elsewhere(table: pa.Table) -> pa.Table:
        numbers = pa.array([99, *table["Metadata_ImageNumber"].to_pylist()[1:]])
        return table.set_column(table.schema.get_field_index("Metadata_ImageNumber"), "Metadata_ImageNumber", numbers)

    (missing,) = of_rows(verified(source, changed(result, tmp_path / "elsewhere", elsewhere)))
    assert (missing.kind, missing.row) == (DifferenceKind.MISSING, 0)


def test_some_cells_are_drawn_by_a_seed(converted: tuple[Path, Path]) -> None:
    source, result = converted
    assert verified(source, result, 5).cells == 5
    assert verified(source, result, 10**6).cells == verified(source, result).rows


def test_files_are_checked_without_the_source(tmp_path: Path) -> None:
    write_plate(PLATE, tmp_path / "in")
    job = PlateJob(source=str(tmp_path / "in"), destination=str(tmp_path / "out"), anndata=(AnnDataFormat.ZARR,))
    run_plate(job)
    alone = VerifyRequest(job, with_source=False, cells=None)
    assert verify(alone).differences == ()
    profile = tmp_path / "out" / "single_cells.parquet"
    content = profile.read_bytes()
    profile.write_bytes(content[:1000] + bytes([content[1000] ^ 1]) + content[1001:])
    (tmp_path / "out" / "columns.json").unlink()
    next(path for path in (tmp_path / "out").glob("*.zarr/X/*") if path.is_file()).unlink()
    found = {(each.kind, each.output.partition("/")[0]) for each in verify(alone).differences}
    assert found == {
        (DifferenceKind.CONTENT, "single_cells.parquet"),
        (DifferenceKind.MISSING, "columns.json"),
        (DifferenceKind.MISSING, "single_cells.zarr"),
    }
    profile.write_bytes(content[: len(content) // 2])
    whats = [each.what for each in verify(alone).differences if each.output == profile.name]
    assert [what.partition(":")[0] for what in whats] == ["size in bytes", "sha256", "it is no readable Parquet file"]


def test_a_result_that_was_moved_and_one_beside_others(tmp_path: Path) -> None:
    write_plate(PLATE, tmp_path / "in")
    run_plate(PlateJob(source=str(tmp_path / "in"), destination=str(tmp_path / "a" / "P1.parquet")))
    (tmp_path / "a").rename(tmp_path / "b")
    for result in ("b/P1.parquet", "b/P1.run-report.json"):
        found = verified(tmp_path / "in", tmp_path / result)
        assert (found.differences, found.cells) == ((), found.rows)


def test_a_changed_source_is_named(converted: tuple[Path, Path], tmp_path: Path) -> None:
    source, result = converted
    shutil.copytree(source, tmp_path / "in")
    path = next(
        path for path in sorted((tmp_path / "in").rglob("*")) if path.name in ("Cells.csv", "BR00117035.sqlite")
    )
    if path.suffix == ".csv":
        path.write_text(path.read_text() + "\n")
        (difference,) = verified(tmp_path / "in", result).differences
        assert difference.kind is DifferenceKind.SOURCE
    path.rename(path.with_name("elsewhere"))
    (difference,) = verified(tmp_path / "in", result).differences
    assert (difference.kind, difference.output) == (DifferenceKind.MISSING, str(path.relative_to(tmp_path / "in")))


def test_a_result_in_a_bucket_is_fetched_once(
    bucket: str, aws: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write_plate(PLATE, tmp_path / "in")
    run_plate(PlateJob(source=str(tmp_path / "in"), destination=f"s3://{bucket}/P1/"))
    with proxy(aws) as (url, requests), monkeypatch.context() as environment:
        environment.setenv("AWS_ENDPOINT_URL", url)
        found = verified(tmp_path / "in", f"s3://{bucket}/P1/")
        keys = sorted(one.key for one in gets(requests))
    assert (found.differences, found.cells) == ((), found.rows)
    published = ("columns.json", "experiment.parquet", "run-report.json", "single_cells.parquet")
    assert keys == [f"P1/{name}" for name in published]
    with pytest.raises(AbsentFileError):
        verified(tmp_path / "in", f"s3://{bucket}/P2/")


@pytest.mark.parametrize("name", ["../outside.txt", "/tmp/outside.txt", "x/../../outside.txt", "s3://other/key"])
def test_a_report_that_names_files_outside_its_folder_is_refused(
    name: str, s3: Any, bucket: str, tmp_path: Path
) -> None:
    write_plate(PLATE, tmp_path / "in")
    report = run_plate(PlateJob(source=str(tmp_path / "in"), destination=f"s3://{bucket}/deep/P1/"))
    first, *others = report.outputs
    folder = report.report.rpartition("/")[0]
    outside = name if "://" in name or name.startswith("/") else f"{folder}/{name}"
    hostile = report.model_copy(update={"outputs": [first.model_copy(update={"path": outside}), *others]})
    s3.put_object(Bucket=bucket, Key="deep/P1/run-report.json", Body=hostile.to_json().encode())
    s3.put_object(Bucket=bucket, Key="deep/outside.txt", Body=b"hostile")
    (tmp_path / "scratch").mkdir()
    with pytest.raises(InputDataError, match="outside its folder"):
        verified(tmp_path / "in", f"s3://{bucket}/deep/P1/", scratch_dir=tmp_path / "scratch")
    assert not list(tmp_path.rglob("outside.txt"))


def test_a_journal_is_no_finished_result(converted: tuple[Path, Path], tmp_path: Path) -> None:
    source, result = converted
    shutil.copytree(result, tmp_path / "out")
    path = tmp_path / "out" / "run-report.json"
    path.write_text(json.dumps(json.loads(path.read_bytes()) | {"state": "publishing"}))
    with pytest.raises(InputDataError, match="result is not finished"):
        verified(source, tmp_path / "out")


def test_each_stored_file_is_held_against_the_report(tmp_path: Path) -> None:
    write_plate(PLATE, tmp_path / "in")
    job = PlateJob(source=str(tmp_path / "in"), destination=str(tmp_path / "out"), anndata=(AnnDataFormat.ZARR,))
    report = run_plate(job)
    alone = VerifyRequest(job, with_source=False, cells=None)
    store = next(output for output in report.outputs if output.files)
    below = next(name for name in store.files if name.startswith("X/"))
    path = tmp_path / "out" / "single_cells.zarr" / below
    path.write_bytes(path.read_bytes()[::-1])
    assert [(each.output, each.what) for each in verify(alone).differences] == [
        (f"single_cells.zarr/{below}", "sha256")
    ]
    path.write_bytes(path.read_bytes()[::-1])
    others = [output.model_copy(update={"stored": output.stored[1:]}) for output in report.outputs]
    lesser = report.model_copy(update={"outputs": others}).to_json()
    (tmp_path / "out" / "run-report.json").write_text(lesser)
    assert {(each.output, each.kind) for each in verify(alone).differences} == {
        ("single_cells.zarr", DifferenceKind.SHAPE)
    }


def test_rows_of_own_sql_are_refused(tmp_path: Path) -> None:
    write_plate(PLATE, tmp_path / "in")
    sql = "SELECT * FROM read_parquet('cells.parquet')"
    run_plate(PlateJob(source=str(tmp_path / "in"), destination=str(tmp_path / "out"), joins=sql))
    with pytest.raises(InputDataError, match="SQL of the job"):
        verified(tmp_path / "in", tmp_path / "out")


def test_rows_that_cannot_be_derived_are_refused(tmp_path: Path) -> None:
    write_plate(PLATE, tmp_path / "in")
    run_plate(PlateJob(source=str(tmp_path / "in"), destination=str(tmp_path / "out"), join=False))
    with pytest.raises(InputDataError, match="no profile of joined rows"):
        verified(tmp_path / "in", tmp_path / "out")
    (tmp_path / "out" / "run-report.json").write_text("{}")
    with pytest.raises(InputDataError, match="not readable"):
        verified(tmp_path / "in", tmp_path / "out")
