"""`status` on a terminal: it follows until all plates have ended."""

import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cytobatch.errors import ExitCode
from tests.batch.aws.test_batch import job_ids
from tests.support.emulator.lab import Put, RunCli
from tests.support.emulator.start import Applied
from tests.support.plates import write_sites

_TIMEOUT = 300


def on_a_terminal(*words: str) -> tuple[int, str]:
    """Run the program on a terminal of its own, and return its exit code and output."""
    master, terminal = pty.openpty()
    environment = {**os.environ, "COLUMNS": "200", "TERM": "xterm"}
    command = [sys.executable, "-m", "cytobatch", *words]
    shown = b""
    with subprocess.Popen(command, stdout=terminal, stderr=terminal, env=environment) as process:
        os.close(terminal)
        end = time.monotonic() + _TIMEOUT
        while time.monotonic() < end:
            ready, _, _ = select.select([master], [], [], 1)
            try:
                more = os.read(master, 65536) if ready else b""
            except OSError:
                # The writer has closed the terminal.
                break
            shown += more
        process.terminate()
    os.close(master)
    return process.returncode, shown.decode()


@pytest.mark.usefixtures("jobs_image")
def test_on_a_terminal_a_bar_follows_until_all_have_ended(
    lab: Applied, put: Put, run_cli: RunCli, tmp_path: Path
) -> None:
    source, destination = (lab.deployment[name] for name in ("source_uri", "destination_uri"))
    for number in range(2):
        put(write_sites(tmp_path / f"F{number}", 1), f"{source}/follow/F{number}")
    words = ("--source", f"{source}/follow/{{plate}}", "--plate", "*", "--destination", f"{destination}/{{plate}}")
    code, out, err = run_cli("submit", *words)
    assert code == ExitCode.OK, err
    (job,) = job_ids(out)
    code, shown = on_a_terminal("status", job, "--every", "1")
    assert code == ExitCode.OK, shown
    assert "0/2" in shown
    assert "2/2" in shown
    assert "2 plates: 2 succeeded" in shown
