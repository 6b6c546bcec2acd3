"""A pyarrow with unknown footers: one plain writer, the same rows, and a warning in the report."""

import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cytobatch.config.options import PlateJob
from cytobatch.engine.executor import Executor
from cytobatch.output.parquet import footer, writer
from cytobatch.output.parquet.encoder import Encoder
from cytobatch.output.parquet.footer import UnknownFooterError
from cytobatch.output.parquet.probe import splice_fault
from cytobatch.output.parquet.writer import ParquetFileWriter, PlainParquet
from cytobatch.pipeline.plate import run_plate
from cytobatch.report.model import RunReport
from tests.support.plates import write_sites

OTHER_COLUMN = re.compile(rb"\x17.")
NO_TEMPLATE = ("_NO_ROWS_NO_GROUPS", b"\x16\x00\x19\x0d")
NO_COLUMN = ("_AFTER_PATH", OTHER_COLUMN)
unknown_bytes = pytest.mark.parametrize(("constant", "value"), [NO_TEMPLATE, NO_COLUMN])

TABLE = pa.table({f"c{n}": [n / 7, None, n / 3] * 4 for n in range(40)} | {"k": range(12), "s": ["a", "b", None] * 4})


@pytest.fixture(autouse=True)
def fresh_probe() -> Iterator[None]:
    splice_fault.cache_clear()
    yield
    splice_fault.cache_clear()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_sites(tmp_path / "in", 3)


def run(source: Path, destination: Path) -> RunReport:
    options = {"well_profiles": "median", "chunk_size": 2, "workers": 2}
    return run_plate(PlateJob(source=str(source), destination=str(destination), **options))


def warnings_of_footers(report: RunReport) -> list[str]:
    return [warning.what for warning in report.warnings if "footer" in warning.what]


def plain(path: Path, groups: list[pa.Table], metadata: dict[str, str]) -> bytes:
    """The bytes of one `pq.ParquetWriter`."""
    plain_writer = PlainParquet(path, TABLE.schema.with_metadata(metadata))
    for group in groups:
        plain_writer.write(group)
    plain_writer.finish()
    return path.read_bytes()


def test_the_installed_pyarrow_is_known() -> None:
    assert splice_fault() is None


@unknown_bytes
def test_the_probe_finds_one_byte_that_is_not_the_expected_one(
    constant: str, value: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(footer, constant, value)
    assert splice_fault()


def test_the_probe_finds_bytes_that_differ_from_those_of_one_writer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "MAGIC", b"PAR2")
    assert splice_fault() == "its bytes differ from those of one plain writer"


@unknown_bytes
def test_a_run_with_unknown_footers_has_the_same_files_and_a_warning(
    constant: str, value: object, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = run(source, tmp_path / "expected")
    assert not warnings_of_footers(expected)
    splice_fault.cache_clear()
    monkeypatch.setattr(footer, constant, value)
    report = run(source, tmp_path / "out")
    for name in ("single_cells.parquet", "profiles.parquet"):
        assert pq.read_table(tmp_path / "out" / name).equals(pq.read_table(tmp_path / "expected" / name))
    assert [(out.rows, out.sha256) for out in report.outputs] == [(out.rows, out.sha256) for out in expected.outputs]
    (warning,) = warnings_of_footers(report)
    assert f"pyarrow {pa.__version__}" in warning
    assert "one thread" in warning
    assert report.odd_values == expected.odd_values


def test_a_splice_that_fails_after_the_probe_restarts_its_file_and_warns_once(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = run(source, tmp_path / "expected")
    monkeypatch.setattr(footer, *NO_COLUMN)
    report = run(source, tmp_path / "out")
    assert [(out.rows, out.sha256) for out in report.outputs] == [(out.rows, out.sha256) for out in expected.outputs]
    assert len(warnings_of_footers(report)) == 1
    assert report.odd_values == expected.odd_values


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("complete", [0, 1, 2])
@unknown_bytes
def test_a_file_is_restarted_from_its_complete_row_groups(
    constant: str, value: object, complete: int, workers: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups = [TABLE.slice(start, 4) for start in range(0, 12, 4)]
    faults: list[UnknownFooterError] = []
    path = tmp_path / "a.parquet"
    with (
        Executor(workers) as executor,
        ParquetFileWriter(path, Encoder(TABLE.schema, executor), {"a": "b"}, on_unknown_footer=faults.append) as file,
    ):
        for group in groups[:complete]:
            file.write(group)
        monkeypatch.setattr(footer, constant, value)
        # The templates of this file are known already after its first row group.
        for group in groups[complete:]:
            file.write(group)
    known = constant == NO_TEMPLATE[0] and complete > 0
    assert len(faults) == (0 if known else 1)
    assert path.read_bytes() == plain(tmp_path / "plain.parquet", groups, {"a": "b"})
    assert (file.written().rows, file.written().columns) == (12, len(TABLE.schema))
    assert file.written().sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert file.written().bytes == path.stat().st_size
    assert {entry.name for entry in tmp_path.iterdir()} == {"a.parquet", "plain.parquet"}


@pytest.mark.parametrize("splice", [True, False])
def test_a_file_without_rows_and_without_a_known_template_is_written(
    splice: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(footer, *NO_TEMPLATE)
    with ParquetFileWriter(tmp_path / "a.parquet", Encoder(TABLE.schema, Executor(1)), {}, splice=splice) as file:
        pass
    assert pq.read_table(file.path).equals(TABLE.slice(0, 0))
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.parquet"]


@pytest.mark.parametrize("complete", [0, 1])
def test_an_error_after_a_restart_leaves_no_file(
    complete: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.parquet"
    with pytest.raises(RuntimeError), ParquetFileWriter(path, Encoder(TABLE.schema, Executor(1)), {}) as file:
        for _ in range(complete):
            file.write(TABLE)
        monkeypatch.setattr(footer, *NO_COLUMN)
        file.write(TABLE)
        raise RuntimeError
    assert not list(tmp_path.iterdir())


def test_parts_with_unknown_footers_are_encoded_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    groups = [TABLE.slice(start, 4) for start in range(0, 12, 4)]
    encoder, faults = Encoder(TABLE.schema, Executor(1)), list[UnknownFooterError]()
    parts = []
    for number, own in enumerate((groups[:1], groups[1:])):
        with ParquetFileWriter(tmp_path / f"{number}.parquet", encoder, {"a": "b"}) as part:
            for group in own:
                part.write(group)
        parts.append(part.path)
    path = tmp_path / "a.parquet"
    with ParquetFileWriter(path, encoder, {"a": "b"}, on_unknown_footer=faults.append) as file:
        file.append(parts[0])
        monkeypatch.setattr(footer, *NO_COLUMN)
        file.append(parts[1])
    assert len(faults) == 1
    assert path.read_bytes() == plain(tmp_path / "plain.parquet", groups, {"a": "b"})


@pytest.mark.slow
def test_the_program_ends_with_0_and_names_the_pyarrow(source: Path, tmp_path: Path) -> None:
    program = (
        "from cytobatch.output.parquet import footer\n"
        f"footer.{NO_TEMPLATE[0]} = {NO_TEMPLATE[1]!r}\n"
        "from cytobatch.__main__ import main\n"
        "main()\n"
    )
    flags = ["run", "--source", str(source), "--destination", str(tmp_path / "out"), "--orchestrator", "none"]
    done = subprocess.run(
        [sys.executable, "-c", program, *flags], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert pq.read_table(tmp_path / "out" / "single_cells.parquet").num_rows == 9
    report = RunReport.model_validate(json.loads((tmp_path / "out" / "run-report.json").read_text()))
    assert f"pyarrow {pa.__version__}" in warnings_of_footers(report)[0]
