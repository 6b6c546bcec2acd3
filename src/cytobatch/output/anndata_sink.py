"""AnnData as a sink: the same profiles as `.h5ad` files or `.zarr` folders, written from the finished Parquet."""

import importlib
import importlib.util
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, ClassVar

from cytobatch.config.option_types import AnnDataFormat, AnnDataPrecision
from cytobatch.config.options import PlateJob
from cytobatch.errors import ConfigurationError
from cytobatch.output.sink import OutputSpec, RowGroupWriter, RowSource, SinkResources, metadata_of

_PREFIX = "cytobatch."
_LIBRARY = "anndata"


@dataclass(frozen=True, slots=True)
class AnnDataSink:
    """Profiles in one of AnnData's formats."""

    format: AnnDataFormat
    precision: AnnDataPrecision | None = None
    # The shape of X, and so the number of rows, is fixed when the file is made.
    row_source: ClassVar[RowSource] = RowSource.PARQUET
    profiles_only: ClassVar[bool] = True

    @classmethod
    def for_job(cls, job: PlateJob) -> Iterator["AnnDataSink"]:
        """Yield a sink for each format that the job names."""
        return (cls(name, job.anndata_precision) for name in job.anndata)

    @property
    def suffix(self) -> str:
        """The suffix of the format."""
        return f".{self.format}"

    def check(self) -> None:
        """Raise ConfigurationError if the library is not installed."""
        if importlib.util.find_spec(_LIBRARY) is None:
            raise ConfigurationError(
                "support for AnnData is not installed",
                where="anndata",
                why=f"there is no package {_LIBRARY!r}",
                remedy="install cytobatch[anndata], or leave the option out",
            )

    def open(self, output: OutputSpec, resources: SinkResources) -> AbstractContextManager[RowGroupWriter]:
        """Return a writer of one file or folder."""
        # The library is an extra, and its import takes seconds.
        writer: Any = importlib.import_module("cytobatch.output.anndata_writer")
        metadata = _own_metadata(output, resources)
        opened: AbstractContextManager[RowGroupWriter] = writer.open_anndata(
            output, self.format, self.precision, metadata
        )
        return opened


def _own_metadata(output: OutputSpec, resources: SinkResources) -> dict[str, str]:
    """Return the run's metadata as Parquet footers have them, without the prefix of their keys."""
    metadata = metadata_of(output, resources).items()
    return {key.removeprefix(_PREFIX): value for key, value in metadata if key.startswith(_PREFIX)}
