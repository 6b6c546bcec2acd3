"""Everything that can be said of one plate, and the plate with every option decided.

Every option may come from a flag, the environment, the spec's plate, the spec's defaults or the preset; the first of
these that says something wins. All are fields of `PlateOptions`, so that names, types and help are written once.
"""

from pathlib import Path, PurePosixPath
from typing import Any, Self

from pydantic import BaseModel, ByteSize, ConfigDict, Field, model_validator

from cytobatch.config.option_types import (
    Aggregation,
    AnnDataFormat,
    Arguments,
    CacheMode,
    Casts,
    ColumnNaming,
    ColumnType,
    ColumnTypes,
    Names,
    Pattern,
    Stores,
)
from cytobatch.config.presets.presets import SUFFIXES, PresetName
from cytobatch.config.presets.wells import SiteLocation, normalise_well

PARQUET = ".parquet"
SINGLE_CELLS, PROFILES = "single_cells", "profiles"
"""The outputs, by their names without suffix."""
_RUNTIME_ONLY_OPTIONS = (
    "skip_done",
    "replace",
    "profile",
    "no_sign_request",
    "requester_pays",
    "extra_args",
    "destination_profile",
    "cache_dir",
    "cache_mode",
    "scratch_dir",
    "workers",
    "memory",
)
_MARKER = "/_SUCCESS"
_FILES = frozenset[str]().union(*SUFFIXES.values())


def own_name(source: str) -> str:
    """The name of a plate's folder, or of its file without a suffix that is known."""
    path = PurePosixPath(source)
    return path.stem if path.suffix.lower() in _FILES else path.name


def without_marker(source: str) -> str:
    """The folder in which a marker says that an upload is complete; else the source itself.

    `_SUCCESS` is what Hadoop's committers leave: FileOutputCommitter.SUCCEEDED_FILE_NAME.
    """
    return source.removesuffix(_MARKER)


class PlateOptions(BaseModel):
    """All that can be said of a plate's conversion; what is not said is None."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    source: str | None = Field(None, min_length=1)
    """Where the measurements are: a folder or file, local, s3://, gs:// or az://; `{plate}` and `{batch}` are their
    names. With a batch: a workspace laid out as the Cell Painting Gallery's. The marker _SUCCESS stands for its
    folder."""
    destination: str | None = Field(None, min_length=1)
    """Where the profile goes: a folder, or one file that ends in .parquet, local or in a bucket; `{plate}` as above, or
    the source's own name."""
    plate: str | None = Field(None, min_length=1)
    """The plate's name, for runs and reports, and for Metadata_Plate where the source does not know it. A pattern such
    as * stands for every plate that is there: folders at `{plate}` in the source, or of the batch."""
    batch: str | None = Field(None, min_length=1)
    """The batch of plates, by which plates are found in a workspace; without a plate, every plate of the batch."""
    well: str | None = Field(None, min_length=1)
    """The well, for Metadata_Well where the source does not know it."""
    site: str | None = Field(None, min_length=1)
    """The site, for Metadata_Site where the source does not know it."""
    preset: PresetName | None = None
    """How the source is laid out and named: auto, cellprofiler_csv, cellprofiler_sqlite,
    cellprofiler_sqlite_pycytominer, cellprofiler_sqlite_cpg0016_jump,
    cell-health-cellprofiler-to-cytominer-database, in-carta or deepprofiler; auto, the default, finds out."""
    compartments: Names | None = None
    """The compartment tables to take, such as cells,cytoplasm,nuclei."""
    metadata: Names | None = None
    """The image-level tables to take, such as image."""
    identifying_columns: Names | None = None
    """Source columns that identify rather than measure, and go under Metadata_."""
    image_columns: Pattern | None = None
    """Columns of the image table to keep: a regular expression over their names with Image_ in front, such as
    Image_(FileName|PathName|ImageQuality)_.*; by default the preset's."""
    column_names: ColumnNaming | None = None
    """cytotable or pycytominer: whether columns that are no measurements, such as Cells_Number_Object_Number, go under
    Metadata_; by default they do with preset auto, and keep CytoTable's names with its own presets."""
    column_types: ColumnTypes | None = None
    """Types for columns by their names at the source, `AreaShape_Area` or `cells.AreaShape_Area`: number, integer or
    text. Text that is no number becomes null and is counted."""
    platemap: str | None = Field(None, min_length=1)
    """A platemap to join by well: a text file with well_position, or the batch's folder with barcode_platemap.csv and
    platemap/; `{plate}` and `{batch}` as above."""
    load_data: str | None = Field(None, min_length=1)
    """A LoadData CSV to join by plate, well and site, or the folder that has it; `{plate}` and `{batch}` as above."""
    joins: str | None = Field(None, min_length=1)
    """DuckDB SQL that joins the tables of one export by name, in place of the joins that cytobatch finds."""
    join: bool | None = None
    """One joined profile; --no-join writes a Parquet for each table."""
    concat: bool | None = None
    """All exports in one; --no-concat writes a Parquet for each export."""
    well_profiles: Aggregation | None = None
    """median or mean: also write profiles.parquet, the well-level profile."""
    anndata: Stores | None = None
    """h5ad, zarr or both: also write the profiles as AnnData; needs cytobatch[anndata]."""
    data_type_cast_map: Casts | None = None
    """Types to cast the groups float, integer and string to, such as {"float": "float32"}."""
    drop_null: bool | None = None
    """Drop rows that hold a null in any column."""
    sort_output: bool | None = None
    """Sort rows by export, image and object; otherwise they keep the base table's order."""
    add_tablenumber: bool | None = None
    """Add Metadata_TableNumber, which tells exports apart; by default where there is more than one export."""
    chunk_size: int | None = Field(None, ge=1)
    """Rows in a Parquet row group; by default as many as fill 128 MiB, or more for large plates."""
    max_failed_exports: int | None = Field(None, ge=0)
    """How many exports may fail before the job does."""
    skip_done: bool | None = None
    """Leave a plate alone whose published report tells of these very inputs and options."""
    replace: bool | None = None
    """Replace what an earlier run published; --no-replace refuses a destination whose report is of another source."""
    profile: str | None = Field(None, min_length=1)
    """AWS profile for source and destination."""
    endpoint_url: str | None = Field(None, min_length=1)
    """URL of an S3 API other than AWS, for source and destination."""
    no_sign_request: bool | None = None
    """Read a public source bucket without credentials."""
    requester_pays: bool | None = None
    """Agree to pay for reading the source bucket."""
    extra_args: Arguments | None = None
    """Further arguments of boto3's transfers from the source, such as {"ExpectedBucketOwner": "…"}."""
    destination_profile: str | None = Field(None, min_length=1)
    """AWS profile for the destination, if another."""
    destination_endpoint_url: str | None = Field(None, min_length=1)
    """S3 API for the destination, if another."""
    cache_dir: Path | None = None
    """Where fetched files are kept while they are read; by default in the scratch folder."""
    cache_mode: CacheMode | None = None
    """tmp_dir drops fetched files when the run ends, persistent keeps them in cache_dir for the next run."""
    scratch_dir: Path | None = None
    """Where intermediate files go; by default the system's temporary folder."""
    workers: int | None = Field(None, ge=1, le=256)
    """How many threads compute at once; by default one for each CPU that the container or machine grants."""
    memory: ByteSize | None = Field(None, ge=64 * 2**20)
    """Memory that the run may take, such as 3GiB; by default all that the container or machine grants."""

    def explicit(self) -> dict[str, Any]:
        """The options that were said, by name."""
        return {name: value for name, value in self if value is not None and name in PlateOptions.model_fields}


class PlateJob(BaseModel):
    """One plate, every option decided. Made by `plate_jobs`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str
    destination: str
    plate: str | None = None
    well: str | None = None
    site: str | None = None
    batch: str | None = None
    preset: PresetName = PresetName.AUTO
    compartments: tuple[str, ...] | None = None
    metadata: tuple[str, ...] | None = None
    identifying_columns: tuple[str, ...] | None = None
    image_columns: str | None = None
    column_names: ColumnNaming | None = None
    column_types: dict[str, ColumnType] = Field(default_factory=dict)
    platemap: str | None = None
    load_data: str | None = None
    joins: str | None = None
    join: bool = True
    concat: bool = True
    well_profiles: Aggregation | None = None
    anndata: tuple[AnnDataFormat, ...] = ()
    data_type_cast_map: dict[str, str] = Field(default_factory=dict)
    drop_null: bool = False
    sort_output: bool = True
    add_tablenumber: bool | None = None
    chunk_size: int | None = None
    max_failed_exports: int = 0
    skip_done: bool = False
    replace: bool = True
    profile: str | None = None
    endpoint_url: str | None = None
    no_sign_request: bool = False
    requester_pays: bool = False
    extra_args: dict[str, Any] = Field(default_factory=dict)
    destination_profile: str | None = None
    destination_endpoint_url: str | None = None
    cache_dir: Path | None = None
    cache_mode: CacheMode = CacheMode.TMP_DIR
    scratch_dir: Path | None = None
    workers: int | None = None
    memory: ByteSize | None = None

    def output_options(self) -> dict[str, Any]:
        """The options that decide what is written, as JSON has them; not those of credentials, place and pace."""
        return self.model_dump(mode="json", exclude_none=True, exclude=set(_RUNTIME_ONLY_OPTIONS))

    @property
    def label(self) -> str:
        """The plate's name, or else the last part of the source's path."""
        return self.plate or own_name(self.source) or "plate"

    @property
    def single_file(self) -> bool:
        """Whether the destination is one Parquet file."""
        return self.destination.endswith(PARQUET)

    @property
    def location(self) -> SiteLocation:
        """What the job says of plate, well and site."""
        return SiteLocation(self.plate, normalise_well(self.well) if self.well else None, self.site)

    @property
    def naming(self) -> ColumnNaming:
        """How columns are called: as asked for, else as CytoTable does with its own presets."""
        return self.column_names or (
            ColumnNaming.PYCYTOMINER if self.preset is PresetName.AUTO else ColumnNaming.CYTOTABLE
        )

    @model_validator(mode="after")
    def _hold_together(self) -> Self:
        if self.single_file and not (self.join and self.concat):
            raise ValueError(
                "destination: a single .parquet file holds one joined profile; with join or concat off, name a folder"
            )
        if self.batch is not None and self.plate is None:
            raise ValueError("batch: it says where a plate is, but no plate is named")
        if self.joins is not None and not self.join:
            raise ValueError("joins: SQL is given, but join is off; drop one of the two")
        if not self.join and (self.well_profiles or self.anndata):
            wanted = "well_profiles" if self.well_profiles else "anndata"
            raise ValueError(f"{wanted}: it is made from the joined profile, but join is off; drop one of the two")
        if self.cache_mode is CacheMode.PERSISTENT and self.cache_dir is None:
            raise ValueError("cache_mode: persistent needs a cache_dir to persist in")
        return self
