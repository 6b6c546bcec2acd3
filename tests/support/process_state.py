"""State of the process that a library must not change."""

import csv
import gc
import importlib
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

# The package imports these clients. What their import changes is theirs, and must be there in the first state, too.
for _client in ("boto3", "cloudpathlib", "obstore"):
    importlib.import_module(_client)

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
    """Return what differs, as its state before and after. Threads that ended meanwhile are ignored."""
    new_threads = [thread for thread in after["threads"] if thread not in before["threads"]]
    compared = {**after, "threads": before["threads"] + new_threads}
    return {name: (state, compared[name]) for name, state in before.items() if compared[name] != state}


def _logging() -> tuple[Any, ...]:
    root = logging.getLogger()
    return root.level, list(root.handlers), root.manager.disable, logging.lastResort, logging.raiseExceptions


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
