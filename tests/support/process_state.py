"""State of the process that a library must not change."""

import csv
import gc
import locale
import logging
import os
import random
import signal
import socket
import sys
import tempfile
import threading
import warnings
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

# Clients that the package imports: what their own import changes is there before the first state is taken.
__import__("boto3")
__import__("cloudpathlib")
__import__("obstore")

_DUCKDB_SETTINGS = ("threads", "memory_limit", "temp_directory", "autoinstall_known_extensions")


def process_state() -> dict[str, Any]:
    """Return state of the process by name."""
    return {
        "Arrow's thread pools": (pa.cpu_count(), pa.io_thread_count()),
        "current directory": Path.cwd(),
        "csv.field_size_limit": csv.field_size_limit(),
        "DuckDB's settings": [duckdb.sql(f"SELECT current_setting('{name}')").fetchall() for name in _DUCKDB_SETTINGS],
        "environment": dict(os.environ),
        "garbage collector": (gc.isenabled(), gc.get_threshold(), gc.get_freeze_count(), list(gc.callbacks)),
        "hooks": (sys.excepthook, sys.unraisablehook, threading.excepthook, sys.gettrace(), sys.getprofile()),
        "import": (list(sys.path), list(sys.meta_path), list(sys.path_hooks)),
        "interpreter": (sys.getrecursionlimit(), sys.getswitchinterval(), _umask(), socket.getdefaulttimeout()),
        "locale": locale.setlocale(locale.LC_ALL),
        "logging": _logging(),
        "NumPy's errors": np.geterr(),
        "random": random.getstate(),
        "signals": {number: signal.getsignal(number) for number in signal.valid_signals()},
        "streams": (sys.stdin, sys.stdout, sys.stderr),
        "temporary folder": tempfile.gettempdir(),
        "threads": threading.enumerate(),
        "warnings": (list(warnings.filters), warnings.showwarning),
    }


def changes(before: dict[str, Any], after: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return the state before and after, of what differs."""
    return {name: (state, after[name]) for name, state in before.items() if after[name] != state}


def _logging() -> tuple[Any, ...]:
    root = logging.getLogger()
    return root.level, list(root.handlers), root.manager.disable, logging.lastResort, logging.raiseExceptions


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
