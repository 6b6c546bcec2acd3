"""The well-level profile: each feature's median or mean over a well's objects, from the finished Parquet.

Features of images are aggregated over the well's sites: an image counts once, however many objects it has.

NaN and null do not count, as in pycytominer's `aggregate`, which gives the same values for the same objects. The files
are read a few columns at a time, so that a plate of any size fits in memory.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from cytobatch.config.option_types import Aggregation
from cytobatch.config.options import PROFILES
from cytobatch.config.plural import plural
from cytobatch.conversion.column_lists import UNKNOWN, KnownColumns
from cytobatch.conversion.conversion_run import ConversionRun
from cytobatch.conversion.nonfinite import all_finite
from cytobatch.conversion.site_table import SiteTable
from cytobatch.engine import sql
from cytobatch.output.parquet.reader import read_columns
from cytobatch.planning.columns import PLATE, WELL
from cytobatch.planning.key_columns import EXPORT, ROW
from cytobatch.planning.schema import text_keys

OBJECT_COUNT, SITE_COUNT = "Metadata_Object_Count", "Metadata_Site_Count"
_COLUMNS_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Wells:
    """The wells of a profile.

    `of_row`, `int32, (rows,)`, has the number of each row's well. `table` has a row for each well, in the order of
    these numbers: plate and well, the well's annotations, and its number of objects. `strata` are the columns of plate
    and well.
    """

    of_row: pa.Array
    table: pa.Table
    strata: Sequence[str]


def write_wells(run: ConversionRun, aggregation: Aggregation, sites: SiteTable | None = None) -> None:
    """Write the well-level profile of all profile rows that were written, with the features of `sites`, if given."""
    profiles = list(run.writer.profiles.values())
    paths = [profile.file.path for profile in profiles]
    features = profiles[0].features if profiles else ()
    strata = [name for name in (PLATE, WELL) if name in run.survey.images.locations.column_names]
    wells = _wells(paths, strata, run.survey.images.of_wells)
    counts = _site_counts(run, strata)
    columns = {name: wells.table[name] for name in wells.table.column_names}
    columns[SITE_COUNT] = pa.array(
        [counts.pop(key, 0) for key in text_keys(wells.table, strata).to_pylist()], pa.int64()
    )
    if counts:
        run.ledger.warn(f"{plural(len(counts), 'well has', 'wells have')} no object and so no well-level profile")
    for names, values in aggregated(run, aggregation, partial(read_columns, paths), features, wells.of_row):
        columns |= dict(zip(names, values.columns, strict=True))
    if sites is not None:
        of_images = _image_features(run, aggregation, wells, sites)
        columns |= of_images
        features = (*features, *of_images)
    table = pa.table(columns).sort_by([(name, "ascending") for name in strata])
    known = KnownColumns(sites.columns if sites else (), profiles[0].columns.columns) if profiles else UNKNOWN
    run.writer.store(PROFILES, table.schema, [table], features, known)


def _image_features(
    run: ConversionRun, aggregation: Aggregation, wells: Wells, sites: SiteTable
) -> dict[str, pa.ChunkedArray]:
    """Return the features of images by name, aggregated over the sites of each well: `float64, (wells,)` each.

    The sites of wells without objects have no well-level profile.
    """
    keys = text_keys(wells.table, wells.strata).combine_chunks()
    of_wells = pc.index_in(text_keys(sites.table, wells.strata), keys)
    has_well = of_wells.is_valid()
    rows_of_wells, numbers = sites.table.filter(has_well), of_wells.filter(has_well).combine_chunks()
    present = pc.array_sort_indices(pc.unique(numbers))
    rows = pc.index_in(pa.array(range(wells.table.num_rows), pa.int32()), pc.unique(numbers).take(present))
    columns: dict[str, pa.ChunkedArray] = {}
    for names, values in aggregated(run, aggregation, rows_of_wells.select, sites.features, numbers):
        columns |= dict(zip(names, values.take(rows).columns, strict=True))
    return columns


def _wells(paths: Sequence[Path], strata: Sequence[str], annotations: Sequence[str]) -> Wells:
    """Read the wells of all rows, in the order of their first rows."""
    rows = read_columns(paths, [*strata, *annotations])
    encoded = text_keys(rows, strata).combine_chunks().dictionary_encode()
    numbers = pa.chunked_array([encoded.indices])
    numbered = pa.table({sql.WELL: numbers, ROW: pa.array(range(rows.num_rows), pa.int64())})
    groups = numbered.group_by(sql.WELL).aggregate([(ROW, "min"), (ROW, "count")]).sort_by(sql.WELL)
    table = rows.take(groups[f"{ROW}_min"]).append_column(OBJECT_COUNT, groups[f"{ROW}_count"].cast(pa.int64()))
    return Wells(encoded.indices, table, strata)


def _site_counts(run: ConversionRun, strata: Sequence[str]) -> dict[str, int]:
    """Count each well's image sets, also those without objects; without image sets, count its exports."""
    images = run.survey.images
    failed = run.ledger.failed_exports
    valid = pa.array([e.index for e in run.survey.plan.exports if e.path not in failed], pa.int64())
    count = images.table.num_rows
    exports = images.table[EXPORT] if count else pa.array(range(len(run.survey.plan.exports)), pa.int64())
    sites = images.locations.slice(0, count) if count else images.locations
    kept = sites.filter(pc.is_in(exports, valid))
    return {item["values"]: item["counts"] for item in pc.value_counts(text_keys(kept, strata)).to_pylist()}


def aggregated(
    run: ConversionRun,
    aggregation: Aggregation,
    read: Callable[[Sequence[str]], pa.Table],
    features: Sequence[str],
    of_row: pa.Array,
) -> Iterator[tuple[Sequence[str], pa.Table]]:
    """Aggregate some features at a time.

    Parameters
    ----------
    run
        The conversion.
    aggregation
        Median or mean.
    read
        Returns some features of all rows.
    features
        The names of the features.
    of_row
        The number of each row's well: `int32, (rows,)`.

    Yields
    ------
    names, values
        Some features, and their values, `float64, (wells that have rows, features)`, by the number of the well.
    """
    rows = max(1, len(of_row))
    size = max(1, min(_COLUMNS_AT_ONCE, run.loader.batch_bytes // (8 * rows)))
    for start in range(0, len(features), size):
        names = features[start : start + size]
        values = read(names)
        # Columns are numbered, because DuckDB takes names that differ only in case for the same.
        numbered = {sql.nth(number): _nan_as_null(values[name]) for number, name in enumerate(names)}
        yield names, _aggregate(run, aggregation, pa.table({**numbered, sql.WELL: of_row}))


def _aggregate(run: ConversionRun, aggregation: Aggregation, rows: pa.Table) -> pa.Table:
    """Aggregate numbered columns by the column of well numbers, and return a row for each well in order."""
    features = [name for name in rows.column_names if name != sql.WELL]
    if aggregation is Aggregation.MEAN:
        # DuckDB's threads add up parts of a well in any order, so that the last digit differs from run to run. In one
        # thread Arrow is faster than DuckDB with two, and gives the values of DuckDB in one thread.
        groups = rows.group_by(sql.WELL, use_threads=False).aggregate([(name, "mean") for name in features])
        return groups.sort_by(sql.WELL).drop_columns([sql.WELL])
    with run.engine.tables({sql.ROWS: rows}) as session:
        return session.query(sql.aggregate(aggregation, len(features))).drop_columns([sql.WELL])


def _nan_as_null(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a feature, `float64, (rows,)`, with null for NaN.

    A FILTER in SQL takes DuckDB ten times as long with hundreds of columns.
    """
    numbers = column.cast(pa.float64())
    if all_finite(numbers):
        return numbers
    return pc.if_else(pc.is_nan(numbers), pa.scalar(None, pa.float64()), numbers)
