"""The bar of `convert(progress=True)`: its words, its end, and how it is drawn; `test_notebook` has it in a kernel."""

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

import cytobatch
from cytobatch.pipeline.progress import PlateProgress
from cytobatch.pipeline.progress_bar import ProgressBar, _bar_html, _terminal_bar
from cytobatch.pipeline.steps import PlateStep, StepStarted
from tests.support.batches import HOSTILE
from tests.support.html import parsed_text
from tests.support.plates import write_sites

Shown = tuple[float, str]


def progress(done: int) -> PlateProgress:
    return PlateProgress("P1", PlateStep.CONVERT, done, 100, done // 10, 10, done * 50)


def test_the_bar_is_as_long_as_the_conversion_is_far() -> None:
    shown: list[Shown] = []
    seconds = iter(range(100))
    bar = ProgressBar("P1", lambda _, fraction, words: shown.append((fraction, words)), lambda: next(seconds))
    for step in (PlateStep.PLAN, PlateStep.CONVERT):
        bar(StepStarted("P1", step))
    bar(progress(5))
    bar(progress(50))
    bar(StepStarted("P1", PlateStep.PUBLISH))
    bar.end(failed=False)
    assert [fraction for fraction, _ in shown] == [0.0, 0.0, 0.05, 0.5, 1.0, 1.0]
    words = [words for _, words in shown]
    assert words[:2] == ["plan", "convert"]
    assert words[2].startswith("convert: 5 %, 5 bytes of 100 bytes, 0 of 10 exports, 250 rows")
    assert re.fullmatch(r"convert: 50 %, 50 bytes of 100 bytes, 5 of 10 exports, 2,500 rows, about \d s left", words[3])
    assert words[4] == "publish"
    assert words[5].startswith("done in ")


def test_a_conversion_that_fails_leaves_the_bar_where_it_was(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_sites(tmp_path / "in", 1)
    (source / "P1-A01-1" / "Cells.csv").write_bytes(b"")
    with pytest.raises(cytobatch.TooManyFailedExportsError):
        cytobatch.convert(source, tmp_path / "out", progress=True)
    lines = capsys.readouterr().err.splitlines()
    assert lines[:-1] == ["in: plan", "in: survey", "in: convert"]
    assert lines[-1].startswith("in: failed in step convert after ")
    bar = ProgressBar("P1", lambda _, fraction, words: shown.append((fraction, words)))
    shown: list[Shown] = []
    bar(progress(50))
    bar.end(failed=True)
    assert shown[-1][0] == 0.5


def test_nothing_is_shown_unless_it_is_asked_for(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for number, value in enumerate((False, None)):
        cytobatch.convert(write_sites(tmp_path / "in", 1), tmp_path / f"out{number}", progress=value)
    assert capfd.readouterr() == ("", "")


def test_a_terminal_has_one_line_that_changes() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=100, color_system=None)
    with _terminal_bar(console, "[bold]P\x1b[2J1") as show:
        show("", 0.5, "convert: 50%")
        show("", 1.0, "done in [1] s")
    assert isinstance(console.file, io.StringIO)
    drawn = console.file.getvalue()
    assert "[bold]P" in drawn
    assert "\x1b[2J" not in drawn
    assert "done in [1] s" in drawn.splitlines()[-2]


def test_names_in_a_notebook_stay_text() -> None:
    whole = parsed_text(_bar_html(HOSTILE, 0.25, HOSTILE))
    (bar,) = whole.all("progress")
    assert bar.attributes["value"] == "0.250"
    assert not whole.all("script")
    assert whole.words.count(HOSTILE) == 2
