"""A plate of single-cell measurements in, one joined and verified Parquet profile out.

    import cytobatch

    report = cytobatch.convert("plate", "profiles/BR00117035", well_profiles="median")
    report                                   # a notebook shows the verdict and a plate map
    report.cells("Cells_AreaShape_*")        # columns of the profile, as an Arrow table
    report.wells()                           # a row for each well
    report.failed, report.warnings           # what is not in the profile, and what to know about it

Functions:

    convert(source, destination, ...)        convert one plate; returns a PlateResult
    plan(source, destination, ...)           describe what convert would do; returns a PlanDescription
    inspect(path, ...)                       find out what lies at a path: a source, a result, a Parquet file
    open_result(path, ...)                   open the result of an earlier run; returns a PlateResult

`help(cytobatch.convert)` has the arguments, `help(cytobatch.PlateResult)` what can be done with a result. Every option
of `cytobatch run` is a keyword. Sources and destinations are local paths, or in buckets: s3://, gs:// or az://.

Every error is a CytobatchError with `what`, `where`, `why` and `remedy`: ConfigurationError for options, InputDataError
for the source, StorageError for files and buckets, and the classes below these.
"""

# The public API is what `__all__` names. Importing the package imports none of it: each name is imported at its first
# use (PEP 562), so that the command line and a user's program start without Arrow, DuckDB and clients of object stores.

__version__ = "0.1.0"

__all__ = [
    "AbsentFileError",
    "AccessError",
    "AnnotationError",
    "ConfigurationError",
    "CytobatchError",
    "FractionError",
    "InputDataError",
    "InternalError",
    "InvalidTableError",
    "JobSpecError",
    "JoinSqlError",
    "LayoutError",
    "PlanDescription",
    "PlateProgress",
    "PlateResult",
    "PlateStep",
    "RunReport",
    "ServiceError",
    "SourceChangedError",
    "SourceNotFoundError",
    "StepStarted",
    "StorageError",
    "TooManyFailedExportsError",
    "WorkerLostError",
    "WorkerVersionError",
    "__version__",
    "convert",
    "inspect",
    "open_result",
    "plan",
]

# Importing typing takes longer than this module. Type checkers treat this name as true.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from cytobatch.errors import (
        AbsentFileError,
        AccessError,
        AnnotationError,
        ConfigurationError,
        CytobatchError,
        FractionError,
        InputDataError,
        InternalError,
        InvalidTableError,
        JobSpecError,
        JoinSqlError,
        LayoutError,
        ServiceError,
        SourceChangedError,
        SourceNotFoundError,
        StorageError,
        TooManyFailedExportsError,
        WorkerLostError,
        WorkerVersionError,
    )
    from cytobatch.pipeline.api import convert, inspect, open_result, plan
    from cytobatch.pipeline.describe import PlanDescription
    from cytobatch.pipeline.plate_result import PlateResult
    from cytobatch.pipeline.progress import PlateProgress
    from cytobatch.pipeline.steps import PlateStep, StepStarted
    from cytobatch.report.model import RunReport
else:
    _MODULES = {
        "PlanDescription": "cytobatch.pipeline.describe",
        "PlateProgress": "cytobatch.pipeline.progress",
        "PlateResult": "cytobatch.pipeline.plate_result",
        "PlateStep": "cytobatch.pipeline.steps",
        "RunReport": "cytobatch.report.model",
        "StepStarted": "cytobatch.pipeline.steps",
        "convert": "cytobatch.pipeline.api",
        "inspect": "cytobatch.pipeline.api",
        "open_result": "cytobatch.pipeline.api",
        "plan": "cytobatch.pipeline.api",
    }

    def __getattr__(name):
        """Import a public name at its first use."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module = __import__(_MODULES.get(name, "cytobatch.errors"), fromlist=[name])
        value = getattr(module, name)
        globals()[name] = value
        return value

    def __dir__():
        """List the public names."""
        return sorted(__all__)
