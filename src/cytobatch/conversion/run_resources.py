"""The resources of one run, which do not depend on the plate's format or options."""

from dataclasses import dataclass, field
from pathlib import Path

from cytobatch.conversion.work_done import WorkCounter
from cytobatch.engine.duckdb import Engine
from cytobatch.engine.executor import Executor
from cytobatch.readers.inputs import Inputs


@dataclass(frozen=True, slots=True)
class RunResources:
    """The plate's files, the engine and threads of a run, its folders, and its byte budgets.

    Outputs are written below `out`, intermediate files below `scratch`. Tables of up to `batch_bytes` at the source are
    read and joined together in memory; up to `ahead_bytes` of them are read before they are written. Single tables
    larger than `table_bytes` go through `scratch`. `work` counts how far the conversion is.
    """

    inputs: Inputs
    engine: Engine
    executor: Executor
    out: Path
    scratch: Path
    batch_bytes: int
    ahead_bytes: int
    table_bytes: int
    work: WorkCounter = field(default_factory=WorkCounter)
