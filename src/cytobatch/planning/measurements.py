"""The parts of CellProfiler's measurement names: the category and the images. Pure functions.

A name is `Category_Feature_Parameters`, after the name of the objects. Images are among the parameters, where the
module that measures puts them:
https://cellprofiler-manual.s3.amazonaws.com/CellProfiler-3.0.0/help/output_measurements.html

Categories and images may be any words, and an image's name may have underscores (`Mito_Tub`). Therefore the names of a
plate are read together: some features end in their image, and these images are looked for in the others.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from cytobatch.planning.columns import OBJECT_NUMBER

_AGGREGATE = re.compile(r"(?:Mean|Median|StDev)_[^_]+_")
_FILE = re.compile(r"(?:FileName|PathName|URL|MD5Digest|Width|Height|Scaling|Series|Frame|Channel)_(.+)")
_WHOLE = re.compile(r"(?:Intensity_[^_]+|Granularity_[0-9]+|Location_(?:CenterMass|Max)Intensity_[XYZ])_(.+)")
"""Features of objects that end in the name of their image."""
_PARAMETERS = {
    "Texture": r"(?:_[0-9]+)+",
    "RadialDistribution": r"_(?:[0-9]+of[0-9]+|Overflow|[0-9]+_[0-9]+)",
    "ImageQuality": "",
    "Intensity": "",
    "Granularity": "",
}
"""What follows the image's name, by category: scales and angles, bins, moments."""
_MASKS = {"ImageQuality": r"(?:_\w+)?", "Intensity": r"(?:_\w+)?"}
"""What may follow the image's name if a whole image is measured: scales, and the objects within which it is."""
_AFTER_KNOWN = {word: re.compile(f"{after}{_MASKS.get(word, '')}") for word, after in _PARAMETERS.items()}
_BEFORE_PARAMETERS = {word: re.compile(f"(.+?){after}") for word, after in _PARAMETERS.items()}
_LOCATION = re.compile(r"Location_(?:CenterMass|Max)Intensity_[XYZ]_(.+)")
_TWO_IMAGES = re.compile(r"Correlation_[^_]+_(.+)")
_WITHOUT_IMAGE = frozenset(
    {
        *("AreaShape", "Children", "Count", "ExecutionTime", "Group", "Location", "Metadata", "ModuleError"),
        *("Neighbors", "Number", "Parent", "Threshold", "TrackObjects"),
    }
)
_CATEGORIES = frozenset({*_PARAMETERS, *_WITHOUT_IMAGE, "Correlation"})
_ORIGINAL = re.compile(r"(?:Orig|Raw|Corr)(?=[A-Z0-9_])_?")
"""The prefixes by which pipelines tell an image as it was loaded from the corrected image that is measured."""


def category(column: str) -> str | None:
    """Return the category of a measurement: its first word.

    Parameters
    ----------
    column
        The name of a column without that of its objects: `AreaShape_Area`. `Mean_Speckles_AreaShape_Area`, an average
        of children, has the category of what is averaged.

    Returns
    -------
    The category, such as `AreaShape`. None for metadata, and for names of one word, which have no category.
    """
    if column == OBJECT_NUMBER:
        return "Number"
    word, separator, _ = _averaged(column).partition("_")
    return word if separator and word != "Metadata" else None


def _averaged(column: str) -> str:
    """Return what a mean of children is a mean of, if its category is known; else the column itself."""
    match = _AGGREGATE.match(column)
    rest = column[match.end() :] if match else ""
    return rest if rest.partition("_")[0] in _CATEGORIES else column


@dataclass(frozen=True, slots=True)
class Channels:
    """The channels of a plate: `measured` are images, `by_image` has the channel of every known image."""

    measured: frozenset[str] = frozenset()
    by_image: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, objects: Iterable[str], images: Iterable[str]) -> "Channels":
        """Return the channels that the names of a plate's columns have.

        Parameters
        ----------
        objects
            Columns of the compartments, without the names of the objects.
        images
            Columns of the image tables, without `Image_`.
        """
        measured = frozenset(match[1] for name in objects if (match := _WHOLE.fullmatch(_averaged(name))))
        loaded = {match[1] for name in images if (match := _FILE.fullmatch(name))}
        return cls(measured, {image: _channel(image, measured) for image in sorted(measured | loaded)})

    def in_name(self, column: str) -> tuple[str, ...]:
        """Return the channels in the name of a column, without that of its objects: none, one, or a pair in order.

        The image of a file has the name of the channel that is measured on it: `OrigDNA` is `DNA`, if only `DNA` is
        measured. A name that fits several pairs has none.
        """
        name = _averaged(column)
        pair = _TWO_IMAGES.fullmatch(name)
        images = self._pair(pair[1]) if pair else self._single(name)
        return tuple(self.by_image.get(image) or _channel(image, self.measured) for image in images)

    def _single(self, name: str) -> tuple[str, ...]:
        if match := _FILE.fullmatch(name) or _LOCATION.fullmatch(name):
            return (match[1],)
        word, _, feature = name.partition("_")
        _, separator, rest = feature.partition("_")
        if not separator or word in _WITHOUT_IMAGE:
            return ()
        if word in _PARAMETERS:
            return self._first_image(word, rest)
        among = {channel for image, channel in self.by_image.items() if f"_{image}_" in f"_{feature}_"}
        return tuple(among) if len(among) == 1 else ()

    def _first_image(self, word: str, rest: str) -> tuple[str, ...]:
        """Return the image at the beginning of `rest`: the longest that is known, or else all before parameters."""
        known = _AFTER_KNOWN[word]
        fitting = [image for image in self.by_image if rest.startswith(image) and known.fullmatch(rest, len(image))]
        if fitting:
            return (max(fitting, key=len),)
        match = _BEFORE_PARAMETERS[word].fullmatch(rest)
        return (match[1],) if match else ()

    def _pair(self, rest: str) -> tuple[str, ...]:
        """Return two images that make up `rest`, which may end in the objects within which whole images are measured.

        Both must be known, or one, or there are two words only.
        """
        words = rest.split("_")
        pairs = [("_".join(words[:n]), "_".join(words[n:])) for n in range(1, len(words))]
        known = self.by_image
        for fitting in (
            [pair for pair in pairs if pair[0] in known and pair[1] in known],
            [(one, two) for one, rest in pairs if one in known for two in known if rest.startswith(f"{two}_")],
            [pair for pair in pairs if pair[0] in known or pair[1] in known],
            pairs,
        ):
            if fitting:
                return fitting[0] if len(fitting) == 1 else ()
        return ()


def _channel(image: str, measured: Collection[str]) -> str:
    """Return the measured image that an image is the original of, if it is one; else the image itself."""
    if image in measured:
        return image
    plain = _ORIGINAL.sub("", image, count=1)
    same = [name for name in measured if _ORIGINAL.sub("", name, count=1) == plain]
    return same[0] if len(same) == 1 else image
