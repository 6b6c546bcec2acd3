"""State of the whole process that a conversion changes for a while, and restores.

Arrow's thread pools, whether Arrow knows pandas, and how often Python looks for cycles belong to the process and not to
a thread. Several conversions may run at once, in threads of one process: the first to start makes the change, the last
to end undoes it.
"""

import gc
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

import pyarrow as pa

from cytobatch.engine.gc_tuning import GC_THRESHOLD

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
    """An import finder that fails pyarrow's own import of pandas, and leaves every other import of pandas alone.

    pyarrow imports pandas when the first Python value becomes an Arrow array or scalar, because that value might be a
    pandas object (`_PandasAPIShim` in pyarrow's pandas-shim.pxi). That import was a quarter of the CPU time of a small
    conversion. The shim tries it once; if it fails, no value is taken for a pandas object. The shim's `__init__` resets
    it, so that it tries again.

    `sys.modules["pandas"] = None` would fail the import in all threads of the caller. This finder fails it only in the
    thread that provokes pyarrow's attempt. Once other code imports pandas, the shim is reset, because pandas objects
    may exist from then on.
    """

    def __init__(self, shim: Any) -> None:
        self._shim = shim
        self._provoking_thread: int | None = None

    def find_spec(self, name: str, _path: object = None, _target: object = None, /) -> None:
        """Leave the import to the next finder. Raises ModuleNotFoundError for the import that `install` provokes."""
        if name != "pandas":
            return
        if threading.get_ident() == self._provoking_thread:
            raise ModuleNotFoundError("hidden from pyarrow", name=name)
        self._shim.__init__()

    def install(self) -> None:
        """Provoke pyarrow's attempt to import pandas, and fail it."""
        sys.meta_path.insert(0, self)
        self._provoking_thread = threading.get_ident()
        try:
            pa.scalar(0)
        finally:
            self._provoking_thread = None

    def remove(self) -> None:
        """Reset the shim, so that pyarrow tries the import again at the next need."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)
        self._shim.__init__()


def _hide_pandas() -> _PandasHider | None:
    """Fail pyarrow's import of pandas. Returns None if pandas is imported already, or this pyarrow has no such shim."""
    shim = getattr(pa.lib, "_pandas_api", None)
    if shim is None or "pandas" in sys.modules:
        return None
    hider = _PandasHider(shim)
    hider.install()
    return hider


def _show_pandas(hider: _PandasHider | None) -> None:
    if hider is not None:
        hider.remove()


def _look_for_cycles_less_often() -> tuple[int, int, int]:
    """Let the garbage collector run less often, unless the process has chosen that. Returns its thresholds."""
    thresholds = gc.get_threshold()
    # 0 switches it off.
    if thresholds[0]:
        gc.set_threshold(max(thresholds[0], GC_THRESHOLD), *thresholds[1:])
    return thresholds


def _set_thresholds(thresholds: tuple[int, int, int]) -> None:
    gc.set_threshold(*thresholds)


_pools = _SharedChange(_pool_sizes, _set_pool_sizes)
_pandas = _SharedChange(_hide_pandas, _show_pandas)
_collector = _SharedChange(_look_for_cycles_less_often, _set_thresholds)


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


@contextmanager
def collected_less_often() -> Iterator[None]:
    """Let the garbage collector run less often. For thousands of columns it runs 150 times and frees nothing."""
    with _collector.held():
        yield
