"""The benchmarks run, their floor writes the same file as a conversion, and their guard finds a wrong profile."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cytobatch.config.options import PlateJob
from cytobatch.pipeline.plate import run_plate
from cytobatch.synthetic import (
    ImageNumbers,
    ParentNumbers,
    PlateFormat,
    RowOrder,
    SyntheticPlate,
    write_plate,
    write_whole_plate,
)
from reference import compare

pytestmark = pytest.mark.slow
BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
PLATE = SyntheticPlate(wells=2, sites=1, cells=5, features=8, parent_numbers=ParentNumbers.CROSSED)
SITES = ("--sites", "2", "--large-sites", "4", "--whole-sites", "7")
TINY = (*SITES, "--cells", "5", "--csv-features", "8", "--sqlite-features", "8")
MANY = ("--many-plates", "3", "--many-sites", "2", "--many-features", "8", "--task-runners", "processes:2")
TALL = ("--tall-objects", "50", "--tall-features", "8")
Damage = Callable[[pa.Table], pa.Table]


def run_script(name: str, *arguments: object, timeout: int = 300) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BENCHMARKS / f"{name}.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)


@pytest.mark.parametrize("kind", [PlateFormat.CSV, PlateFormat.SQLITE])
def test_the_floor_writes_the_same_file_as_a_conversion(kind: PlateFormat, tmp_path: Path) -> None:
    write_plate(PLATE, tmp_path / "plate", kind)
    out, again = tmp_path / "out.parquet", tmp_path / "again.parquet"
    for arguments in (("convert", tmp_path / "plate", out), ("floor", tmp_path / "plate", kind, out, "--again", again)):
        done = run_script("work", *arguments, "--scratch", tmp_path)
        assert done.returncode == 0, done.stderr
        assert set(json.loads(done.stdout)) == {"wall", "own", "children", "peak"}
    assert pq.read_table(again).equals(pq.read_table(out))
    converted_metadata, floor_metadata = (pq.ParquetFile(path).metadata for path in (out, again))
    assert converted_metadata.num_row_groups == floor_metadata.num_row_groups
    assert converted_metadata.row_group(0).total_byte_size == floor_metadata.row_group(0).total_byte_size


@pytest.mark.parametrize(
    ("cases", "figures"),
    [
        pytest.param(("csv40", "size", "workers"), 6, marks=pytest.mark.long),
        pytest.param(("csv400", "memory", "limit"), 6, marks=pytest.mark.long),
        pytest.param(("sqlite40", "sqlite400"), 5, marks=pytest.mark.long),
        (("plate",), 3),
        pytest.param(("tall", "tall-shuffled"), 4, marks=pytest.mark.long),
        pytest.param(("s3",), 5, marks=pytest.mark.long),
        pytest.param(("start",), 4, marks=pytest.mark.long),
        pytest.param(("plates64",), 4, marks=pytest.mark.long),
        pytest.param(("split400",), 3, marks=pytest.mark.long),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_cases_are_measured(cases: tuple[str, ...], figures: int, tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    workdir = tmp_path / "work"
    done = run_script(
        "bench", *cases, *TINY, *TALL, *MANY, "--runs", 1, "--workers", 2, "--workdir", workdir, "--json", results
    )
    # The plates are too small for the bounds on time and memory, but all must be measured, and right.
    assert done.returncode in (0, 1), done.stderr
    findings = json.loads(results.read_text())
    assert {one["case"] for one in findings} == set(cases)
    assert done.returncode == (0 if all(one["held"] for one in findings) else 1)
    assert len(findings) == figures, done.stdout
    correctness = [
        one for one in findings if one["must"] in ("the reference's", "finishes", "1") or "bytes" in one["figure"]
    ]
    assert correctness
    assert all(one["held"] for one in correctness), done.stdout
    assert not list((workdir / "plates").iterdir())


def test_an_unknown_case_is_an_error(tmp_path: Path) -> None:
    done = run_script("bench", "csv41", "--workdir", tmp_path)
    assert done.returncode == 1
    assert "csv41" in done.stderr
    assert "csv40" in done.stderr


def test_a_failed_piece_fails_its_case(tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    done = run_script("bench", "csv40", *TINY, "--workers=-1", "--workdir", tmp_path / "work", "--json", results)
    assert done.returncode == 1
    assert [(one["reached"], one["held"]) for one in json.loads(results.read_text())] == [("failed", False)]
    assert "convert csv40, -1 workers ended with" in done.stdout


def converted(plate: Path, out: Path) -> pa.Table:
    run_plate(PlateJob(source=str(plate), destination=str(out)))
    return pq.read_table(out)


@pytest.mark.parametrize("order", list(RowOrder))
def test_a_valid_profile_of_a_whole_plate_passes_the_guard(order: RowOrder, tmp_path: Path) -> None:
    write_whole_plate(PLATE.model_copy(update={"sites": 3}), tmp_path / "plate", order)
    converted(tmp_path / "plate", tmp_path / "out.parquet")
    done = run_script("reference", tmp_path / "plate", tmp_path / "out.parquet")
    assert done.returncode == 0, done.stdout


def rolled(table: pa.Table, prefix: str) -> pa.Table:
    """Move the columns of one compartment a row further down: right values, wrong rows."""
    for index, name in enumerate(table.column_names):
        if name.startswith(prefix):
            values = pa.concat_arrays([table[name].combine_chunks()[-1:], table[name].combine_chunks()[:-1]])
            table = table.set_column(index, name, values)
    return table


def replaced(table: pa.Table, name: str, values: list[object]) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, pa.array(values, table[name].type))


def last_bit(table: pa.Table, name: str) -> pa.Table:
    first, *rest = table[name].to_pylist()
    return replaced(table, name, [first * (1 + 2**-52), *rest])


AREA = "Cells_AreaShape_Area"
DAMAGES: dict[str, Damage] = {
    "a row less": lambda table: table.slice(1),
    "a row twice": lambda table: pa.concat_tables([table, table.slice(0, 1)]),
    "a row for another": lambda table: pa.concat_tables([table.slice(0, 1), table.slice(0, 1), table.slice(2)]),
    "a wrong parent": lambda table: rolled(table, "Nuclei_"),
    "a last bit": lambda table: last_bit(table, AREA),
    "a null": lambda table: replaced(table, AREA, [None, *table[AREA].to_pylist()[1:]]),
    "a wrong well": lambda table: replaced(table, "Metadata_Well", ["P24", *table["Metadata_Well"].to_pylist()[1:]]),
    "a column less": lambda table: table.drop_columns([AREA]),
    "a column more": lambda table: table.append_column("Cells_AreaShape_Other", table[AREA]),
    "another type": lambda table: table.set_column(
        table.column_names.index(AREA), AREA, table[AREA].cast(pa.float32())
    ),
}


@pytest.fixture(scope="module")
def valid_profile(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pa.Table]:
    folder = tmp_path_factory.mktemp("guard")
    write_plate(PLATE.model_copy(update={"image_numbers": ImageNumbers.PLATE}), folder / "plate")
    return folder / "plate", converted(folder / "plate", folder / "out.parquet")


@pytest.mark.parametrize("damage", DAMAGES)
def test_the_guard_finds_damage(
    damage: str, valid_profile: tuple[Path, pa.Table], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plate, table = valid_profile
    pq.write_table(DAMAGES[damage](table), tmp_path / "damaged.parquet")
    assert compare(plate, tmp_path / "damaged.parquet") == 1
    assert capsys.readouterr().out


def test_the_guard_ends_with_1_if_it_finds_damage(valid_profile: tuple[Path, pa.Table], tmp_path: Path) -> None:
    plate, table = valid_profile
    pq.write_table(table.slice(1), tmp_path / "damaged.parquet")
    done = run_script("reference", plate, tmp_path / "damaged.parquet")
    assert done.returncode == 1, done.stdout
    assert done.stdout


def test_the_guard_ignores_the_order_of_rows_and_row_groups(
    valid_profile: tuple[Path, pa.Table], tmp_path: Path
) -> None:
    plate, table = valid_profile
    backwards = table.take(pa.array(range(table.num_rows - 1, -1, -1)))
    pq.write_table(backwards, tmp_path / "backwards.parquet", row_group_size=2)
    done = run_script("reference", plate, tmp_path / "backwards.parquet")
    assert done.returncode == 0, done.stdout


def test_peers_are_measured_beside_cytobatch(tmp_path: Path) -> None:
    scale = ("--sites", "2", "--cells", "5", "--csv-features", "8")
    done = run_script("peers", *scale, "--runs", 1, "--workdir", tmp_path, "--without-cytotable")
    assert done.returncode == 0, done.stdout + done.stderr
    assert all(name in done.stdout for name in ("cytobatch", "pandas", "duckdb"))
