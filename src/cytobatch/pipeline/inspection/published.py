"""A result by its report and its list of columns, and a single Parquet file by its footer; with a few rows of each."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa

from cytobatch.errors import InputDataError
from cytobatch.output.column_list import ColumnRole, OutputColumn
from cytobatch.output.parquet.reader import first_rows, open_file
from cytobatch.pipeline.inspection.model import (
    ColumnCounts,
    InspectedOutput,
    InspectedParquet,
    InspectedResult,
    SampleRows,
    as_texts,
)
from cytobatch.pipeline.published_result import PublishedResult
from cytobatch.pipeline.result_tables import errors_of_outputs
from cytobatch.planning.columns import PLATE, SITE, WELL
from cytobatch.report.distribution import distribution_of
from cytobatch.report.lines import warning_line
from cytobatch.report.plate_grid import ColourRange, plate_grids
from cytobatch.report.plate_wells import PlateWells
from cytobatch.report.text_map import text_map
from cytobatch.report.verdict import verdict_on
from cytobatch.storage.access import storage_errors

_SHOWN = 6
_MOST_FETCHED = 64 * 2**20
"""The largest profile that is fetched whole for its first rows, from a store that has no reads of parts."""
_OWN_KEYS = "cytobatch."


def inspect_result(result: PublishedResult, rows: int) -> InspectedResult:
    """Inspect a published result. Raises InputDataError for outputs that cannot be read, StorageError."""
    report = result.report
    counts, wells = report.counts, PlateWells.of(report)
    grids = plate_grids(wells, ColourRange.of(wells.cells), [None] * len(wells.wells), None)
    verdict = verdict_on(report, wells, distribution_of(wells.wells, grids))
    columns = _listed_columns(result)
    return InspectedResult(
        path=result.location,
        plate=report.plate,
        plates=report.plates,
        source=report.source,
        cytobatch_version=report.cytobatch_version,
        finished=report.finished,
        digest=report.digest,
        options=report.options,
        layout=report.layout,
        preset=report.preset,
        grade=verdict.grade,
        verdict=verdict.title,
        sentences=list(verdict.sentences),
        exports=counts.exports,
        failed_exports=counts.failed_exports,
        wells=counts.wells,
        sites=counts.sites,
        outputs=[
            InspectedOutput(path=name, rows=output.rows, columns=output.columns, bytes=output.bytes)
            for name, output in result.outputs.items()
        ],
        columns=ColumnCounts.of(columns) if columns else None,
        failed=[f"{one.export}: {one.reason}" for one in report.failed],
        warnings=[warning_line(warning) for warning in report.warnings],
        page=report.page,
        plate_map=text_map(report),
        sample=_sample_of_profile(result, columns, rows) if rows else None,
    )


def inspect_parquet(path: str, source: Path | BinaryIO, rows: int) -> InspectedParquet:
    """Inspect a Parquet file by itself. Raises InputDataError if it is none."""
    try:
        with open_file(source) as file:
            schema, facts = file.schema_arrow, file.metadata
            metadata = {key.decode(errors="replace"): value for key, value in (schema.metadata or {}).items()}
            own = {key: value.decode(errors="replace") for key, value in metadata.items() if key.startswith(_OWN_KEYS)}
            names = schema.names[:_SHOWN]
            sample = first_rows(file, names, rows).to_pylist() if rows and names else []
            return InspectedParquet(
                path=path,
                rows=facts.num_rows,
                row_groups=facts.num_row_groups,
                written_by=str(facts.created_by or "unknown"),
                provenance={key.removeprefix(_OWN_KEYS): value for key, value in own.items()},
                columns=len(schema),
                types=dict(Counter(map(str, schema.types)).most_common()),
                names=list(schema.names),
                sample=SampleRows(table=path, columns=names, rows=as_texts(sample)) if sample else None,
            )
    except (OSError, pa.ArrowException) as error:
        raise InputDataError(
            "no Parquet file", where=path, why=str(error), remedy="name a source, a result, or a file that is whole"
        ) from error


def _listed_columns(result: PublishedResult) -> Sequence[OutputColumn]:
    """Return the list of the joined profile's columns, which is empty without one."""
    name = result.column_list
    if name is None:
        return ()
    path = result.files.local(name)
    with storage_errors(f"{result.location}, {name}"):
        content = path.read_bytes()
    try:
        return [_column(each) for each in json.loads(content)["columns"]]
    except (ValueError, KeyError, TypeError) as error:
        raise InputDataError(
            "list of columns is not readable",
            where=f"{result.location}, {name}",
            why=str(error),
            remedy="check the result with `cytobatch verify`",
        ) from error


def _column(entry: dict[str, Any]) -> OutputColumn:
    known = {name: entry[name] for name in OutputColumn._fields if name in entry}
    return OutputColumn(**{**known, "role": ColumnRole(entry["role"]), "channels": tuple(entry.get("channels", ()))})


def _sample_of_profile(result: PublishedResult, columns: Sequence[OutputColumn], rows: int) -> SampleRows | None:
    if result.profile is None:
        return None
    if not result.files.reads_parts and result.outputs[result.profile].bytes > _MOST_FETCHED:
        return None
    known = {column.name for column in columns}
    keys = [name for name in (PLATE, WELL, SITE) if name in known]
    features = [column.name for column in columns if column.role is ColumnRole.FEATURE]
    names = [*keys, *features[: _SHOWN - len(keys)]]
    where = result.outputs[result.profile].path
    with errors_of_outputs(where), open_file(result.files.open_file(result.profile)) as file:
        names = names or file.schema_arrow.names[:_SHOWN]
        found = first_rows(file, names, rows).to_pylist()
    return SampleRows(table=result.profile, columns=names, rows=as_texts(found))
