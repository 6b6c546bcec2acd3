"""What is published, held against its report: files, checksums, footers, and the keys of rows."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from cytobatch.config.options import PARQUET
from cytobatch.output.parquet.reader import open_file
from cytobatch.output.written_file import sha256_of, sha256_of_folder
from cytobatch.pipeline.verification.model import Difference, DifferenceKind
from cytobatch.report.model import OutputFile


def output_differences(name: str, path: Path, output: OutputFile) -> Iterator[Difference]:
    """Yield the differences between a published output and what its report has about it.

    Parameters
    ----------
    name
        The output's name in differences.
    path
        The local file, or the local folder of a store.
    output
        The output's entry in the report.
    """
    files = [path / below for below in output.files] or [path]
    missing = [file for file in files if not file.is_file()]
    for file in missing:
        below = "" if file == path else f"/{file.relative_to(path).as_posix()}"
        yield Difference(DifferenceKind.MISSING, f"{name}{below}", "the file is not there")
    if missing:
        return
    size = sum(file.stat().st_size for file in files)
    if size != output.bytes:
        yield Difference(DifferenceKind.CONTENT, name, "size in bytes", None, None, str(size), str(output.bytes))
    checksum = _checksum(path, output)
    if checksum != output.sha256:
        yield Difference(DifferenceKind.CONTENT, name, "sha256", None, None, checksum, output.sha256)
    if path.suffix == PARQUET:
        yield from _shape_differences(name, path, output)


def _checksum(path: Path, output: OutputFile) -> str:
    """Return the checksum of a file; of a folder that of the list that `sha256sum` would print of its files."""
    if not output.files:
        return sha256_of(path)
    return sha256_of_folder({below: sha256_of(path / below) for below in output.files})


def _shape_differences(name: str, path: Path, output: OutputFile) -> Iterator[Difference]:
    try:
        with open_file(path) as file:
            rows, columns = file.metadata.num_rows, len(file.schema_arrow)
    except (OSError, pa.ArrowException) as error:
        yield Difference(DifferenceKind.SHAPE, name, f"it is no readable Parquet file: {error}")
        return
    for what, found, expected in (
        ("rows", rows, output.rows),
        ("columns", columns, output.columns),
    ):
        if found != expected:
            yield Difference(DifferenceKind.SHAPE, name, what, None, None, str(found), str(expected))
