"""What to convert: the job spec as its author wrote it, and the one plate that a process converts."""

from cytobatch.jobspec.jobs import Folders, plate_jobs
from cytobatch.jobspec.options import PARQUET, PROFILES, SINGLE_CELLS, PlateJob, PlateOptions
from cytobatch.jobspec.spec import JobSpec, nearest, parse_spec, resolved_spec, spec_error
from cytobatch.jobspec.values import Aggregation, AnnDataFormat, CacheMode, CastGroup, ColumnNaming, ColumnType

__all__ = [
    "PARQUET", "PROFILES", "SINGLE_CELLS", "Aggregation", "AnnDataFormat", "CacheMode", "CastGroup",
    "ColumnNaming", "ColumnType", "Folders", "JobSpec", "PlateJob", "PlateOptions", "nearest", "parse_spec",
    "plate_jobs", "resolved_spec", "spec_error",
]  # fmt: skip
