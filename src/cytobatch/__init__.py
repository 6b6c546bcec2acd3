"""cytobatch: a plate of single-cell measurements in, one joined and verified Parquet profile out.

The public API is what `__all__` names. Importing the package imports none of it: each name is imported at its first use
(PEP 562), so that the command line and a user's program start without Arrow, DuckDB and the clients of object stores.
"""

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
    from cytobatch.pipeline.api import convert, plan
    from cytobatch.pipeline.describe import PlanDescription
    from cytobatch.pipeline.progress import PlateProgress
    from cytobatch.pipeline.steps import PlateStep, StepStarted
    from cytobatch.report.model import RunReport
else:
    _MODULES = {
        "PlanDescription": "cytobatch.pipeline.describe",
        "PlateProgress": "cytobatch.pipeline.progress",
        "PlateStep": "cytobatch.pipeline.steps",
        "RunReport": "cytobatch.report.model",
        "StepStarted": "cytobatch.pipeline.steps",
        "convert": "cytobatch.pipeline.api",
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
