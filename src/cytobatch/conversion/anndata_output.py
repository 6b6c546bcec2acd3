"""The same profiles as AnnData, made from the Parquet just written."""

import importlib
import importlib.util
from collections.abc import Sequence
from typing import Any

from cytobatch.config.option_types import AnnDataFormat
from cytobatch.config.options import PARQUET
from cytobatch.conversion.context import Conversion
from cytobatch.errors import ConfigurationError
from cytobatch.output.parquet import read_pieces, read_schema
from cytobatch.output.written_file import written

_LIBRARY = "anndata"


def check_anndata() -> None:
    """Raises ConfigurationError, before anything is spent, where the library is not installed."""
    if importlib.util.find_spec(_LIBRARY) is None:
        raise ConfigurationError(
            "support for AnnData is not installed",
            where="anndata",
            why=f"there is no package {_LIBRARY!r}",
            remedy="install cytobatch[anndata], or leave the option out",
        )


def write_anndata(run: Conversion, formats: Sequence[AnnDataFormat]) -> None:
    """Writes each profile in each of the formats, beside its Parquet."""
    # The library is an extra, and takes seconds to import.
    annotated: Any = importlib.import_module("cytobatch.output.anndata_writer")
    for name, profile in list(run.writer.profiles.items()):
        schema = read_schema(profile.file.path)
        for kind in formats:
            other = f"{name.removesuffix(PARQUET)}.{kind}"
            path = run.writer.path_of(other)
            rows = profile.file.rows
            annotated.write(read_pieces(profile.file.path), schema, profile.features, rows, path, kind)
            run.writer.files[other] = written(path, rows, profile.file.columns)
