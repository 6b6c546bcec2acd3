"""Estimate the least memory in which a plate is converted, from its plan alone.

The parts are measured: processes in cgroups of the sum finish, for every kind of source (docs/memory.md).
"""

from cytobatch.config.orchestrator import Orchestrator
from cytobatch.formats.base import ConversionPlan
from cytobatch.output.row_groups import row_group_bytes

_MIB = 2**20
_PROCESS = 192 * _MIB
"""Python, Arrow, DuckDB and their libraries."""
_WORK = 96 * _MIB
"""The smallest batches, their keys in DuckDB, and what is read ahead."""
_PREFECT, _ANNDATA = 80 * _MIB, 128 * _MIB
_COPIES_OF_A_ROW_GROUP = 2
"""The tables of a row group's rows, and the pages that they are encoded to."""
_PER_FILE = 20 * 2**10
"""The survey's facts on a file: locations, schemas and the entries of the report."""


def least_memory(plan: ConversionPlan) -> int:
    """Return the bytes of memory below which a conversion is not begun."""
    files = sum(len(export.files) for export in plan.exports)
    extra = (_PREFECT if plan.job.orchestrator is Orchestrator.PREFECT else 0) + (_ANNDATA if plan.job.anndata else 0)
    rows = _COPIES_OF_A_ROW_GROUP * min(row_group_bytes(plan.size), plan.size)
    # Whole MiB, so that a message can be repeated as an option.
    return -(-(_PROCESS + _WORK + extra + rows + _PER_FILE * files) // _MIB) * _MIB
