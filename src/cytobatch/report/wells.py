"""The wells of a report: their sites, their cells, and the medians of a few features."""

from pydantic import BaseModel, ConfigDict, Field

from cytobatch.config.wells import COLUMNS_OF_1536, ROWS_OF_1536


class PlateWell(BaseModel):
    """One well of which an image set is known.

    `row` and `column` are 1-based, None if the name is none of a well. `sites` are the valid image sets, `empty_sites`
    of which have no profile row; `failed_sites` are those of failed exports, of which `failed_exports` are the first.
    `cells` are the profile rows; `lost_cells` those that image tables count in failed exports, None if no table counts
    them. `role` is a kind of control, and `content` what the platemap says the well contains. `medians` are those of
    the report's `report_features`, None for a feature without a finite value.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    plate: str | None = None
    well: str
    row: int | None = Field(None, ge=1, le=ROWS_OF_1536)
    column: int | None = Field(None, ge=1, le=COLUMNS_OF_1536)
    sites: int
    empty_sites: int = 0
    failed_sites: int = 0
    cells: int = Field(ge=0, lt=2**62)
    lost_cells: int | None = 0
    role: str | None = None
    content: str | None = None
    failed_exports: list[str] = []
    medians: list[float | None] = []
