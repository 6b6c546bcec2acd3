"""The dialect of a CSV file: its separators, its decimal mark, its encoding, and whether it is compressed.

Most files are plain: UTF-8, commas, decimal points. Files of other dialects are examined whole once, and Arrow then
decompresses, decodes and splits them.
"""

import codecs
import csv
import functools
import gzip
import io
import re
import zlib
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, TextIO

import pyarrow as pa
import pyarrow.compute as pc

from cytobatch.errors import InvalidTableError
from cytobatch.planning.columns import HEADERS, ColumnKind, kind_of
from cytobatch.readers.csv.field_limit import field_limit_for
from cytobatch.readers.numbers import is_number

_UTF8 = "utf8"
"""The name under which Arrow reads UTF-8 without decoding it first."""
_GZIP = b"\x1f\x8b"
_BYTE_ORDER_MARKS = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16", codecs.BOM_UTF8: _UTF8}
_SINGLE_BYTE = ("cp1252", "latin-1")
"""Encodings of Western Europe; the second has a character for each byte."""
_MULTIBYTE = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
_DELIMITERS = {";": "semicolons", "\t": "tabs", "|": "bars"}
_SEPARATOR_LINE = re.compile(r"\ufeff?\"?sep=(.)\"?\s*", re.IGNORECASE)
_SEPARATOR_BYTES = (b"sep=", b'"sep=', codecs.BOM_UTF8 + b"sep=", codecs.BOM_UTF8 + b'"sep=')
_DECIMAL = re.compile(r"\s*[+-]?[0-9]*([.,])[0-9]+([eE][+-]?[0-9]+)?\s*")
_COMMA_NUMBER = r"^\s*[+-]?[0-9]*,[0-9]+([eE][+-]?[0-9]+)?\s*$"
_POINT_NUMBER = r"^\s*[+-]?[0-9]*\.[0-9]+([eE][+-]?[0-9]+)?\s*$"
_HEAD_BYTES, _BLOCK_BYTES = 4 * 2**10, 2**20


@dataclass(frozen=True, slots=True)
class CsvDialect:
    """How the bytes of a CSV file become values.

    Attributes
    ----------
    delimiter
        The character between values.
    decimal_comma
        Whether numbers have a comma before their fraction.
    encoding
        Python's name of the encoding.
    compressed
        Whether gzip compressed the file.
    returns
        Whether a carriage return alone may end a line.
    separator_line
        Whether a line `sep=` precedes the header, as Excel writes it.
    """

    delimiter: str = ","
    decimal_comma: bool = False
    encoding: str = _UTF8
    compressed: bool = False
    returns: bool = False
    separator_line: bool = False

    @property
    def assumptions(self) -> str:
        """Return what does not follow from the file with certainty, in words; empty for most dialects."""
        encoding = f"is not UTF-8 and is read as {self.encoding}" if self.encoding in _SINGLE_BYTE else ""
        return " and ".join(filter(None, (encoding, "has decimal commas" if self.decimal_comma else "")))


PLAIN = CsvDialect()
"""The dialect of most files, which the fast ways of reading expect."""


def is_plain(header: bytes) -> bool:
    """Return False if the first line of a file shows a dialect that its bytes must be examined for."""
    if header.startswith((_GZIP, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, *_SEPARATOR_BYTES)) or b"\0" in header:
        return False
    line = header.rstrip(b"\r\n") if header.endswith(b"\n") else header
    return b"\r" not in line or _is_quoted(line)


def _is_quoted(line: bytes) -> bool:
    """Return True if the first carriage return of a line lies within quotes."""
    return line[: line.index(b"\r")].count(b'"') % 2 == 1


@functools.lru_cache(maxsize=HEADERS)
def delimiter_of(header: str) -> str:
    """Return the character that separates the names of a header.

    It is a comma, unless another one is more frequent and follows the first name.
    """
    given = _SEPARATOR_LINE.fullmatch(header)
    if given:
        return given[1]
    most = max(_DELIMITERS, key=header.count)
    return most if header.count(most) > header.count(",") and most in header.partition(",")[0] else ","


def is_separator_line(line: str) -> bool:
    """Return True if a line names the separator of the file, as Excel writes it above the header."""
    return _SEPARATOR_LINE.fullmatch(line) is not None


def split_line(line: str, delimiter: str) -> list[str]:
    """Parse the values of one line. Raises csv.Error."""
    with field_limit_for(line):
        return next(csv.reader(io.StringIO(line, newline=""), delimiter=delimiter), [])


def beginning_text(beginning: bytes) -> tuple[str, str]:
    """Return the text in the first bytes of a file of any dialect, from its header on, and its delimiter."""
    data = _decompressed(beginning) if beginning.startswith(_GZIP) else beginning
    text = _decoded(data).removeprefix("\ufeff")
    first = io.StringIO(text, newline="").readline()
    return (text[len(first) :] if _SEPARATOR_LINE.fullmatch(first) else text), delimiter_of(first)


def _decoded(beginning: bytes) -> str:
    """Decode the first bytes of a file, the last character of which may be cut."""
    encoding = _encoding_of(beginning)
    try:
        return codecs.getincrementaldecoder(encoding)().decode(beginning)
    except UnicodeDecodeError:
        in_one_byte = encoding == _UTF8 and not _MULTIBYTE.search(beginning)
        return beginning.decode(_SINGLE_BYTE[0] if in_one_byte else encoding, "replace")


def _decompressed(beginning: bytes) -> bytes:
    try:
        return zlib.decompressobj(wbits=31).decompress(beginning)
    except zlib.error:
        return b""


def _encoding_of(beginning: bytes) -> str:
    """Return the encoding that the first bytes of a file show: UTF-16, or else UTF-8."""
    marked = next((name for mark, name in _BYTE_ORDER_MARKS.items() if beginning.startswith(mark)), None)
    if marked or b"\0" not in beginning[:4]:
        return marked or _UTF8
    return "utf-16-be" if beginning.startswith(b"\0") else "utf-16-le"


@contextmanager
def _open_bytes(path: Path, *, compressed: bool) -> Iterator[BinaryIO]:
    """Open a file, decompressed. Raises InvalidTableError if gzip's data are damaged."""
    with path.open("rb") as raw:
        try:
            if compressed:
                with gzip.open(raw) as stream:
                    yield io.BufferedReader(stream)
            else:
                yield raw
        except EOFError as error:
            raise _invalid(path, "cut short", "its gzip data have no end") from error
        except (gzip.BadGzipFile, zlib.error) as error:
            raise _invalid(path, "damaged gzip data", str(error)) from error


@contextmanager
def open_text(path: Path, dialect: CsvDialect) -> Iterator[TextIO]:
    """Open a file of any dialect as text, in which each line ends with a newline. Raises InvalidTableError."""
    encoding = "utf-8-sig" if dialect.encoding == _UTF8 else dialect.encoding
    with _open_bytes(path, compressed=dialect.compressed) as raw:
        yield io.TextIOWrapper(raw, encoding, newline=None)


def count_lines(path: Path, dialect: CsvDialect) -> int:
    """Return the number of complete lines of a file. Raises InvalidTableError."""
    newline = b"\r" if dialect.returns else b"\n"
    with _open_bytes(path, compressed=dialect.compressed) as stream:
        return sum(block.count(newline) for block in iter(functools.partial(stream.read, _BLOCK_BYTES), b""))


def arrow_input(path: Path, dialect: CsvDialect) -> Path | pa.NativeFile:
    """Return what Arrow reads the bytes of a file from, decompressed whatever its name is."""
    if dialect.compressed:
        return pa.input_stream(path, compression="gzip")
    return pa.OSFile(str(path)) if path.suffix == ".gz" else path


def examine(path: Path) -> tuple[CsvDialect, bool]:
    """Examine all bytes of a file that is not plain.

    Returns its compression and encoding, and whether its last line is complete. Raises InvalidTableError if the bytes
    are damaged, or in no encoding.
    """
    with path.open("rb") as stream:
        compressed = stream.read(len(_GZIP)) == _GZIP
    with _open_bytes(path, compressed=compressed) as stream:
        encoding = _encoding_of(stream.read(_HEAD_BYTES))
    dialect = CsvDialect(compressed=compressed, encoding=encoding)
    try:
        last = _last_character(path, dialect)
    except UnicodeDecodeError as error:
        other = in_single_bytes(path, dialect) if encoding == _UTF8 else None
        if other is None:
            raise _invalid(path, f"not {'UTF-8' if encoding == _UTF8 else 'UTF-16'}", str(error)) from error
        dialect, last = other, _last_character(path, other)
    return dialect, last in {"\r", "\n"}


def _last_character(path: Path, dialect: CsvDialect) -> str:
    """Decode a whole file and return its last character. Raises UnicodeDecodeError and InvalidTableError."""
    decoder = codecs.getincrementaldecoder(dialect.encoding)()
    last = ""
    with _open_bytes(path, compressed=dialect.compressed) as stream:
        for block in iter(functools.partial(stream.read, _BLOCK_BYTES), b""):
            last = decoder.decode(block)[-1:] or last
        return decoder.decode(b"", final=True)[-1:] or last


def in_single_bytes(path: Path, dialect: CsvDialect) -> CsvDialect | None:
    """Return the dialect with an encoding of one byte for each character, for a file that is not UTF-8.

    None if the file has characters of UTF-8: it is UTF-8 with damaged bytes.
    """
    with _open_bytes(path, compressed=dialect.compressed) as stream:
        if any(_MULTIBYTE.search(block) for block in iter(functools.partial(stream.read, _BLOCK_BYTES), b"")):
            return None
    for encoding in _SINGLE_BYTE:
        other = replace(dialect, encoding=encoding)
        try:
            _last_character(path, other)
        except UnicodeDecodeError:
            continue
        return other
    return None


def ends_lines_with_returns(text: TextIO) -> bool:
    """Return True if a carriage return alone ended a line of what was read from a file so far."""
    return "\r" in (text.newlines or ())


def has_decimal_commas(lines: Iterable[str], delimiter: str) -> bool:
    """Return True if at least as many fractions in some rows have a decimal comma as a decimal point."""
    if delimiter == ",":
        return False
    values = (value for line in lines for value in split_line(line, delimiter))
    marks = [number[1] for value in values if (number := _DECIMAL.fullmatch(value))]
    return marks.count(",") >= max(1, marks.count("."))


def with_decimal_point(value: str) -> str:
    """Return a number with a decimal point for its decimal comma, and other text as it is."""
    number = _DECIMAL.fullmatch(value)
    return value.replace(",", ".") if number and number[1] == "," else value


def with_decimal_points(path: Path, texts: pa.Table, numeric: Collection[str] | None = None) -> pa.Table:
    """Replace the decimal commas of columns of numbers.

    Parameters
    ----------
    path
        The file, for errors.
    texts
        Columns of strings.
    numeric
        Names of the columns that must hold numbers. If None, those are converted in which every value is a number, but
        for names and paths of files.

    Raises
    ------
    InvalidTableError
        If a column that must hold numbers has decimal points: `1.234` may be a thousand or a fraction.
    """
    for index, name in enumerate(texts.column_names):
        if name not in numeric if numeric is not None else not _are_numbers(name, texts[name]):
            continue
        if numeric is not None and _any(pc.match_substring_regex(texts[name], _POINT_NUMBER)):
            raise _invalid(path, f"decimal points in column {name!r}", "other numbers of the file have decimal commas")
        has_comma = pc.match_substring_regex(texts[name], _COMMA_NUMBER)
        with_points = pc.replace_substring(texts[name], ",", ".")
        texts = texts.set_column(index, name, pc.if_else(has_comma, with_points, texts[name]))
    return texts


def _are_numbers(name: str, texts: pa.ChunkedArray) -> bool:
    """Return True if every value of a column is a whole number, has a decimal comma, or is missing.

    A column of names or paths of files has texts, whatever they look like.
    """
    if kind_of(name) is ColumnKind.TEXT or not _any(pc.match_substring_regex(texts, _COMMA_NUMBER)):
        return False
    others = pc.unique(texts).filter(pc.invert(pc.match_substring_regex(pc.unique(texts), _COMMA_NUMBER)))
    return all(is_number(text) and "." not in text for text in others.to_pylist() if text)


def _any(flags: pa.ChunkedArray) -> bool:
    """Return True if a flag is set: bool, (rows,), of which nulls count as unset."""
    return pc.any(flags).as_py() is True


def _invalid(path: Path, what: str, why: str) -> InvalidTableError:
    return InvalidTableError(what, where=path.name, why=why, remedy="export or copy it again")
