"""What a conversion works with, whatever the plate."""

from dataclasses import dataclass
from pathlib import Path

from cytobatch.engine.duckdb import Engine
from cytobatch.engine.executor import Executor
from cytobatch.readers.inputs import Inputs


@dataclass(frozen=True, slots=True)
class RunResources:
    """The plate's files, the engine and threads of a run, and where it writes.

    Outputs go below `out`, what is only needed for a while below `scratch`. Tables of up to `batch_bytes` at the source
    are read and joined together in memory, and those of `ahead_bytes` before they are written;
    single tables beyond `table_bytes` go through `scratch`.
    """

    inputs: Inputs
    engine: Engine
    executor: Executor
    out: Path
    scratch: Path
    batch_bytes: int
    ahead_bytes: int
    table_bytes: int
