"""Finds out, once in a process, whether the footers of this pyarrow can be spliced."""

import functools
from io import BytesIO

import pyarrow as pa

from cytobatch.engine.executor import Executor
from cytobatch.output.parquet.encoder import Encoder
from cytobatch.output.parquet.footer import UnknownFooterError
from cytobatch.output.parquet.writer import PlainParquet, SplicedParquet


@functools.cache
def splice_fault() -> str | None:
    """Return why the footers of this pyarrow cannot be spliced, or None if they can.

    Writes a small table of two row groups spliced and by one plain writer, in memory, and compares the bytes.
    """
    table = _probe_table().replace_schema_metadata({"cytobatch.probe": "1"})
    spliced, plain = BytesIO(), BytesIO()
    writers = (
        SplicedParquet(spliced, Encoder(table.schema, Executor(1)), table.schema),
        PlainParquet(plain, table.schema),
    )
    try:
        for writer in writers:
            writer.write(table.slice(0, 2))
            writer.write(table.slice(2))
            writer.finish()
    except UnknownFooterError as error:
        return str(error)
    return None if spliced.getvalue() == plain.getvalue() else "its bytes differ from those of one plain writer"


def _probe_table() -> pa.Table:
    """Return two blocks of columns: 16 floats, and other types.

    It is made on demand, because pyarrow imports pandas when the first Python value becomes an Arrow value.
    """
    floats = {f"Cells_{number}": pa.array([0.5, None, number]) for number in range(16)}
    others = {
        "Metadata_ImageNumber": pa.array([1, 2, None], pa.int64()),
        "Metadata_Well": pa.array(["A01", "A01", None], pa.string()),
        "Metadata_Flag": pa.array([True, None, False], pa.bool_()),
        "Metadata_Count": pa.array([1, 2, 3], pa.int32()),
        "Nuclei_Single": pa.array([None, 1.5, 2.5], pa.float32()),
    }
    return pa.table({**floats, **others})
