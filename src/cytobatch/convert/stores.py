"""The same profiles as AnnData, made from the Parquet just written."""

import importlib
import importlib.util
from collections.abc import Sequence
from typing import Any

from cytobatch.convert.context import Conversion
from cytobatch.errors import ConfigurationError
from cytobatch.files import written
from cytobatch.jobspec import PARQUET, AnnDataFormat
from cytobatch.parquet import read_pieces, read_schema

_LIBRARY = "anndata"


def check_anndata() -> None:
    """Raises ConfigurationError, before anything is spent, where the library is not installed."""
    if importlib.util.find_spec(_LIBRARY) is None:
        raise ConfigurationError(
            "support for AnnData is not installed", where="anndata", why=f"there is no package {_LIBRARY!r}",
            remedy="install cytobatch[anndata], or leave the option out",
        )  # fmt: skip


def write_anndata(run: Conversion, formats: Sequence[AnnDataFormat]) -> None:
    """Writes each profile in each of the formats, beside its Parquet."""
    # The library is an extra, and takes seconds to import.
    annotated: Any = importlib.import_module("cytobatch.annotated")
    for name, profile in list(run.sink.profiles.items()):
        schema = read_schema(profile.file.path)
        for kind in formats:
            other = f"{name.removesuffix(PARQUET)}.{kind}"
            path = run.sink.path_of(other)
            rows = profile.file.rows
            annotated.write(read_pieces(profile.file.path), schema, profile.features, rows, path, kind)
            run.sink.files[other] = written(path, rows, profile.file.columns)
