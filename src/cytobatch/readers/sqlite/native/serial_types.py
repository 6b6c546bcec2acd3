"""Serial types: the types and lengths of a record's values, from its header.

The format: https://www.sqlite.org/fileformat2.html#record_format
"""

import numpy as np
import numpy.typing as npt

from cytobatch.errors import FastPathUnavailable
from cytobatch.readers.sqlite.native.arrays import ByteArray, Int64Array
from cytobatch.readers.sqlite.native.btree import Records

NULL, FLOAT, ZERO, ONE = 0, 7, 8, 9
"""Serial types of null, a float, and the integers 0 and 1; 1 to 6 are integers of 1, 2, 3, 4, 6 and 8 bytes."""
FIRST_BLOB, FIRST_TEXT = 12, 13
"""Blobs have the even types from 12 on, and text the odd ones from 13 on, by their length."""
FIXED_LENGTHS = np.array([0, 1, 2, 3, 4, 6, 8, 8, 0, 0, 0, 0], np.int64)
"""Bytes of a value by its serial type, for those below FIRST_BLOB."""
WRONG_END = "the values of a record do not end where the record ends"
"""The reason of FastPathUnavailable for a record whose values are not as long as it."""

_RESERVED = (10, 11)
_BYTE_LENGTHS = np.append(FIXED_LENGTHS, (np.arange(FIRST_BLOB, 256) - FIRST_BLOB) // 2).astype(np.uint8)
_CONTINUATION_BIT = 0x80

SerialTypes = npt.NDArray[np.integer]


def value_lengths(types: SerialTypes) -> SerialTypes:
    """Return the bytes of each value by its serial type: integers, of the shape of `types`."""
    if types.dtype == np.uint8:
        return np.take(_BYTE_LENGTHS, types)
    fixed = FIXED_LENGTHS[np.minimum(types, FIRST_BLOB - 1)]
    return np.where(types < FIRST_BLOB, fixed, (types - FIRST_BLOB) // 2)


def parse_headers(records: Records, total: int) -> tuple[Int64Array, SerialTypes]:
    """Parse the headers of records.

    Parameters
    ----------
    records
        The records of `rows` rows.
    total
        Columns of the table.

    Returns
    -------
    Bytes of each header, int64, (rows,); and the serial types, uint8 or int64, (rows, total).

    Raises
    ------
    FastPathUnavailable
        If a header is damaged or too long, or does not have `total` serial types, or one of these is reserved.
    """
    content = records.content
    first, second = content[:, 0].astype(np.int64), content[:, 1].astype(np.int64)
    is_long = first >= _CONTINUATION_BIT
    if (is_long & (second >= _CONTINUATION_BIT)).any():
        raise FastPathUnavailable("the header of a record is longer than 16 KiB")
    sizes = np.where(is_long, (first & ~_CONTINUATION_BIT) << 7 | second, first)
    # A header begins with its own size, in one byte or two.
    leads = 1 + is_long
    if (sizes > records.sizes).any():
        raise FastPathUnavailable("the header of a record is longer than the record")
    lead = int(leads[0])
    types = content[:, lead : lead + total]
    if (leads == lead).all() and (sizes - lead == total).all() and (types < _CONTINUATION_BIT).all():
        return sizes, _checked(types)
    rows = zip(content, leads.tolist(), sizes.tolist(), records.sizes.tolist(), strict=True)
    parsed = [_parse_serial_types(row[lead:size], total, record_size) for row, lead, size, record_size in rows]
    return sizes, _checked(np.array(parsed))


def _checked(types: SerialTypes) -> SerialTypes:
    """Return the serial types, integers of any shape. Raises FastPathUnavailable if one is reserved."""
    if np.isin(types, _RESERVED).any():
        raise FastPathUnavailable("a value has a reserved serial type")
    return types


def _parse_serial_types(header: ByteArray, total: int, record_size: int) -> list[int]:
    """Parse the serial types of one header, of which some take several bytes, as those of long texts do.

    Parameters
    ----------
    header
        uint8, (header size,), without its own size.
    total
        Columns of the table.
    record_size
        Bytes of the record.

    Raises
    ------
    FastPathUnavailable
        If the header does not have `total` serial types, or their values are longer than the record.
    """
    types, serial_type = list[int](), 0
    for byte in header.tolist():
        serial_type = serial_type << 7 | byte & ~_CONTINUATION_BIT
        if byte < _CONTINUATION_BIT:
            types.append(serial_type)
            serial_type = 0
    if len(types) != total:
        raise FastPathUnavailable("a record has another number of values than the table has columns")
    # Text of n bytes has the type 2 n + 13. Beyond this sum, lengths would overflow the integers that add them.
    if sum(types) > 2 * record_size + FIRST_TEXT * total:
        raise FastPathUnavailable(WRONG_END)
    return types
