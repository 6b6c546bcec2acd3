"""Checksums of a table's columns, exact for floats and independent of the order of rows.

A value's 64 bits are multiplied by an uneven number that is derived from the key of its row, and summed modulo 2**64. A
value in the wrong row changes the sum as a wrong value does.
"""

import hashlib
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Words = npt.NDArray[np.uint64]

_KEYS = ("Metadata_Well", "Metadata_Site", "Metadata_ImageNumber", "Metadata_Cytoplasm_Number_Object_Number")
_NULL = np.uint64(0x9E3779B97F4A7C15)
_MIXERS = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
_SHIFT = np.uint64(31)


@dataclass(frozen=True, slots=True)
class Column:
    """A column's type, number of nulls, and weighted sum of its values."""

    kind: str
    nulls: int = 0
    sum: int = 0


@dataclass(slots=True)
class Checksums:
    """The checksums of a table that is added in chunks."""

    rows: int = 0
    columns: dict[str, Column] = field(default_factory=dict)

    def add(self, table: pa.Table) -> None:
        weights = _weights(table)
        self.rows += table.num_rows
        for name in table.column_names:
            values = table[name].combine_chunks()
            known = self.columns.get(name, Column(str(values.type)))
            total = known.sum + int(np.sum(_bits(values) * weights, dtype=np.uint64))
            self.columns[name] = Column(known.kind, known.nulls + values.null_count, total % 2**64)

    def differences(self, other: "Checksums") -> list[str]:
        """Return one line for each difference of another table from this one."""
        differences = [] if self.rows == other.rows else [f"{other.rows} rows in place of {self.rows}"]
        differences += [f"column {name} is missing" for name in self.columns if name not in other.columns]
        differences += [f"column {name} is not of the source" for name in other.columns if name not in self.columns]
        for name in self.columns.keys() & other.columns.keys():
            one, two = self.columns[name], other.columns[name]
            if one != two:
                differences.append(f"column {name} differs: {two} in place of {one}")
        return sorted(differences)


def _weights(table: pa.Table) -> Words:
    """Return an uneven number for each row, derived from its key: uint64, (rows,)."""
    mixed = np.zeros(table.num_rows, np.uint64)
    # If a key is missing, the weights come from the other keys: checksums differ, and the key is reported as missing.
    for name in (key for key in _KEYS if key in table.column_names):
        mixed = _mix(mixed + _bits(table[name].combine_chunks()) + _NULL)
    return mixed | np.uint64(1)


def _mix(words: Words) -> Words:
    for factor in _MIXERS:
        words = (words ^ (words >> _SHIFT)) * factor
    return words ^ (words >> _SHIFT)


def _bits(values: pa.Array) -> Words:
    """Return the 64 bits of each value, for text those of its digest: uint64, (rows,)."""
    if pa.types.is_floating(values.type):
        own = values.cast(pa.float64()).fill_null(0.0).to_numpy(zero_copy_only=False).view(np.uint64)
    elif pa.types.is_integer(values.type):
        own = values.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False).view(np.uint64)
    else:
        own = _digests(values.cast(pa.string()).fill_null(""))
    return np.where(pc.is_null(values).to_numpy(zero_copy_only=False), _NULL, own) if values.null_count else own


def _digests(values: pa.Array) -> Words:
    encoded = values.dictionary_encode()
    digests = [
        int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")
        for text in encoded.dictionary.to_pylist()
    ]
    words: Words = np.array(digests, np.uint64)[encoded.indices.to_numpy(zero_copy_only=False)]
    return words
