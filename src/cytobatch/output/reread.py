"""Outputs that are written from finished Parquet files, one row group in memory at a time."""

from dataclasses import replace
from pathlib import Path

from cytobatch.output.parquet.reader import read_row_groups, read_schema
from cytobatch.output.parquet.writer import ParquetFileWriter
from cytobatch.output.sink import OutputSpec, RowGroupWriter, Sink, SinkResources
from cytobatch.output.written_file import WrittenFile


def write_from_parquet(sink: Sink, parquet: WrittenFile, output: OutputSpec, resources: SinkResources) -> WrittenFile:
    """Write the rows of a finished Parquet file to an output of another sink, and describe the output."""
    output = replace(output, schema=read_schema(parquet.path), rows=parquet.rows)
    with sink.open(output, resources) as writer:
        for group in read_row_groups(parquet.path):
            writer.write(group)
            # Without this the loop's variable keeps the row group while the next one is read.
            del group
    return writer.written()


def append_part(writer: RowGroupWriter, part: Path) -> None:
    """Append the row groups of a part, which is a Parquet file with the columns and metadata of the whole output.

    A Parquet file takes its pages as they are.
    """
    if isinstance(writer, ParquetFileWriter):
        writer.append(part)
        return
    for group in read_row_groups(part):
        writer.write(group)
        # As above.
        del group
