"""State of the whole process that a conversion changes for a while, and restores.

Arrow's thread pools, and whether Arrow knows pandas, belong to the process and not to a thread. Several conversions may
run at once, in threads of one process: the first to start makes the change, the last to end undoes it.
"""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

import pyarrow as pa

State = TypeVar("State")


class _SharedChange(Generic[State]):
    """A change of process state that several threads may need at once."""

    def __init__(self, make: Callable[[], State], undo: Callable[[State], None]) -> None:
        self._make, self._undo = make, undo
        self._lock = threading.Lock()
        self._users = 0
        self._state: State | None = None

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep the change made until the last thread leaves."""
        with self._lock:
            if self._users == 0:
                self._state = self._make()
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if self._users == 0 and self._state is not None:
                    self._undo(self._state)
                    self._state = None


def _pool_sizes() -> tuple[int, int]:
    """Return the sizes of Arrow's CPU and IO thread pools."""
    return pa.cpu_count(), pa.io_thread_count()


def _set_pool_sizes(sizes: tuple[int, int]) -> None:
    cpu_threads, io_threads = sizes
    pa.set_cpu_count(cpu_threads)
    pa.set_io_thread_count(io_threads)


class _PandasHider:
    """An import finder through which pyarrow finds no pandas, while every other importer still does.

    pyarrow imports pandas as soon as a Python value becomes an Arrow array or scalar, because that value might be a
    pandas object (`_PandasAPIShim` in pyarrow's pandas-shim.pxi). The import takes as long as a small conversion. The
    shim looks once: after a look that fails, it takes no value for a pandas object. Its `__init__` lets it look again.

    `sys.modules["pandas"] = None` would hide pandas from all threads of the caller; this hides it from the one that
    makes pyarrow look. As soon as any code imports pandas, pyarrow may look again.
    """

    def __init__(self, shim: Any) -> None:
        self._shim = shim
        self._looking_thread: int | None = None

    def find_spec(self, name: str, _path: object = None, _target: object = None, /) -> None:
        """Leave the import to the next finder. Raises ModuleNotFoundError if pyarrow looks for pandas."""
        if name != "pandas":
            return
        if threading.get_ident() == self._looking_thread:
            raise ModuleNotFoundError("hidden from pyarrow", name=name)
        self._shim.__init__()

    def install(self) -> None:
        """Make pyarrow look for pandas now, so that it finds none."""
        sys.meta_path.insert(0, self)
        self._looking_thread = threading.get_ident()
        try:
            pa.scalar(0)
        finally:
            self._looking_thread = None

    def remove(self) -> None:
        """Let pyarrow look for pandas again at the next need."""
        sys.meta_path.remove(self)
        self._shim.__init__()


def _hide_pandas() -> _PandasHider | None:
    """Hide pandas from pyarrow. Returns None if it is imported already, or pyarrow has no such shim any more."""
    shim = getattr(pa.lib, "_pandas_api", None)
    if shim is None or "pandas" in sys.modules:
        return None
    hider = _PandasHider(shim)
    hider.install()
    return hider


_pools = _SharedChange(_pool_sizes, _set_pool_sizes)
_pandas = _SharedChange(_hide_pandas, lambda hider: hider.remove() if hider else None)


@contextmanager
def arrow_threads_restored() -> Iterator[None]:
    """Give Arrow's two thread pools back the sizes that they had.

    While several conversions run at once, the pools have the sizes of the one that started last.
    """
    with _pools.held():
        yield


@contextmanager
def pandas_not_imported() -> Iterator[None]:
    """Convert Python values to Arrow without importing pandas; code that imports it itself still can."""
    with _pandas.held():
        yield
