"""What is published, held against its report: files, checksums, footers, and the keys of rows."""

from collections.abc import Iterator, Mapping, Sequence
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
    checksums = {file.relative_to(path).as_posix() if output.files else "": sha256_of(file) for file in files}
    of_files = list(_stored_differences(name, path, output, checksums))
    yield from of_files or _whole_differences(name, files, output, checksums)
    if path.suffix == PARQUET:
        yield from _shape_differences(name, path, output)


def _stored_differences(
    name: str, path: Path, output: OutputFile, checksums: Mapping[str, str]
) -> Iterator[Difference]:
    """Yield the differences of an output's files, by their names below it: "" is the name of the output itself."""
    stored = {each.path.removeprefix(output.path).removeprefix("/"): each for each in output.stored}
    if stored and stored.keys() != checksums.keys():
        what = "the report does not have each file of the output as it is stored"
        yield Difference(DifferenceKind.SHAPE, name, what, None, None, str(sorted(checksums)), str(sorted(stored)))
    for below in stored.keys() & checksums.keys():
        file, of_report = path / below, stored[below]
        label = f"{name}/{below}" if below else name
        yield from _content_differences(
            label, (file.stat().st_size, checksums[below]), (of_report.bytes, of_report.sha256)
        )


def _whole_differences(
    name: str, files: Sequence[Path], output: OutputFile, checksums: Mapping[str, str]
) -> Iterator[Difference]:
    """Yield the differences of a whole output. The checksum of a folder is that of the list of `sha256sum`."""
    size = sum(file.stat().st_size for file in files)
    checksum = sha256_of_folder(checksums) if output.files else checksums[""]
    yield from _content_differences(name, (size, checksum), (output.bytes, output.sha256))


def _content_differences(name: str, found: tuple[int, str], expected: tuple[int, str]) -> Iterator[Difference]:
    for what, published, of_report in zip(("size in bytes", "sha256"), found, expected, strict=True):
        if published != of_report:
            yield Difference(DifferenceKind.CONTENT, name, what, None, None, str(published), str(of_report))


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
