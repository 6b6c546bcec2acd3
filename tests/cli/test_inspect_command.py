"""`cytobatch inspect`: what it prints of a source, a result and a Parquet file."""

import json
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

import cytobatch
from cytobatch.cli.app import main
from cytobatch.cli.printing import inspection
from cytobatch.errors import ExitCode
from cytobatch.synthetic import PlateFormat, SyntheticPlate, write_plate
from tests.support.plates import write_sites

Capture = pytest.CaptureFixture[str]


def printed(capsys: Capture, *words: object) -> str:
    capsys.readouterr()
    assert main(["inspect", *map(str, words)]) == ExitCode.OK
    return capsys.readouterr().out


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a plate in `in`, and its result in `out`."""
    root = tmp_path_factory.mktemp("inspect")
    write_plate(SyntheticPlate(wells=2, sites=2), root / "in", PlateFormat.CSV)
    cytobatch.convert(root / "in", root / "out", well_profiles="median", memory="4GiB", workers=1)
    return root


def test_a_source_is_printed_with_tables_columns_by_kind_and_rows(folders: Path, capsys: Capture) -> None:
    shown = printed(capsys, folders / "in", "--rows", 2)
    for pattern in (
        r"^layout        csv, preset cellprofiler_csv$",
        r"^plates        BR00117035$",
        r"^measures      2 wells, 4 sites, 4 exports$",
        r"^files         16 to read, .* kB; 4 ignored$",
        r"^table         cells: \d+ rows, 104 columns: 100 features, 4 of metadata$",
        r"^                groups Texture 59, Intensity 25, AreaShape 8, Granularity 8$",
        r"^                channels DNA 21, ER 21, RNA 21, AGP 16, Mito 13$",
        r"^table         image: 4 rows, 18 columns: 3 of metadata, 15 about images; 10 of text$",
        r"^join          one row for each object of cytoplasm$",
        r"^sample        the first 2 rows of cytoplasm$",
        r"^              ObjectNumber            1        2$",
    ):
        assert re.search(pattern, shown, re.MULTILINE), pattern
    assert "sample" not in printed(capsys, folders / "in", "--rows", 0)


def test_a_result_is_printed_with_verdict_provenance_and_map(folders: Path, capsys: Capture) -> None:
    shown = printed(capsys, folders / "out")
    report = cytobatch.open_result(folders / "out")
    for line in (
        "verdict       in: Usable",
        f"made          {report.finished:%Y-%m-%d %H:%M} UTC by cytobatch {cytobatch.__version__}",
        f"digest        {report.digest}",
        "options       well_profiles=median",
        "columns       320 columns: 300 features, 15 of metadata, 5 about images; 7 of text",
        "                of Cells 100, Cytoplasm 100, Nuclei 100",
        "map              1   3   5   7   9   11",
        f"page          {report.page}",
        "sample        the first 5 rows of single_cells.parquet",
    ):
        assert line in shown.splitlines(), line
    assert "blank: no images" in shown


def test_a_parquet_file_of_another_program_is_said_to_be_one(tmp_path: Path, capsys: Capture) -> None:
    pq.write_table(pa.table({"x": pa.array([1.5, None], pa.float64())}), tmp_path / "a.parquet")
    shown = printed(capsys, tmp_path / "a.parquet")
    assert "columns       1: double 1" in shown
    assert "not a file of cytobatch" in shown
    assert "              x  1.5  -" in shown.splitlines()


def test_json_is_what_the_api_returns(folders: Path, capsys: Capture) -> None:
    found = json.loads(printed(capsys, folders / "out", "--json", "--rows", 1))
    assert found == json.loads(cytobatch.inspect(folders / "out", rows=1).to_json())
    assert found["kind"] == "result"


def test_where_there_is_no_unicode_the_map_is_ascii(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    console = Console()
    monkeypatch.setattr(Console, "encoding", "latin-1")
    monkeypatch.setattr(console, "print", lambda line, **_: lines.append(line))
    inspection.print_inspection(console, cytobatch.inspect(folders / "out", rows=0))
    assert [line for line in lines if "##" in line or ".." in line]
    assert "".join(lines).isascii()


def test_names_from_outside_are_shown_as_text(tmp_path: Path, capsys: Capture) -> None:
    write_sites(tmp_path / "in", 1, plate="[bold]x")
    image = tmp_path / "in" / "A01-1" / "Image.csv"
    image.write_text(image.read_text().replace("[bold]x", "[bold]\x1b[2Jx"))
    shown = printed(capsys, tmp_path / "in")
    assert "plates        [bold]" in shown
    assert "\x1b" not in shown
    assert main(["inspect", str(tmp_path / "\x1b[2J")]) == ExitCode.INPUT_DATA
    assert "\x1b" not in capsys.readouterr().err
