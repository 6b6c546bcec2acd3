"""The program on a real terminal (a pty): what it writes, and when, as frames without control sequences."""

import fcntl
import os
import pty
import re
import signal
import struct
import sys
import termios
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import psutil

_SLICE = 0.05
"""Seconds for which a program goes on, between two stops."""
_COLOUR, _CURSOR = re.compile(r"\x1b\[[0-9;]*m"), re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True, slots=True)
class Frame:
    """What was written at once, without colours.

    It came `seconds` after the start of the program, which had used `cpu_seconds` by then.
    """

    seconds: float
    cpu_seconds: float
    text: str


@dataclass(frozen=True, slots=True)
class Session:
    """A run that has ended."""

    code: int
    frames: tuple[Frame, ...]

    @property
    def text(self) -> str:
        """All that was written."""
        return "".join(frame.text for frame in self.frames)


def on_terminal(*arguments: str, columns: int = 120, lines: int = 30, slower: int = 1) -> Session:
    """Run `cytobatch` on a terminal of some size.

    With `slower`, the step `convert` runs that much slower, as on a busy machine: it is stopped again and again.
    """
    start = time.monotonic()
    process, terminal = pty.fork()
    if not process:
        os.environ |= {"TERM": "xterm-256color", "COLUMNS": "", "LINES": ""}
        os.execv(sys.executable, [sys.executable, "-m", "cytobatch", *arguments])
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    frames = list[Frame]()
    with _slowed(process, slower, frames):
        while data := _read(terminal):
            text = _CURSOR.sub("\r", _COLOUR.sub("", data))
            frames.append(Frame(time.monotonic() - start, _cpu_seconds(process), text))
    os.close(terminal)
    return Session(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), tuple(frames))


def _read(terminal: int) -> str:
    try:
        return os.read(terminal, 2**16).decode(errors="replace")
    except OSError:
        # Linux answers so once the program has ended.
        return ""


def _cpu_seconds(process: int) -> float:
    used = psutil.Process(process).cpu_times()
    return used.user + used.system


@contextmanager
def _slowed(process: int, slower: int, frames: Sequence[Frame]) -> Iterator[None]:
    ended = threading.Event()

    def stop_and_go() -> None:
        while slower > 1 and not ended.wait(_SLICE):
            if frames and " convert " in frames[-1].text:
                os.kill(process, signal.SIGSTOP)
                ended.wait(_SLICE * (slower - 1))
                os.kill(process, signal.SIGCONT)

    thread = threading.Thread(target=stop_and_go)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
