"""The wells of a plate for its report: sites, cells, controls, and the medians of a few features.

A feature is read from the finished Parquet by itself, so that a plate of any size fits in memory.
"""

import fnmatch
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from cytobatch.config.natural_order import natural_key
from cytobatch.config.option_types import MOST_REPORT_FEATURES, Aggregation
from cytobatch.config.wells import SiteLocation, well_position
from cytobatch.conversion.conversion_run import ConversionRun
from cytobatch.conversion.well_controls import WellAnnotation, well_annotations
from cytobatch.conversion.well_profile import aggregated
from cytobatch.output.column_list import OutputColumn
from cytobatch.output.parquet.reader import read_columns, read_encoded
from cytobatch.planning.columns import PLATE, SITE, WELL
from cytobatch.planning.key_columns import EXPORT
from cytobatch.report.wells import PlateWell

_MOST_EXPORTS = 10
_DIGITS = 6
_USUAL_FEATURES = 8
_AREAS, _INTENSITIES = 2, 6
_AREA_NAMES = ("AreaShape_Area", "Cells Area wv1", "Nuclei Area wv1")

_KEYS = (PLATE, WELL, SITE)

WellKey = tuple[str | None, str]
"""A plate, which may be unknown, and a well."""


@dataclass(frozen=True, slots=True)
class ReportWells:
    """The features whose medians a report has, and its wells, which are empty if rows are not joined.

    `count` is the number of all features of the profile.
    """

    features: tuple[str, ...] = ()
    wells: tuple[PlateWell, ...] = ()
    count: int = 0


NO_WELLS = ReportWells()


@dataclass(slots=True)
class _Sites:
    """The sites of a well while they are counted."""

    valid: set[str] = field(default_factory=set)
    failed: int = 0
    failed_exports: list[str] = field(default_factory=list)
    lost: int | None = 0


@dataclass(frozen=True, slots=True)
class _Rows:
    """The wells of profile rows: `numbers` has the number of each row's well, `int32, (rows,)`.

    `keys` has the plate and well of each number; the well is None for rows of an unknown well.
    """

    numbers: pa.Array
    keys: Sequence[tuple[str | None, str | None]]
    counts: Sequence[int]


def report_wells(run: ConversionRun) -> ReportWells:
    """Return the wells of the profile rows that were written, and of image sets without rows.

    Features that the job names and the profile lacks are named in a warning.
    """
    profiles = list(run.writer.profiles.values())
    if not profiles:
        return NO_WELLS
    all_features = profiles[0].columns.features()
    paths = [profile.file.path for profile in profiles]
    strata = [name for name in (PLATE, WELL) if name in {column.name for column in profiles[0].columns.columns}]
    if WELL not in strata:
        return ReportWells(count=len(all_features))
    features = _report_features(run, all_features)
    rows = _rows(paths, strata)
    facts = _Facts(
        cells={(plate, well): number for number, (plate, well) in enumerate(rows.keys) if well is not None},
        rows=rows,
        medians=_medians(run, paths, features, rows),
        sites=_sites(run),
        with_rows=_sites_with_rows(run),
        annotations=well_annotations(run.survey.images),
    )
    keys = sorted({*facts.cells, *facts.sites}, key=lambda key: (natural_key(key[0] or ""), _order(key[1])))
    return ReportWells(features, tuple(map(facts.well, keys)), len(all_features))


@dataclass(frozen=True, slots=True)
class _Facts:
    """What is known about wells: `cells` has the number of each well that has rows, by which `medians` are."""

    cells: Mapping[WellKey, int]
    rows: _Rows
    medians: Sequence[Sequence[float | None]]
    sites: Mapping[WellKey, _Sites]
    with_rows: Mapping[WellKey, set[str | None]]
    annotations: Mapping[WellKey, WellAnnotation]

    def well(self, key: WellKey) -> PlateWell:
        """Return a well of the report."""
        number = self.cells.get(key)
        cells = 0 if number is None else self.rows.counts[number]
        sites, with_rows = self.sites.get(key, _Sites()), self.with_rows.get(key, set())
        row, column = well_position(key[1]) or (None, None)
        annotation = self.annotations.get(key, WellAnnotation())
        return PlateWell(
            plate=key[0],
            well=key[1],
            row=row,
            column=column,
            sites=len(sites.valid),
            # Rows of an unknown site do not tell which sites are empty.
            empty_sites=0 if None in with_rows else len(sites.valid - with_rows),
            failed_sites=sites.failed,
            cells=cells,
            lost_cells=sites.lost,
            role=annotation.role,
            content=annotation.content,
            failed_exports=sites.failed_exports[:_MOST_EXPORTS],
            medians=[None if number is None else values[number] for values in self.medians],
        )


def _order(well: str) -> tuple[object, ...]:
    position = well_position(well)
    return (position is None, position or (0, 0), natural_key(well))


def _rows(paths: Sequence[Path], strata: Sequence[str]) -> _Rows:
    """Read the plate and well of every row. The texts are read as numbers, which take a tenth of the memory."""
    table = read_encoded(paths, strata)
    number = pa.repeat(pa.scalar(0, pa.int64()), table.num_rows)
    texts: list[list[str | None]] = []
    for column in table.columns:
        values = [*(None if value is None else str(value) for value in column.dictionary.to_pylist()), None]
        codes = column.indices.cast(pa.int64()).fill_null(len(values) - 1)
        number = pc.add(pc.multiply(number, len(values)), codes)
        texts.append(values)
    encoded = number.dictionary_encode()
    counts = {item["values"]: item["counts"] for item in pc.value_counts(encoded.indices).to_pylist()}
    keys = [_key_of(code, texts) for code in encoded.dictionary.to_pylist()]
    return _Rows(encoded.indices, keys, [counts[well] for well in range(len(keys))])


def _key_of(code: int, texts: Sequence[Sequence[str | None]]) -> tuple[str | None, str | None]:
    """Return the plate and the well that a row's code stands for."""
    values: list[str | None] = []
    for column in reversed(texts):
        code, position = divmod(code, len(column))
        values.append(column[position])
    return (values[1] if len(values) > 1 else None), values[0]


def _medians(
    run: ConversionRun, paths: Sequence[Path], features: Sequence[str], rows: _Rows
) -> list[list[float | None]]:
    """Return the medians of each feature by the number of the well, to six digits."""
    medians = []
    read = partial(read_columns, paths)
    for _, values in aggregated(run, Aggregation.MEDIAN, read, features, rows.numbers):
        medians += [[_rounded(value) for value in column.to_pylist()] for column in values.columns]
    return medians


def _rounded(value: float | None) -> float | None:
    return float(f"{value:.{_DIGITS}g}") if value is not None and math.isfinite(value) else None


def _sites_with_rows(run: ConversionRun) -> Mapping[WellKey, set[str | None]]:
    found: dict[WellKey, set[str | None]] = defaultdict(set)
    for plate, well, site in run.ledger.site_keys:
        if well is not None:
            found[_text(plate), str(well)].add(_text(site))
    return found


def _sites(run: ConversionRun) -> dict[WellKey, _Sites]:
    """Return the valid and the failed sites of each well."""
    paths = run.ledger.failed_exports
    failed = {export.index: export.path for export in run.survey.plan.exports if export.path in paths}
    sites: dict[WellKey, _Sites] = defaultdict(_Sites)
    wells_of: dict[int, set[WellKey]] = defaultdict(set)
    for number, (export, location) in enumerate(_locations(run)):
        if location.well is None:
            continue
        key = (location.plate, location.well)
        if export in failed:
            wells_of[export].add(key)
            sites[key].failed += 1
        else:
            # Sites without a name are sites of their own.
            sites[key].valid.add(location.site or f"#{number}")
    for export, wells in wells_of.items():
        for key in wells:
            _add_failed(sites[key], failed[export], _counted(run, export) if len(wells) == 1 else None)
    return sites


def _locations(run: ConversionRun) -> Iterator[tuple[int, SiteLocation]]:
    """Yield the export and the location of each image set, and of each export that has none."""
    images, failed_sites = run.survey.images, run.survey.failed_sites
    columns = [images.locations[name].to_pylist() if name in images.locations.column_names else None for name in _KEYS]
    owners = images.table[EXPORT].to_pylist()
    for export, locations in failed_sites.items():
        yield from ((export, location) for location in locations)
    known = {*owners, *failed_sites}
    # The rows of exports follow those of image sets.
    others = [export.index for export in run.survey.plan.exports if export.index not in known]
    numbers = [*range(len(owners)), *(len(owners) + export for export in others)]
    for number, export in zip(numbers, [*owners, *others], strict=True):
        yield export, SiteLocation(*(_text(values[number]) if values else None for values in columns))


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _add_failed(sites: _Sites, export: str, lost: int | None) -> None:
    sites.failed_exports.append(export)
    sites.lost = None if sites.lost is None or lost is None else sites.lost + lost


def _counted(run: ConversionRun, export: int) -> int | None:
    """Return the objects of the base compartment, or else the cells, that an export's image table counts."""
    counted = run.survey.counted.get(export, {})
    base = run.survey.join.base if run.survey.join else "cells"
    return counted.get(base, counted.get("cells"))


def _report_features(run: ConversionRun, features: Sequence[OutputColumn]) -> tuple[str, ...]:
    """Return the features that the job names, or else a few usual ones, in the profile's order."""
    names = [feature.name for feature in features]
    wanted = run.job.report_features
    if wanted is None:
        return usual_features(features)
    for pattern in wanted:
        if not any(fits(name, pattern) for name in names):
            run.ledger.warn(f"report_features names {pattern!r}, and no feature of the profile fits it")
    found = [name for name in names if any(fits(name, pattern) for pattern in wanted)]
    if len(found) > MOST_REPORT_FEATURES:
        run.ledger.warn(f"report_features fits {len(found)} features; the report has the first {MOST_REPORT_FEATURES}")
    return tuple(found[:MOST_REPORT_FEATURES])


def fits(feature: str, pattern: str) -> bool:
    """Return whether a feature is the one that is named, or one that fits a pattern of `*` and `?`."""
    return feature == pattern or fnmatch.fnmatchcase(feature, pattern)


def usual_features(features: Sequence[OutputColumn]) -> tuple[str, ...]:
    """Return features that a person looks at first: areas of two compartments, and an intensity of each channel.

    Without such features they are the first ones of the profile.
    """
    areas = [feature.name for feature in features if feature.name.endswith(_AREA_NAMES)]
    areas.sort(key=lambda name: (not name.startswith("Cells"), not name.startswith("Nuclei")))
    channels: dict[tuple[str, ...], str] = {}
    for feature in sorted(features, key=lambda feature: feature.compartment != "Cells"):
        if "MeanIntensity_" in feature.name and feature.feature_group == "Intensity" and len(feature.channels) == 1:
            channels.setdefault(feature.channels, feature.name)
    found = (*areas[:_AREAS], *list(channels.values())[:_INTENSITIES])
    return found or tuple(feature.name for feature in features[:_USUAL_FEATURES])
