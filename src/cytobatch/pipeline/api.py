"""The public API of the package: convert or plan one plate from Python, and open its result.

`cytobatch/__init__.py` forwards to it.

It runs the pipeline in the caller's process, without Prefect. It prints nothing but the bar that a caller asks for, and
restores the state of the process that a run changes (`process_state`).
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal, Unpack

from cytobatch.config.option_errors import nearest
from cytobatch.config.options import PlateJob, PlateOptions
from cytobatch.errors import JobSpecError
from cytobatch.pipeline.api_options import AccessOptions, ConvertOptions
from cytobatch.pipeline.describe import PlanDescription, describe_job
from cytobatch.pipeline.inspection.inspect import inspect_path
from cytobatch.pipeline.inspection.model import Inspection
from cytobatch.pipeline.plate import run_plate
from cytobatch.pipeline.plate_result import PlateResult, result_at, result_of_job
from cytobatch.pipeline.process_state import arrow_threads_restored, pandas_not_imported
from cytobatch.pipeline.progress import PlateListener, announcing, progress_of
from cytobatch.pipeline.resolve_jobs import PathLike, access_options, only_job, parse_options, resolve_jobs

_ORIGIN = "keyword arguments"
_OTHER_KEYWORDS = ("job_spec", "array_index", "progress")
_NO_BLOCKS = (
    "they are a block of Prefect's server, which the API does not use",
    "use `cytobatch run`, or name an AWS profile",
)
_OF_THE_COMMAND = {
    "task_runner": (
        "the API converts one plate, in the caller's process",
        "use `cytobatch run`, or call `convert` for each plate in threads or processes of your own",
    ),
    "credentials": _NO_BLOCKS,
    "destination_credentials": _NO_BLOCKS,
}
"""The options that the API does not take, with the reason and what to do instead."""


def convert(
    source: str | PathLike | None = None,
    destination: str | PathLike | None = None,
    *,
    job_spec: str | PathLike | Mapping[str, Any] | None = None,
    array_index: int | None = None,
    progress: PlateListener | bool | None = None,
    **options: Unpack[ConvertOptions],
) -> PlateResult:
    """Convert one plate into a Parquet profile and return its result.

    Parameters
    ----------
    source : str or path, optional
        A folder or file of measurements, local or in a bucket.
    destination : str or path, optional
        A folder, or one file that ends in `.parquet`, local or in a bucket.
    job_spec : str, path or mapping, optional
        A job spec: its path or URI, its JSON text, or the document itself.
    array_index : int, optional
        The position of one plate among those of the job spec or of a pattern, from 0.
    progress : bool or callable, optional
        True shows a bar, in a notebook or on standard error. A callable is called in this thread with a `StepStarted`
        when a step starts, and during `convert` a few times a second at most with a `PlateProgress`. An exception that
        it raises ends the conversion.
    **options
        Every option of `cytobatch run`, with underscores: `well_profiles="median"`, `memory="3GiB"`, `join=False`. A
        value is of the option's type, or the text that a flag takes. A keyword wins over the environment variable
        `CYTOBATCH_<NAME>`, and that over the job spec. None leaves an option to these.

    Returns
    -------
    PlateResult
        The report that is published beside the profile, and the way to its tables: `cells()` and `wells()`. It is that
        of the earlier run if the profile is up to date, unless `skip_done=False`. A notebook shows it with a plate map.

    Raises
    ------
    ConfigurationError
        If an option, a variable or the job spec is not valid, or several plates match.
    InputDataError
        If the source is missing, or has no valid measurements.
    StorageError
        If a file cannot be read or written.

    Notes
    -----
    Several conversions may run at once, in threads of one process. They share Arrow's thread pools, which have the
    sizes of the conversion that started last until all have ended.

    Examples
    --------
    >>> report = cytobatch.convert("plate", "profiles/BR00117035", well_profiles="median", memory="3GiB")
    >>> report.cells("Cells_AreaShape_*", wells="A01").to_pandas()
    """
    job = _one_job({"source": source, "destination": destination, **options}, job_spec, array_index)
    with arrow_threads_restored():
        if not progress:
            report = run_plate(job)
        else:
            with _listener(job.label, progress) as listener:
                report = run_plate(job, announcing(job.label, listener), on_work=progress_of(job.label, listener))
    return result_of_job(report, job)


def plan(
    source: str | PathLike | None = None,
    destination: str | PathLike | None = None,
    *,
    job_spec: str | PathLike | Mapping[str, Any] | None = None,
    array_index: int | None = None,
    **options: Unpack[ConvertOptions],
) -> PlanDescription:
    """Describe what `convert` would do, without converting.

    Files of a local source are surveyed. A source in a bucket is listed, and up to three of its exports are surveyed,
    of which about a megabyte is fetched and 64 MiB at most; of a large database its declarations are read.

    Parameters
    ----------
    source, destination, job_spec, array_index, **options
        Those of `convert`.

    Returns
    -------
    PlanDescription
        The plan, the survey and rows by table, and the paths of outputs and report. `sample` has what was looked at of
        a source in a bucket.

    Raises
    ------
    ConfigurationError, InputDataError, StorageError
        For the reasons of `convert`.
    """
    job = _one_job({"source": source, "destination": destination, **options}, job_spec, array_index)
    with arrow_threads_restored(), pandas_not_imported():
        return describe_job(job)


def open_result(path: str | PathLike, **options: Unpack[AccessOptions]) -> PlateResult:
    """Open the result of an earlier run.

    Parameters
    ----------
    path : str or path
        The folder, its `run-report.json`, or the Parquet file beside it, local or in a bucket. A result may have been
        moved or copied as a whole.
    **options
        Options of access, as `convert` takes them: `profile`, `endpoint_url`, `no_sign_request`, `requester_pays`,
        `store_timeout` and `scratch_dir`. A keyword wins over the environment variable `CYTOBATCH_<NAME>`.

    Returns
    -------
    PlateResult
        The report, and the way to its tables.

    Raises
    ------
    ConfigurationError
        If an option or a variable is not valid.
    InputDataError
        If the report cannot be read as one, or its run has not finished.
    StorageError
        If there is no report, or it cannot be reached.

    Examples
    --------
    >>> report = cytobatch.open_result("s3://bucket/profiles/BR00117035", profile="lab")
    >>> report.wells("Metadata_*").to_pandas()
    """
    _check_access(options)
    return result_at(str(path), access_options(options, _ORIGIN))


def inspect(path: str | PathLike, *, rows: int = 5, **options: Unpack[AccessOptions]) -> Inspection:
    """Find out what lies at a path: a source, a result, or a single Parquet file. Nothing is written.

    Of a source in a bucket up to three exports are read, as `plan` does; of a result its report, its list of columns
    and a few columns of the first rows.

    Parameters
    ----------
    path : str or path
        A folder or file, local or in a bucket.
    rows : int, optional
        How many rows the sample has; 0 reads none.
    **options
        Options of access, as `open_result` takes them.

    Returns
    -------
    InspectedSource, InspectedResult or InspectedParquet
        `kind` tells them apart. `to_json()` returns JSON text.

    Raises
    ------
    ConfigurationError
        If an option or a variable is not valid.
    InputDataError
        If it is none of these, or cannot be read as one.
    StorageError
        If it cannot be reached.

    Examples
    --------
    >>> found = cytobatch.inspect("plate")
    >>> [(table.name, table.rows, table.columns.features) for table in found.tables]
    """
    _check_access(options)
    with arrow_threads_restored():
        return inspect_path(str(path), access_options(options, _ORIGIN), rows)


def _one_job(
    keywords: Mapping[str, Any], job_spec: str | PathLike | Mapping[str, Any] | None, array_index: int | None
) -> PlateJob:
    """Return the one plate that keywords, environment and spec describe. Raises ConfigurationError for several."""
    _check_names(keywords)
    _check_index(array_index)
    options = parse_options({name: value for name, value in keywords.items() if value is not None}, _ORIGIN)
    spec = str(job_spec) if isinstance(job_spec, PathLike) else job_spec
    jobs = resolve_jobs(options, spec, _ORIGIN, array_index)
    return only_job(
        jobs,
        where="job spec" if spec is not None else f"{_ORIGIN} and environment",
        remedy=f"pick one by its position, array_index=0 to {len(jobs) - 1}, or by plate= in place of a pattern",
    )


def _listener(plate: str, progress: PlateListener | Literal[True]) -> AbstractContextManager[PlateListener]:
    if progress is not True:
        return nullcontext(progress)
    from cytobatch.pipeline.progress_bar import shown_progress

    return shown_progress(plate)


def _check_names(keywords: Mapping[str, Any]) -> None:
    """Raises JobSpecError for a keyword that is no option, with the nearest name, and for an option of the command."""
    known = (*PlateOptions.model_fields, *_OTHER_KEYWORDS)
    for name, value in keywords.items():
        if name in _OF_THE_COMMAND and value is not None:
            why, remedy = _OF_THE_COMMAND[name]
            raise JobSpecError(
                f"option {name!r} is of the command alone",
                where=_ORIGIN,
                why=why,
                remedy=remedy,
            )
        if name not in known:
            raise _unknown_option(name, known, "no option has that name")


def _check_access(keywords: Mapping[str, Any]) -> None:
    """Raises JobSpecError for a keyword that is no option of access, with the nearest name."""
    known = tuple(AccessOptions.__annotations__)
    for name in keywords:
        if name not in known:
            raise _unknown_option(name, known, "no option of access has that name")


def _unknown_option(name: str, known: Sequence[str], why: str) -> JobSpecError:
    remedy = nearest(name, known) or f"known options: {', '.join(known)}"
    return JobSpecError(f"unknown option {name!r}", where=_ORIGIN, why=why, remedy=remedy)


def _check_index(array_index: int | None) -> None:
    """Raises JobSpecError for a negative position, because Python would count it from the end."""
    if array_index is not None and array_index < 0:
        raise JobSpecError(
            f"bad value for 'array_index': {array_index}",
            where=_ORIGIN,
            why="plates are counted from 0",
            remedy="give the position of a plate",
        )
