"""The well-level profile: each feature's median or mean over a well's objects, from the Parquet just written.

What pycytominer's `aggregate` gives for the same objects: NaN and null do not count. The files are read a few columns
at a time, so that a plate of any size fits.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from cytobatch.config.option_types import Aggregation
from cytobatch.config.options import PARQUET, PROFILES
from cytobatch.conversion.context import Conversion
from cytobatch.conversion.nonfinite import all_finite
from cytobatch.engine import sql
from cytobatch.errors import LayoutError
from cytobatch.output.parquet import read_columns
from cytobatch.planning.columns import PLATE, WELL
from cytobatch.planning.schema import text_keys

OBJECT_COUNT, SITE_COUNT = "Metadata_Object_Count", "Metadata_Site_Count"
_COLUMNS_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Wells:
    """The wells of a profile's rows: `of_row` has each row's well by its number, `table` a row for each well."""

    of_row: pa.Array
    table: pa.Table


def check_wells(run: Conversion) -> None:
    """Raises LayoutError, before anything is converted, where no well of the plate is known."""
    if WELL not in run.survey.images.locations.column_names:
        raise LayoutError(
            "no wells to make profiles of",
            where=run.job.source,
            why="neither the tables nor the names of folders tell any",
            remedy="give the well with 'well', or leave well_profiles out",
        )


def write_wells(run: Conversion, how: Aggregation) -> None:
    """Writes the well-level profile of all rows that were written."""
    profiles = list(run.writer.profiles.values())
    paths = [profile.file.path for profile in profiles]
    features = profiles[0].features if profiles else ()
    strata = [name for name in (PLATE, WELL) if name in run.survey.images.locations.column_names]
    wells = _wells(paths, strata, run.survey.images.of_wells)
    sites = _sites(run, strata)
    columns = {name: wells.table[name] for name in wells.table.column_names}
    columns[SITE_COUNT] = pa.array(
        [sites.pop(key, 0) for key in text_keys(wells.table, strata).to_pylist()], pa.int64()
    )
    if sites:
        run.ledger.warn(f"{len(sites)} well(s) have no object and so no well-level profile")
    for names, values in _aggregated(run, how, paths, features, wells):
        columns |= dict(zip(names, values.columns, strict=True))
    table = pa.table(columns).sort_by([(name, "ascending") for name in strata])
    run.writer.store(f"{PROFILES}{PARQUET}", table.schema, [table], features)


def _wells(paths: Sequence[Path], strata: Sequence[str], beside: Sequence[str]) -> Wells:
    rows = read_columns(paths, [*strata, *beside])
    encoded = text_keys(rows, strata).combine_chunks().dictionary_encode()
    places = pa.chunked_array([encoded.indices])
    first = pa.table({"g": places, "r": pa.array(range(rows.num_rows), pa.int64())})
    groups = first.group_by("g").aggregate([("r", "min"), ("r", "count")]).sort_by("g")
    table = rows.take(groups["r_min"]).append_column(OBJECT_COUNT, groups["r_count"].cast(pa.int64()))
    return Wells(encoded.indices, table)


def _sites(run: Conversion, strata: Sequence[str]) -> dict[str, int]:
    """How many image sets each well has, those without objects too; a source that has none counts its exports."""
    sets = run.survey.images
    failed = run.ledger.failed_exports
    sound = pa.array([e.index for e in run.survey.plan.exports if e.path not in failed], pa.int64())
    count = sets.table.num_rows
    owners = sets.table["e"] if count else pa.array(range(len(run.survey.plan.exports)), pa.int64())
    places = sets.locations.slice(0, count) if count else sets.locations
    kept = places.filter(pc.is_in(owners, sound))
    return {item["values"]: item["counts"] for item in pc.value_counts(text_keys(kept, strata)).to_pylist()}


def _aggregated(
    run: Conversion, how: Aggregation, paths: Sequence[Path], features: Sequence[str], wells: Wells
) -> Iterator[tuple[Sequence[str], pa.Table]]:
    """Some features at a time, and their values for each well in order."""
    rows = max(1, len(wells.of_row))
    size = max(1, min(_COLUMNS_AT_ONCE, run.reader.batch_bytes // (8 * rows)))
    for start in range(0, len(features), size):
        names = features[start : start + size]
        values = read_columns(paths, names)
        # Names of a plate may differ in case alone, which DuckDB does not tell apart.
        numbered = {sql.nth(number): _numbers(values[name]) for number, name in enumerate(names)}
        with run.engine.tables({sql.ROWS: pa.table({**numbered, sql.WELL: wells.of_row})}) as session:
            yield names, session.query(sql.aggregate(how, len(names))).drop_columns([sql.WELL])


def _numbers(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A feature as doubles, null for NaN: a FILTER in SQL takes DuckDB ten times as long for hundreds of columns."""
    numbers = column.cast(pa.float64())
    if all_finite(numbers):
        return numbers
    return pc.if_else(pc.is_nan(numbers), pa.scalar(None, pa.float64()), numbers)
