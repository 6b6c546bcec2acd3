"""The plate, well and site of a row, from the metadata of its image. Spellings of one place are compared as one."""

import re
from collections.abc import Callable, Iterator, Mapping

from cytobatch.pipeline.verification.tables import whole_number
from cytobatch.pipeline.verification.values import Published, Raw, is_missing

_SOURCES = {
    "Metadata_Plate": ("Metadata_Plate", "Image_Metadata_Plate", "Plate ID"),
    "Metadata_Well": ("Metadata_Well", "Image_Metadata_Well", "WELL LABEL"),
    "Metadata_Site": ("Metadata_Site", "Image_Metadata_Site", "FOV"),
}
PLACES = tuple(_SOURCES)
"""The profile's columns with plate, well and site."""
_WELL = re.compile(r"([A-Za-z]{1,2})[-_ ]*0*([1-9][0-9]?)")
_PHENIX = re.compile(r"r0*([1-9][0-9]?)c0*([1-9][0-9]?)(?:f[0-9]+)?", re.IGNORECASE)
_SITE = re.compile(r"[A-Za-z_ -]*0*([0-9]+)")
_DECIMAL_COMMA = re.compile(r"[0-9]+,[0-9]+")
_LETTERS = 26


def places(value_of: Callable[[str], Raw]) -> Mapping[str, str]:
    """Return what an image's metadata, by column, have about its place, by the profile's column: only what is known."""
    found = {column: next(_known(value_of, names), None) for column, names in _SOURCES.items()}
    return {column: place for column, place in found.items() if place is not None}


def is_same_place(column: str, published: Published, expected: str) -> bool:
    """Return whether two spellings stand for one plate, well or site."""
    return published is not None and _plain(column, str(published)) == _plain(column, expected)


def _known(value_of: Callable[[str], Raw], names: tuple[str, ...]) -> Iterator[str]:
    for name in names:
        raw = value_of(name)
        if not isinstance(raw, bytes) and not is_missing(raw):
            yield str(raw).strip()


def _plain(column: str, text: str) -> str:
    if _DECIMAL_COMMA.fullmatch(text):
        text = text.replace(",", ".")
    number = whole_number(text)
    if number is not None:
        return str(number)
    if column == "Metadata_Site":
        site = _SITE.fullmatch(text)
        return site[1] if site else text
    return _plain_well(text) if column == "Metadata_Well" else text


def _plain_well(text: str) -> str:
    """Return a well as letters and a number without zeros: `B3`, for `b03`, `B - 3` and Phenix's `r02c03`."""
    phenix, well = _PHENIX.fullmatch(text), _WELL.fullmatch(text)
    if phenix:
        row = int(phenix[1]) - 1
        first = "A" if row >= _LETTERS else ""
        return f"{first}{chr(ord('A') + row % _LETTERS)}{phenix[2]}"
    return f"{well[1].upper()}{well[2]}" if well else text
