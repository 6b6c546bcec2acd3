"""The program as a process of its own."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

Run = Callable[..., subprocess.CompletedProcess[str]]
"""The type of the fixture `cytobatch`: arguments and, as `env`, variables in; the finished process out."""

_TIMEOUT = 300


def run_program(
    *arguments: str, folder: Path, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the program in a folder, with the environment of this process and the variables of `env`."""
    environment = {**os.environ, **(env or {}), "COLUMNS": "200"}
    command = [sys.executable, "-m", "cytobatch", *arguments]
    return subprocess.run(
        command, env=environment, cwd=folder, capture_output=True, text=True, timeout=_TIMEOUT, check=False
    )


@contextmanager
def started_program(*arguments: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Start the program in a folder, with its standard error to read; it is killed at the end of the context."""
    command = [sys.executable, "-m", "cytobatch", *arguments]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, cwd=folder)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def lines_to(process: subprocess.Popen[str], pattern: str) -> list[str]:
    """Read lines of a started program until one matches, and return them."""
    assert process.stderr is not None
    lines: list[str] = []
    for line in process.stderr:
        lines.append(line)
        if re.search(pattern, line):
            return lines
    raise AssertionError("".join(lines))
