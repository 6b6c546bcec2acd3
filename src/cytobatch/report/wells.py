"""The wells of a report: their sites, their cells, and the medians of a few features."""

from pydantic import BaseModel, ConfigDict


class PlateWell(BaseModel):
    """One well of which an image set is known.

    `row` and `column` are 1-based, None if the name is none of a well. `sites` are the valid image sets, `empty_sites`
    of which have no profile row; `failed_sites` are those of failed exports, of which `failed_exports` are the first.
    `cells` are the profile rows; `lost_cells` those that image tables count in failed exports, None if no table counts
    them. `role` is a kind of control, and `content` what the platemap says the well contains. `medians` are those of
    the report's `report_features`, None for a feature without a finite value.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    plate: str | None = None
    well: str
    row: int | None = None
    column: int | None = None
    sites: int
    empty_sites: int = 0
    failed_sites: int = 0
    cells: int
    lost_cells: int | None = 0
    role: str | None = None
    content: str | None = None
    failed_exports: list[str] = []
    medians: list[float | None] = []
