"""The site table: a row for each image set with its location, metadata and image-level features.

The image tables are small, and the survey has read them whole. Sites without objects have a row, too.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from cytobatch.config.options import SITES
from cytobatch.conversion.column_lists import KnownColumns
from cytobatch.conversion.conversion_run import ConversionRun
from cytobatch.conversion.profile_columns import PROFILE_TABLE_NUMBER, Origin, ProfileColumn
from cytobatch.planning.columns import IMAGE_NUMBER, METADATA, TABLE_NUMBER, order_key
from cytobatch.planning.key_columns import EXPORT, IMAGE, TABLE
from cytobatch.report.lines import shortened
from cytobatch.survey.image_features import image_feature_sources, image_features, text_features

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class SiteTable:
    """The site table, which of its columns are features, and the origin of locations and features.

    `table` has a row for each image set of the exports that have not failed, in the order of the profile's rows:
    Metadata_TableNumber if the profile has it, Metadata_ImageNumber, plate, well, site and further metadata; then the
    features, `float64, (image sets,)`.
    """

    table: pa.Table
    features: tuple[str, ...]
    columns: Sequence[ProfileColumn]


def site_table(run: ConversionRun) -> SiteTable:
    """Return the site table of a plate that has image tables."""
    rows = run.survey.image_rows
    if rows is None:
        raise ValueError("there are no image tables")
    features = image_features(rows.table)
    metadata = _metadata(run, rows.table)
    table = pa.table(metadata | {name: features[name] for name in features.column_names})
    return SiteTable(table.take(_order(run)), tuple(features.column_names), _columns(run, rows.table))


def _metadata(run: ConversionRun, rows: pa.Table) -> dict[str, pa.ChunkedArray]:
    """Return keys, locations and further metadata of all image sets, keys first."""
    images = run.survey.images
    locations = images.locations.slice(0, images.table.num_rows)
    columns = {name: locations[name] for name in locations.column_names if name.startswith(METADATA)}
    columns[f"{METADATA}{IMAGE_NUMBER}"] = images.table[IMAGE]
    if run.table_numbers:
        numbers = [run.table_numbers.get(export) for export in images.table[EXPORT].to_pylist()]
        columns[PROFILE_TABLE_NUMBER] = pa.chunked_array([pa.array(numbers, pa.int64())])
    elif TABLE_NUMBER in rows.column_names:
        columns[PROFILE_TABLE_NUMBER] = rows[TABLE_NUMBER]
    return {name: columns[name] for name in sorted(columns, key=order_key)}


def _columns(run: ConversionRun, rows: pa.Table) -> list[ProfileColumn]:
    """Return the locations and features of the site table with their origin."""
    survey = run.survey
    table = next(name for name in sorted(survey.preset.metadata) if name in survey.schemas)
    locations = [
        ProfileColumn(each.name, each.type, Origin.LOCATION, each.name) for each in survey.images.locations.schema
    ]
    sources = image_feature_sources(rows)
    features = [ProfileColumn(name, pa.float64(), table, source, is_feature=True) for name, source in sources.items()]
    return locations + features


def _order(run: ConversionRun) -> pa.Array:
    """Return the row numbers of the image sets whose export has not failed, in the order of the output."""
    images = run.survey.images.table
    failed = run.ledger.failed_exports
    valid = pa.array([export.index for export in run.survey.exports if export.path not in failed], pa.int64())
    keys = [key for key in (EXPORT, TABLE, IMAGE) if key in images.column_names] if run.job.sort_output else [EXPORT]
    order = pc.sort_indices(images.select(keys), [(key, "ascending") for key in keys])
    return order.filter(pc.is_in(images[EXPORT], valid).combine_chunks().take(order))


def write_sites(run: ConversionRun, sites: SiteTable) -> None:
    """Write the site table, and name in the report the columns that are left out because they hold text."""
    rows = run.survey.image_rows
    texts = text_features(rows.table) if rows is not None else []
    if texts:
        run.ledger.warn(f"columns of the image table that hold text are no features: {shortened(texts, _SHOWN)}")
    run.writer.store(SITES, sites.table.schema, [sites.table], sites.features, KnownColumns(sites.columns))
