"""Lines of a log in JSON, and what `status` makes of them."""

from datetime import UTC, datetime

import pytest

from cytobatch.batch.log_event import EventName, Figures, LogEvent, text_lines
from cytobatch.config.log_format import LogLevel

# Each worker must collect tests of the same names.
THEN = datetime(2026, 1, 2, tzinfo=UTC)
ERROR = LogEvent(
    time=THEN,
    level=LogLevel.ERROR,
    event=EventName.PLATE_FAILED,
    plate="P1",
    message="no cells: s3://b/x\n  why: w\n  fix: f",
)


@pytest.mark.parametrize(
    ("line", "lines"),
    [
        ("P1: convert", ["P1: convert"]),
        ('{"a": 1}', ['{"a": 1}']),
        ("{not JSON", ["{not JSON"]),
        (ERROR.line(), ["error: P1: no cells: s3://b/x", "  why: w", "  fix: f"]),
        (LogEvent(time=THEN, event=EventName.STEP_STARTED, plate="P1", message="convert").line(), ["P1: convert"]),
        (
            LogEvent(time=THEN, level=LogLevel.ERROR, event=EventName.RUN_ENDED, message="1 of 2 plates failed").line(),
            ["1 of 2 plates failed"],
        ),
        (
            '{"event": "new", "level": "error", "message": "of a later version", "more": 1}',
            ["error: of a later version"],
        ),
    ],
)
def test_a_line_of_json_becomes_the_lines_of_a_log_of_text(line: str, lines: list[str]) -> None:
    assert text_lines(line) == lines


def test_an_event_is_one_line_without_secrets_and_control_characters() -> None:
    text = "a\x1b[31m\rb https://user:hunter2@host/x?X-Amz-Signature=abc \nsecond"
    line = LogEvent(event=EventName.NOTICE, plate="P\n1", message=text, figures=Figures(rows=3)).line()
    assert "\n" not in line
    assert "\x1b" not in line
    assert "\\u001b" not in line
    assert "hunter2" not in line
    assert "abc" not in line
    assert '"figures":{"rows":3}' in line
    assert "second" in line
    assert len(text_lines(line)) == 1
