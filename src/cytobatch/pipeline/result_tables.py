"""The tables of a published result as Arrow tables: columns and rows of the profile, and the wells."""

import fnmatch
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager

import pyarrow as pa

from cytobatch.config.option_errors import nearest
from cytobatch.config.wells import normalise_well
from cytobatch.conversion.well_profile import OBJECT_COUNT, SITE_COUNT
from cytobatch.errors import ConfigurationError, InputDataError, StorageError
from cytobatch.output.parquet.reader import open_file, read_rows
from cytobatch.pipeline.published_result import PublishedResult
from cytobatch.planning.columns import PLATE, WELL
from cytobatch.report.model import RunReport
from cytobatch.report.plate_data import medians

_TEXTS = {"Metadata_Role": "role", "Metadata_Content": "content"}
_COUNTS = {
    OBJECT_COUNT: "cells",
    SITE_COUNT: "sites",
    "Metadata_Empty_Site_Count": "empty_sites",
    "Metadata_Failed_Site_Count": "failed_sites",
    "Metadata_Lost_Object_Count": "lost_cells",
}
"""The columns of the table of wells by their names in the report. Those that a well-level profile has are called as
there."""


def profile_rows(
    result: PublishedResult, columns: str | Iterable[str] | None, wells: str | Iterable[str] | None
) -> pa.Table:
    """Return columns of the joined profile, of all its rows or of those of some wells.

    Raises InputDataError without a joined profile, ConfigurationError for a column that it lacks, StorageError.
    """
    names = None if wells is None else {normalise_well(name) or name for name in _as_list(wells)}
    return _read(result, _profile_of(result), columns, names)


def well_profile_rows(result: PublishedResult, name: str, columns: str | Iterable[str] | None) -> pa.Table:
    """Return columns of the well-level profile of that name. Raises as `profile_rows` does."""
    return _read(result, name, columns, None)


def counted_wells(report: RunReport, columns: str | Iterable[str] | None) -> pa.Table:
    """Return the wells of a report as a table: plate, well, what a platemap has about it, counts, and medians."""
    wells = report.plate_wells
    arrays = {
        PLATE: pa.array([well.plate for well in wells], pa.string()),
        WELL: pa.array([well.well for well in wells], pa.string()),
    }
    for names, kind in ((_TEXTS, pa.string()), (_COUNTS, pa.int64())):
        arrays |= {name: pa.array([getattr(well, key) for well in wells], kind) for name, key in names.items()}
    arrays |= {
        name: pa.array(medians(report, number), pa.float64()) for number, name in enumerate(report.report_features)
    }
    return pa.table(arrays).select(selected(list(arrays), columns, report.report))


def selected(names: Sequence[str], columns: str | Iterable[str] | None, where: str) -> list[str]:
    """Return the columns that are named, or fit a pattern of `*` and `?`, each once; None selects all.

    Names come in the order in which they are given, those that fit a pattern in the order of the table. Raises
    ConfigurationError for what nothing fits.
    """
    if columns is None:
        return list(names)
    known, found = set(names), dict[str, None]()
    for pattern in _as_list(columns):
        fitting = [pattern] if pattern in known else [name for name in names if fnmatch.fnmatchcase(name, pattern)]
        if not fitting:
            raise ConfigurationError(
                f"no column fits {pattern!r}",
                where=where,
                why=f"none of {len(names)} columns has that name, or fits it as a pattern",
                remedy=nearest(pattern, names) or "the list of columns beside the profile has all names: columns.json",
            )
        found |= dict.fromkeys(fitting)
    return list(found)


def _as_list(values: str | Iterable[str]) -> list[str]:
    return [values] if isinstance(values, str) else list(values)


def _profile_of(result: PublishedResult) -> str:
    if result.profile is not None:
        return result.profile
    raise InputDataError(
        "result has no joined profile",
        where=result.location,
        why="it was converted with join or concat off: each table or each export has a file of its own",
        remedy="read the files that its `outputs` name, such as pyarrow.parquet.read_table(report.outputs[0].path)",
    )


def _read(
    result: PublishedResult, name: str, columns: str | Iterable[str] | None, wells: Collection[str] | None
) -> pa.Table:
    where = result.outputs[name].path
    with errors_of_outputs(where), open_file(result.files.open_file(name)) as file:
        found = selected(file.schema_arrow.names, columns, where)
        if wells is None:
            return read_rows(file, found)
        selected(file.schema_arrow.names, WELL, where)
        return read_rows(file, found, WELL, wells)


@contextmanager
def errors_of_outputs(where: str) -> Iterator[None]:
    """Turn errors of a Parquet file into a StorageError."""
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        raise StorageError(
            "output cannot be read",
            where=where,
            why=str(error),
            remedy="check it with `cytobatch verify`; convert the plate again if it is damaged",
        ) from error
