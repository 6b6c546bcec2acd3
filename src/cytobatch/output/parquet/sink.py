"""Parquet as a sink: the row groups of a conversion, as it produces them."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import ClassVar

import pyarrow as pa

from cytobatch.config.options import PARQUET, PlateJob
from cytobatch.engine.executor import Executor
from cytobatch.output.parquet.encoder import Encoder
from cytobatch.output.parquet.writer import ParquetFileWriter
from cytobatch.output.sink import OutputSpec, RowGroupWriter, RowSource, SinkResources


class ParquetSink:
    """Writes Parquet files."""

    suffix: ClassVar[str] = PARQUET
    row_source: ClassVar[RowSource] = RowSource.CONVERSION
    profiles_only: ClassVar[bool] = False

    def __init__(self) -> None:
        self._encoder: Encoder | None = None

    @classmethod
    def for_job(cls, _job: PlateJob) -> Iterator["ParquetSink"]:
        """Yield one sink, because every job writes Parquet."""
        yield cls()

    def check(self) -> None:
        """Do nothing, because Parquet needs no more than the package's own dependencies."""

    def open(self, output: OutputSpec, resources: SinkResources) -> AbstractContextManager[RowGroupWriter]:
        """Return a writer of one file."""
        return ParquetFileWriter(
            output.path,
            self._encoder_of(output.schema, resources.executor),
            resources.metadata,
        )

    def _encoder_of(self, schema: pa.Schema, executor: Executor) -> Encoder:
        """Return the last file's encoder if it fits: a plate may have thousands of files of one schema."""
        if self._encoder is None or self._encoder.executor is not executor or not self._encoder.schema.equals(schema):
            self._encoder = Encoder(schema, executor)
        return self._encoder
