"""The options of one plate: as a source of options gives them, and as a job with every option decided.

An option can come from a flag, the environment, the spec's plate, the spec's defaults or the preset; the first of
these that has a value wins. Every option is a field of `PlateOptions`, so that names, types and help are written once.
"""

from pathlib import PurePosixPath
from typing import Annotated, Any, Self

from pydantic import BaseModel, ByteSize, ConfigDict, Field, model_validator

from cytobatch.config.bad_values import OptionConflictError
from cytobatch.config.credentials import BlockName, check_credentials
from cytobatch.config.option_groups import COMMON, OptionGroup
from cytobatch.config.option_types import (
    Aggregation,
    AnnDataPrecision,
    Arguments,
    CacheMode,
    Casts,
    Children,
    ColumnNaming,
    ColumnTypes,
    LocalFolder,
    Names,
    PathOrUri,
    Pattern,
    ReportFeatures,
    Split,
    SqliteReader,
    StoreApi,
    Stores,
)
from cytobatch.config.orchestrator import Orchestrator, check_orchestrator
from cytobatch.config.presets.catalog import SUFFIXES, PresetName
from cytobatch.config.task_runner import TaskRunnerText
from cytobatch.config.wells import SiteLocation, normalise_well
from cytobatch.errors import brief

PARQUET = ".parquet"
DEFAULT_STORE_TIMEOUT = 20.0
"""Seconds."""
LEAST_MEMORY = 64 * 2**20
"""The least memory in bytes that a run can be given."""
SINGLE_CELLS, PROFILES, SITES, EXPERIMENT = "single_cells", "profiles", "sites", "experiment"
"""The names of the outputs without suffix."""
COLUMNS = "columns"
"""The name of the list of joined rows' columns, without suffix. Other lists have the name of their output in front."""
_RUNTIME_ONLY_OPTIONS = (
    "skip_done",
    "replace",
    "profile",
    "no_sign_request",
    "requester_pays",
    "extra_args",
    "check_md5",
    "store_timeout",
    "destination_profile",
    "credentials",
    "destination_credentials",
    "cache_dir",
    "cache_mode",
    "scratch_dir",
    "workers",
    "memory",
    "sqlite_reader",
    "report_features",
    "orchestrator",
    "prefect_wait",
    "task_runner",
    "split",
    "split_size",
)
"""The options that do not decide the bytes of the outputs: of access, folders, resources, reports and records."""
_MARKER, _DROP_ONE = "/_SUCCESS", "drop one of the two"
_FILES = frozenset[str]().union(*SUFFIXES.values())


def own_name(source: str) -> str:
    """Return the name of a plate's folder, or of its file without a known suffix."""
    path = PurePosixPath(source)
    return path.stem if path.suffix.lower() in _FILES else path.name


def without_marker(source: str) -> str:
    """Return the folder of a marker that marks an upload as complete, or else the source itself.

    Hadoop's committers write the marker `_SUCCESS`: FileOutputCommitter.SUCCEEDED_FILE_NAME.
    """
    return source.removesuffix(_MARKER)


class PlateOptions(BaseModel):
    """The options of a plate's conversion; an option without a value is None."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    source: Annotated[PathOrUri | None, OptionGroup.PLATE, COMMON] = Field(None, min_length=1)
    """Where the measurements are: a folder or file on a disk, or s3://, gs:// or az://. `{plate}` and `{batch}` in it
    stand for their names. With a batch it is a workspace laid out as the Cell Painting Gallery's. The marker _SUCCESS
    stands for its folder."""
    destination: Annotated[PathOrUri | None, OptionGroup.PLATE, COMMON] = Field(None, min_length=1)
    """Where the profile goes: a folder, or one file that ends in .parquet, on a disk or in a bucket. `{plate}` and
    `{batch}` in it stand for their names; a plate without a name has that of its source."""
    plate: Annotated[str | None, OptionGroup.PLATE, COMMON] = Field(None, min_length=1)
    """The plate's name, for runs and reports, and for Metadata_Plate where the source does not know it. A pattern such
    as * stands for every plate that is there: folders at `{plate}` in the source, or of the batch."""
    batch: Annotated[str | None, OptionGroup.PLATE] = Field(None, min_length=1)
    """The batch of plates, by which plates are found in a workspace; without a plate, every plate of the batch."""
    well: Annotated[str | None, OptionGroup.PLATE] = Field(None, min_length=1)
    """The well, for Metadata_Well where the source does not know it."""
    site: Annotated[str | None, OptionGroup.PLATE] = Field(None, min_length=1)
    """The site, for Metadata_Site where the source does not know it."""
    preset: Annotated[PresetName | None, OptionGroup.FORMAT, COMMON] = None
    """The format of the source and the names of its columns; auto, the default, detects the format. The others are
    cellprofiler_csv, cellprofiler_sqlite, cellprofiler_sqlite_pycytominer, cellprofiler_sqlite_cpg0016_jump,
    cell-health-cellprofiler-to-cytominer-database, in-carta and deepprofiler."""
    compartments: Annotated[Names | None, OptionGroup.FORMAT] = None
    """The compartment tables to take, such as cells,cytoplasm,nuclei."""
    metadata: Annotated[Names | None, OptionGroup.FORMAT] = None
    """The image-level tables to take, such as image."""
    table_prefix: Annotated[str | None, OptionGroup.FORMAT] = None
    """The prefix of the tables to take, such as RunA_, where one file or folder holds the tables of several runs; ''
    stands for tables without a prefix."""
    identifying_columns: Annotated[Names | None, OptionGroup.COLUMNS] = None
    """Source columns that identify rather than measure, and go under Metadata_."""
    image_columns: Annotated[Pattern | None, OptionGroup.COLUMNS] = None
    """Columns of the image table to keep: a regular expression over their names with Image_ in front, such as
    Image_(FileName|PathName|ImageQuality)_.*; by default the preset's."""
    image_features: Annotated[bool | None, OptionGroup.OUTPUTS] = None
    """Also write sites.parquet: a row for each site with the measurements of its image, such as Image_ImageQuality_….
    With well_profiles, the well-level profile has their aggregates over the sites of each well."""
    column_names: Annotated[ColumnNaming | None, OptionGroup.COLUMNS] = None
    """cytotable or pycytominer: whether columns that are no measurements, such as Cells_Number_Object_Number, go under
    Metadata_; by default they do with preset auto, and keep CytoTable's names with its own presets. In-carta and
    deepprofiler keep the names of their files unless it is pycytominer."""
    column_types: Annotated[ColumnTypes | None, OptionGroup.FORMAT] = None
    """Types for columns by their names at the source, `AreaShape_Area` or `cells.AreaShape_Area`: number, integer or
    text. Text that is no number becomes null and is counted."""
    platemap: Annotated[PathOrUri | None, OptionGroup.JOINS, COMMON] = Field(None, min_length=1)
    """A platemap to join by well: a text file with well_position, or the batch's folder with barcode_platemap.csv and
    platemap/. `{plate}` and `{batch}` in it stand for their names."""
    load_data: Annotated[PathOrUri | None, OptionGroup.JOINS] = Field(None, min_length=1)
    """A LoadData CSV to join by plate, well and site, or the folder that has it (load_data.csv, load_data.parquet, …);
    `{plate}` and `{batch}` as above."""
    joins: Annotated[str | None, OptionGroup.JOINS] = Field(None, min_length=1)
    """DuckDB SQL that joins the tables of one export by name, in place of the joins that cytobatch finds."""
    children: Annotated[Children | None, OptionGroup.JOINS] = None
    """first, mean or count: what a row has of a compartment with several objects for each parent, such as speckles of a
    nucleus. first, the default, is the first child; mean is the mean of each feature over all children, and their
    number; count is their number, Metadata_Children_<Compartment>_Count."""
    join: Annotated[bool | None, OptionGroup.OUTPUTS] = None
    """One joined profile; --no-join writes a Parquet for each table."""
    concat: Annotated[bool | None, OptionGroup.OUTPUTS] = None
    """All exports in one; --no-concat writes a Parquet for each export."""
    well_profiles: Annotated[Aggregation | None, OptionGroup.OUTPUTS, COMMON] = None
    """median or mean: also write profiles.parquet, the well-level profile."""
    report_features: Annotated[ReportFeatures | None, OptionGroup.OUTPUTS] = None
    """Features whose median in each well is in the report and on its page, up to 30: names, or patterns such as
    Cells_AreaShape_*; by default areas, and an intensity of each channel."""
    anndata: Annotated[Stores | None, OptionGroup.OUTPUTS] = None
    """h5ad, zarr or both: also write the profiles as AnnData; needs cytobatch[anndata]."""
    anndata_precision: Annotated[AnnDataPrecision | None, OptionGroup.OUTPUTS] = None
    """float32 or float64: the type of AnnData's X; by default float32 if all features are, else float64."""
    experiment: Annotated[bool | None, OptionGroup.OUTPUTS] = None
    """Also write experiment.parquet: what the analysis records about itself, such as its pipeline, version and time. On
    by default; nothing is written where nothing is recorded."""
    data_type_cast_map: Annotated[Casts | None, OptionGroup.COLUMNS] = None
    """Types to cast the groups float, integer and string to, such as {"float": "float32"}."""
    drop_null: Annotated[bool | None, OptionGroup.COLUMNS] = None
    """Drop rows that hold a null in any column."""
    sort_output: Annotated[bool | None, OptionGroup.COLUMNS] = None
    """Sort rows by export, image and object; otherwise they keep the base table's order."""
    add_tablenumber: Annotated[bool | None, OptionGroup.COLUMNS] = None
    """Add Metadata_TableNumber, which identifies the export; by default where there is more than one export."""
    chunk_size: Annotated[int | None, OptionGroup.OUTPUTS] = Field(None, ge=1, le=2**40)
    """Rows in a Parquet row group; by default as many as fill 128 MiB, or more for large plates."""
    range_size: Annotated[ByteSize | None, OptionGroup.OUTPUTS] = Field(None, ge=1)
    """Bytes at the source of a range of a large plate, such as 1GiB; no row group has rows of two ranges. By default
    256 MiB, and up to 1 GiB for plates beyond 16 GiB: about what makes one row group; with chunk_size no ranges."""
    max_failed_exports: Annotated[int | None, OptionGroup.LOSSES, COMMON] = Field(None, ge=0)
    """How many exports (outputs of the analysis, such as site folders) may fail before the plate does; 0 by default."""
    skip_done: Annotated[bool | None, OptionGroup.LOSSES] = None
    """Leave a plate alone whose published report has these inputs and options, and whose files are still those of the
    report. By default true; --force is its opposite."""
    generations: Annotated[bool | None, OptionGroup.LOSSES] = None
    """Put the outputs into a folder of their own below the destination, named by the checksum of inputs and options;
    those of earlier inputs stay, and the report at the destination names the newest."""
    replace: Annotated[bool | None, OptionGroup.LOSSES] = None
    """Replace what an earlier run published; --no-replace refuses a destination whose report is of another source."""
    profile: Annotated[str | None, OptionGroup.STORES, COMMON] = Field(None, min_length=1)
    """AWS profile for source and destination."""
    credentials: Annotated[BlockName | None, OptionGroup.STORES] = None
    """A Prefect block with the credentials for source and destination, in place of a profile: aws-credentials/<name> or
    minio-credentials/<name>. Only the name is recorded."""
    endpoint_url: Annotated[StoreApi | None, OptionGroup.STORES] = Field(None, min_length=1)
    """URL of an S3 API other than AWS, for source and destination."""
    no_sign_request: Annotated[bool | None, OptionGroup.STORES, COMMON] = None
    """Read a public source bucket without credentials."""
    requester_pays: Annotated[bool | None, OptionGroup.STORES] = None
    """Agree to pay for reading the source bucket."""
    extra_args: Annotated[Arguments | None, OptionGroup.STORES] = None
    """Further arguments of boto3's transfers from the source, such as {"ExpectedBucketOwner": "…"}."""
    check_md5: Annotated[bool | None, OptionGroup.STORES] = None
    """Compare each object of the source that is read whole, platemaps and LoadData files included, with its ETag, if
    that is an MD5. Objects in several parts, and those encrypted by KMS or by a key of one's own, have other ETags."""
    store_timeout: Annotated[float | None, OptionGroup.STORES] = Field(None, gt=0, le=3600)
    """Seconds that a store may take for the next bytes, 20 by default. A store that is silent ends the run after about
    five times as long, retries included; longer for slow networks."""
    destination_profile: Annotated[str | None, OptionGroup.STORES] = Field(None, min_length=1)
    """AWS profile for the destination, if another."""
    destination_credentials: Annotated[BlockName | None, OptionGroup.STORES] = None
    """A Prefect block with the credentials for the destination, if another. The source's endpoint_url does not hold
    then."""
    destination_endpoint_url: Annotated[StoreApi | None, OptionGroup.STORES] = Field(None, min_length=1)
    """S3 API for the destination, if another."""
    cache_dir: Annotated[LocalFolder | None, OptionGroup.MACHINE] = None
    """Where fetched files are kept while they are read; by default in the scratch folder."""
    cache_mode: Annotated[CacheMode | None, OptionGroup.MACHINE] = None
    """tmp_dir drops fetched files when the run ends, persistent keeps them in cache_dir for the next run."""
    scratch_dir: Annotated[LocalFolder | None, OptionGroup.MACHINE] = None
    """Where intermediate files go; by default the system's temporary folder."""
    workers: Annotated[int | None, OptionGroup.MACHINE] = Field(None, ge=1, le=256)
    """How many threads compute at once; by default one for each CPU that the container or machine grants."""
    memory: Annotated[ByteSize | None, OptionGroup.MACHINE, COMMON] = Field(None, ge=LEAST_MEMORY, le=2**60)
    """Memory that the run may take, such as 3GiB; by default all that the container or machine grants."""
    sqlite_reader: Annotated[SqliteReader | None, OptionGroup.FORMAT] = None
    """native or duckdb: the reader of SQLite tables, with the same outputs. native, the default, decodes the file's
    pages itself, which is faster, and falls back to DuckDB; duckdb uses DuckDB alone."""
    orchestrator: Annotated[Orchestrator | None, OptionGroup.PLATES] = None
    """prefect or none: whether `run` records the plate as a flow run of Prefect, the default. none runs the same steps,
    with the same outputs and report, and does not import Prefect."""
    prefect_wait: Annotated[float | None, OptionGroup.PLATES] = Field(None, ge=0, le=3600)
    """Seconds that a run waits for Prefect's server in all, 10 by default. Then it goes on without a record."""
    task_runner: Annotated[TaskRunnerText | None, OptionGroup.PLATES] = None
    """Where the plates of a run are converted: sequential, the default, threads:N, processes:N, dask, dask:N, or
    dask:tcp://host:port, a cluster that is there. The outputs are the same. Dask needs cytobatch[dask]."""
    split: Annotated[Split | None, OptionGroup.PLATES] = None
    """auto, always or never: whether the workers of a Dask cluster convert one plate together, with the same outputs.
    auto, the default, does so with plates of more than split_size on a cluster that is there."""
    split_size: Annotated[ByteSize | None, OptionGroup.PLATES] = Field(None, ge=0)
    """Bytes at the source from which auto splits a plate, such as 10GiB; by default 2 GiB."""

    def explicit(self) -> dict[str, Any]:
        """Return the options that have a value, by name."""
        return {name: value for name, value in self if value is not None and name in PlateOptions.model_fields}


class PlateJob(PlateOptions):
    """One plate with every option decided. `plate_jobs` makes it.

    The options are the fields of `PlateOptions`. This class lists only those that are required, and those whose default
    is a value; the others stay None where nothing gives them a value.
    """

    source: PathOrUri = Field(min_length=1)
    destination: PathOrUri = Field(min_length=1)
    preset: PresetName = PresetName.AUTO
    column_types: ColumnTypes = Field(default_factory=dict)
    join: bool = True
    concat: bool = True
    anndata: Stores = ()
    experiment: bool = True
    data_type_cast_map: Casts = Field(default_factory=dict)
    drop_null: bool = False
    sort_output: bool = True
    max_failed_exports: int = Field(0, ge=0)
    skip_done: bool = True
    generations: bool = False
    replace: bool = True
    no_sign_request: bool = False
    requester_pays: bool = False
    extra_args: Arguments = Field(default_factory=dict)
    check_md5: bool = False
    store_timeout: float = Field(DEFAULT_STORE_TIMEOUT, gt=0, le=3600)
    cache_mode: CacheMode = CacheMode.TMP_DIR
    sqlite_reader: SqliteReader = SqliteReader.NATIVE
    orchestrator: Orchestrator = Orchestrator.PREFECT
    prefect_wait: float = Field(10.0, ge=0, le=3600)
    split: Split = Split.AUTO
    split_size: ByteSize = Field(ByteSize(2 * 2**30), ge=0)

    def output_options(self) -> dict[str, Any]:
        """Return the options that decide the bytes of the outputs, as JSON values by name."""
        return self.model_dump(mode="json", exclude_none=True, exclude=set(_RUNTIME_ONLY_OPTIONS))

    @property
    def label(self) -> str:
        """The plate's name, or else the last part of the source's path."""
        return self.plate or own_name(self.source) or "plate"

    @property
    def shown_label(self) -> str:
        """The label in a form that is fit for names of runs, logs and pages."""
        return brief(self.label)

    @property
    def blocks(self) -> tuple[str, ...]:
        """The names of the Prefect blocks that the job needs."""
        return tuple(block for block in (self.credentials, self.destination_credentials) if block is not None)

    @property
    def single_file(self) -> bool:
        """Whether the destination is one Parquet file."""
        return self.destination.endswith(PARQUET)

    @property
    def location(self) -> SiteLocation:
        """Plate, well and site as the job gives them, None where it does not."""
        return SiteLocation(self.plate, normalise_well(self.well) if self.well else None, self.site)

    @property
    def naming(self) -> ColumnNaming:
        """The naming scheme of columns: the job's, or else that of CytoTable with CytoTable's own presets."""
        return self.column_names or (
            ColumnNaming.PYCYTOMINER if self.preset is PresetName.AUTO else ColumnNaming.CYTOTABLE
        )

    @model_validator(mode="after")
    def _check_combinations(self) -> Self:
        self._check_outputs()
        self._check_joins()
        if self.batch is not None and self.plate is None:
            raise OptionConflictError("batch", "a batch finds a plate by its name, and none is given", "give a plate")
        if self.cache_mode is CacheMode.PERSISTENT and self.cache_dir is None:
            raise OptionConflictError(
                "cache_mode", "persistent keeps fetched files in cache_dir, which is not given", "name a cache_dir"
            )
        check_orchestrator(self.orchestrator, self.task_runner, self.blocks)
        check_credentials(self.profile, self.credentials)
        check_credentials(self.destination_profile, self.destination_credentials, "destination_credentials")
        return self

    def _check_outputs(self) -> None:
        if self.single_file and not (self.join and self.concat):
            why = f"a .parquet file holds one joined profile, but {'concat' if self.join else 'join'} is off"
            raise OptionConflictError("destination", why, "name a folder, or drop one of the two")
        if self.single_file and self.generations:
            why = "they are folders, and the destination is one file"
            raise OptionConflictError("generations", why, "name a folder as the destination")
        if not self.join and (self.well_profiles or self.anndata):
            wanted = "well_profiles" if self.well_profiles else "anndata"
            raise OptionConflictError(wanted, "it is made from the joined profile, but join is off", _DROP_ONE)
        if self.anndata_precision and not self.anndata:
            why = "it is the type of AnnData's X, but anndata is not given"
            raise OptionConflictError("anndata_precision", why, "give anndata, too: h5ad, zarr or both")

    def _check_joins(self) -> None:
        if self.joins is not None and not self.join:
            raise OptionConflictError("joins", "SQL is given, but join is off", _DROP_ONE)
        if self.children not in (None, Children.FIRST) and (self.joins is not None or not self.join):
            why = "SQL is given in joins" if self.join else "join is off"
            raise OptionConflictError("children", f"it is about the joins that cytobatch finds, but {why}", _DROP_ONE)
