"""The program as a process of its own."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
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
