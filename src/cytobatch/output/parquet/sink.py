"""Parquet as a sink: the row groups of a conversion, as it produces them."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from functools import partial
from typing import ClassVar

import pyarrow as pa

from cytobatch.config.options import PARQUET, PlateJob
from cytobatch.engine.executor import Executor
from cytobatch.output.parquet.encoder import Encoder
from cytobatch.output.parquet.footer import UnknownFooterError
from cytobatch.output.parquet.probe import splice_fault
from cytobatch.output.parquet.writer import ParquetFileWriter
from cytobatch.output.sink import OutputSpec, RowGroupWriter, RowSource, SinkResources, metadata_of


class ParquetSink:
    """Writes Parquet files, by several threads if pyarrow's footers can be spliced.

    If they cannot, it warns once, and writes this and all later files by one plain writer.
    """

    suffix: ClassVar[str] = PARQUET
    row_source: ClassVar[RowSource] = RowSource.CONVERSION
    profiles_only: ClassVar[bool] = False

    def __init__(self) -> None:
        self._encoder: Encoder | None = None
        self._splice = True

    @classmethod
    def for_job(cls, _job: PlateJob) -> Iterator["ParquetSink"]:
        """Yield one sink, because every job writes Parquet."""
        yield cls()

    def check(self) -> None:
        """Do nothing, because Parquet needs no more than the package's own dependencies."""

    def open(self, output: OutputSpec, resources: SinkResources) -> AbstractContextManager[RowGroupWriter]:
        """Return a writer of one file."""
        fault = splice_fault() if self._splice else None
        if fault is not None:
            self._fall_back(resources, fault)
        return ParquetFileWriter(
            output.path,
            self._encoder_of(output.schema, resources.executor),
            metadata_of(output, resources),
            splice=self._splice,
            on_unknown_footer=partial(self._fall_back, resources),
        )

    def _fall_back(self, resources: SinkResources, reason: UnknownFooterError | str) -> None:
        """Write later files by one plain writer, and warn."""
        self._splice = False
        resources.on_warning(plain_writer_warning(reason))

    def _encoder_of(self, schema: pa.Schema, executor: Executor) -> Encoder:
        """Return the last file's encoder if it fits: a plate may have thousands of files of one schema."""
        if self._encoder is None or self._encoder.executor is not executor or not self._encoder.schema.equals(schema):
            self._encoder = Encoder(schema, executor)
        return self._encoder


def plain_writer_warning(reason: UnknownFooterError | str) -> str:
    """Return the report's warning for files that one plain writer has written."""
    return (
        f"Parquet is written by one thread, because cytobatch does not know the footers of pyarrow {pa.__version__} "
        f"({reason}); the rows are the same, but one CPU encodes them, and a row group is in memory as a whole; "
        "fix: install a pyarrow that cytobatch is tested with, or a newer cytobatch"
    )
