"""Modules are imported, and limits found, on systems that lack what Linux has: Windows and macOS."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import cytobatch

WINDOWS = """
import mmap, os, sys
sys.platform = "win32"
sys.modules["resource"] = None
for name in ("sched_getaffinity", "sysconf", "getuid", "fork"):
    delattr(os, name)
for name in ("MAP_PRIVATE", "MAP_ANONYMOUS", "MAP_SHARED"):
    delattr(mmap, name)
"""
MACOS = """
import os
del os.sched_getaffinity
"""


def modules() -> list[str]:
    root = Path(cytobatch.__file__).parent
    paths = sorted(path.relative_to(root.parent) for path in root.rglob("*.py") if path.stem != "__main__")
    return [".".join(path.with_suffix("").parts).removesuffix(".__init__") for path in paths]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("system", "memory"),
    [(WINDOWS, 2**32), pytest.param(MACOS, None, marks=pytest.mark.long)],
    ids=["Windows", "macOS"],
)
def test_modules_are_imported_and_limits_and_buffers_are_there(system: str, memory: int | None) -> None:
    script = f"""
import importlib, sys
names = {modules()!r}
for name in names:
    importlib.import_module(name)
# Other packages have been imported as Linux has them. The package's own modules are imported once more.
for name in names:
    del sys.modules[name]
{system}
for name in names:
    importlib.import_module(name)
from pathlib import Path
from cytobatch.engine.buffers import BufferKind, thread_buffer
from cytobatch.engine.resources import machine_limits
buffer = thread_buffer(BufferKind.TEXT, 1000)
buffer[999] = 7
limits = machine_limits(Path("/no such folder"))
print(len(buffer) >= 1000, limits.workers, limits.memory)
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    fits, workers, found = done.stdout.split()
    assert fits == "True"
    assert int(workers) == os.cpu_count()
    assert int(found) == (memory or os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
