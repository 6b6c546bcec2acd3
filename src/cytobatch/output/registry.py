"""The sinks of a job: one line for each kind of output."""

from collections.abc import Callable, Iterable

from cytobatch.config.options import PlateJob
from cytobatch.output.anndata_sink import AnnDataSink
from cytobatch.output.parquet.sink import ParquetSink
from cytobatch.output.sink import Sink

SinkFactory = Callable[[PlateJob], Iterable[Sink]]

# Parquet is first, because sinks that read a finished Parquet file read the files of the first sink.
_FACTORIES: list[SinkFactory] = [
    ParquetSink.for_job,
    AnnDataSink.for_job,
]


def sinks_for(job: PlateJob) -> tuple[Sink, ...]:
    """Return the sinks that a job's options name, in the order in which their outputs are published."""
    return tuple(sink for make in _FACTORIES for sink in make(job))
