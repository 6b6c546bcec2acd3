"""Code that is run in a Python process of its own."""

import subprocess
import sys
import textwrap
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_SECONDS = 300


def run_python(code: str, *arguments: object) -> str:
    """Run code in a process of its own and return what it prints. Fails the test if the process fails."""
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, timeout=_SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
