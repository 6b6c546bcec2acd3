"""The process itself."""

import signal
import subprocess
import sys


def test_sigterm_is_heard_while_the_program_is_still_imported() -> None:
    command = [sys.executable, "-X", "importtime", "-m", "cytobatch", "schema"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        # One of the first that the command line imports.
        for line in process.stderr:
            if "cytobatch.engine.gc_tuning" in line:
                break
        process.send_signal(signal.SIGTERM)
        process.stderr.read()
    assert process.returncode == 143
