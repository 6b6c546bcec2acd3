"""The result of a plate for a person at Python's prompt or in a notebook: the report, and the tables beside it."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic import PrivateAttr

from cytobatch.config.options import PlateJob, PlateOptions
from cytobatch.pipeline.folders import folder_for_reading
from cytobatch.pipeline.process_state import pandas_not_imported
from cytobatch.pipeline.published_result import PublishedResult
from cytobatch.pipeline.result_tables import counted_wells, profile_rows, well_profile_rows
from cytobatch.report.model import RunReport
from cytobatch.report.notebook import result_html, result_line
from cytobatch.storage.access import Access

_ACCESS = (
    "profile",
    "endpoint_url",
    "no_sign_request",
    "requester_pays",
    "store_timeout",
    "scratch_dir",
    "destination_profile",
    "destination_endpoint_url",
)


class PlateResult(RunReport):
    """The result of one plate: its run report, and the tables that lie beside it.

    It has every part of the report as an attribute, such as `counts`, `outputs`, `warnings` and `failed`, and reads the
    Parquet files that the report names. A notebook shows it with a verdict and a plate map.

    Attributes
    ----------
    counts : Counts
        The numbers of exports, rows, columns, wells and sites.
    outputs : list of OutputFile
        The files, each with path, rows, columns, bytes and checksum.
    warnings : list of ReportWarning
        What users of the profile should know, though nothing failed.
    failed : list of FailedExport
        The exports that are not in the profile, with the reasons.
    plate_wells : list of PlateWell
        The wells with their counts, as objects.
    report, page : str
        The paths of `run-report.json` and `report.html`.
    """

    _location: str = PrivateAttr()
    _access: Access = PrivateAttr()
    _scratch: Path | None = PrivateAttr()

    @classmethod
    def of(cls, report: RunReport, location: str, access: Access, scratch: Path | None = None) -> "PlateResult":
        """Return the result of a report.

        `location` is the folder, the `.parquet` file, or the report itself. Files that cannot be read where they are
        lie in `scratch` meanwhile, by default the system's temporary folder.
        """
        fields = {field.alias or name: getattr(report, name) for name, field in RunReport.model_fields.items()}
        result = cls.model_construct(report.model_fields_set, **fields)
        local = Path(location).expanduser()
        result._location = location if "://" in location else str(local.absolute())
        result._access, result._scratch = access, scratch
        return result

    def cells(
        self, columns: str | Iterable[str] | None = None, *, wells: str | Iterable[str] | None = None
    ) -> pa.Table:
        """Read rows of the joined profile: a row for each cell.

        Only these columns are read, in a bucket by requests for their bytes alone.

        Parameters
        ----------
        columns : str or iterable of str, optional
            Names of columns, or patterns such as `Cells_AreaShape_*`. All by default: a profile may be larger than
            memory.
        wells : str or iterable of str, optional
            The wells whose rows are read, such as `A01`; all by default.

        Returns
        -------
        pyarrow.Table, (rows, columns)
            The rows in the order of the profile; `.to_pandas()` makes a data frame of them.

        Raises
        ------
        ConfigurationError
            If a name or pattern fits no column.
        InputDataError
            If rows are not joined into one file (`join` or `concat` off).
        StorageError
            If the profile cannot be read, or is gone.
        """
        with self._opened() as result:
            return profile_rows(result, columns, wells)

    def wells(self, columns: str | Iterable[str] | None = None) -> pa.Table:
        """Read the table of wells: a row for each well.

        It is the well-level profile, if the plate was converted with `well_profiles`. Else it has the counts of the
        report: objects, sites, failed sites, what a platemap has about the well, and the medians of the report's
        features.

        Parameters
        ----------
        columns : str or iterable of str, optional
            Names of columns, or patterns such as `Metadata_*`; all by default.

        Returns
        -------
        pyarrow.Table, (wells, columns)
            `Metadata_Well` names the well, `Metadata_Object_Count` counts its cells.

        Raises
        ------
        ConfigurationError
            If a name or pattern fits no column.
        StorageError
            If the well-level profile cannot be read, or is gone.
        """
        with self._opened() as result:
            if result.well_profile is not None:
                return well_profile_rows(result, result.well_profile, columns)
            return counted_wells(self, columns)

    @contextmanager
    def _opened(self) -> Iterator[PublishedResult]:
        with pandas_not_imported(), folder_for_reading(self._scratch) as scratch:
            yield PublishedResult.of(self, self._location, self._access, scratch)

    def __eq__(self, other: object) -> bool:
        """Return whether another result or report has the same content."""
        return isinstance(other, RunReport) and dict(self) == dict(other)

    def __hash__(self) -> int:
        return hash((self.report, self.digest))

    def __repr__(self) -> str:
        return f"<PlateResult {result_line(self)}>"

    def __str__(self) -> str:
        return result_line(self)

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the verdict, the plate map, warnings, and failed exports."""
        return result_html(self)


def result_of_job(report: RunReport, job: PlateJob) -> PlateResult:
    """Return the result of a job that has just been converted, or was up to date."""
    # A report that was there already may name the place by another path, relative to another folder.
    return PlateResult.of(report, job.destination, Access.to_destination(job), job.scratch_dir)


def result_at(path: str, options: PlateOptions) -> PlateResult:
    """Return the result that lies at a path, as a folder, a Parquet file or a report. Raises as `open_result` does."""
    job = PlateJob(source=path, destination=path, **_of_access(options))
    access = replace(
        Access.to_destination(job),
        no_sign_request=job.no_sign_request,
        extra_args=Access.for_options(options).extra_args,
    )
    with folder_for_reading(job.scratch_dir) as scratch:
        result = PublishedResult.open(path, access, scratch)
    return PlateResult.of(result.report, result.location, access, job.scratch_dir)


def _of_access(options: PlateOptions) -> dict[str, Any]:
    """Return the options that decide how a result is reached: those of a destination win."""
    return {name: value for name, value in options.explicit().items() if name in _ACCESS}
