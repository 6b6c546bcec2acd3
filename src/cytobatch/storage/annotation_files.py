"""Platemaps and LoadData files from a store, as text: plain or gzip, in UTF-8 or UTF-16, or a Parquet file."""

import codecs
import csv
import gzip
import io
import zlib

import pyarrow as pa

from cytobatch.errors import AnnotationError
from cytobatch.output.parquet.reader import read_bytes
from cytobatch.storage.access import Access, Clients, open_path, read_content, storage_errors

_GZIP, _PARQUET, _ZIP = b"\x1f\x8b", b"PAR1", b"PK\x03\x04"


def read_table_text(uri: str, access: Access, clients: Clients | None = None) -> str:
    """Return the text of a table by its path or URI; of a Parquet file, its rows as CSV.

    For S3 the client is one of `clients`, if given.

    Raises StorageError if the file cannot be read, and AnnotationError if its content is no such table.
    """
    with storage_errors(uri):
        content = read_content(open_path(uri, access, clients=clients), check_md5=access.check_md5)
    return table_text(content, uri)


def table_text(content: bytes, where: str) -> str:
    """Return the text of a table from the bytes of its file. Raises AnnotationError."""
    if content.startswith(_GZIP):
        content = _unpacked(content, where)
    if content.startswith(_PARQUET):
        return _rows_as_csv(content, where)
    if content.startswith(_ZIP):
        raise AnnotationError(
            "not a text table", where=where, why="it is an Excel workbook or a zip archive", remedy="save it as CSV"
        )
    is_utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = content.decode("utf-16" if is_utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise _not_utf8(where, str(error)) from error
    if "\0" in text:
        raise _not_utf8(where, "it has null characters, as text in UTF-16 without its mark has")
    return text


def _not_utf8(where: str, why: str) -> AnnotationError:
    return AnnotationError("not UTF-8 text", where=where, why=why, remedy="save it as UTF-8")


def _unpacked(content: bytes, where: str) -> bytes:
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise AnnotationError(
            "damaged gzip file", where=where, why=str(error), remedy="fetch or compress it again"
        ) from error


def _rows_as_csv(content: bytes, where: str) -> str:
    try:
        table = read_bytes(content)
    except (pa.ArrowException, OSError) as error:
        raise AnnotationError(
            "damaged Parquet file", where=where, why=str(error), remedy="fetch or write it again"
        ) from error
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(table.column_names)
    writer.writerows(zip(*(column.to_pylist() for column in table.columns), strict=True))
    return stream.getvalue()
