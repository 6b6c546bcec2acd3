"""What the script of a plate's page needs: wells and medians as JSON, column by column."""

import json
from collections.abc import Sequence
from typing import Any

from cytobatch.errors import brief
from cytobatch.report.model import RunReport
from cytobatch.report.plate_grid import ColourRange, PlateGrid
from cytobatch.report.plate_wells import PlateWells

_DIGITS = 4


def page_data(report: RunReport, wells: PlateWells, grids: Sequence[PlateGrid]) -> str:
    """Return the data of a page as JSON that is safe within a script element."""
    numbers = [[well.number for row in grid.grid for well in row.wells] for grid in grids]
    data: dict[str, Any] = {
        "grids": [
            {"rows": grid.rows, "columns": grid.columns, "wells": own} for grid, own in zip(grids, numbers, strict=True)
        ],
        "name": [wells.name(well) for well in wells.wells],
        "row": [well.row for well in wells.wells],
        "column": [well.column for well in wells.wells],
        "cells": [well.cells for well in wells.wells],
        "sites": [well.sites for well in wells.wells],
        "failed": [well.failed_sites for well in wells.wells],
        "state": [wells.state(well).value for well in wells.wells],
        "role": [brief(well.role or "") for well in wells.wells],
        "content": [brief(well.content or "") for well in wells.wells],
        "features": [_feature(report, number) for number in range(len(report.report_features))],
    }
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def medians(report: RunReport, number: int) -> list[float | None]:
    """Return the medians of a report's feature by well; None for wells that a stranger's report gives none."""
    return [well.medians[number] if number < len(well.medians) else None for well in report.plate_wells]


def _feature(report: RunReport, number: int) -> dict[str, Any]:
    values = medians(report, number)
    colours = ColourRange.of(values)
    return {
        "name": brief(report.report_features[number]),
        "low": colours and colours.low,
        "high": colours and colours.high,
        "values": [None if value is None else _short(value) for value in values],
    }


def _short(value: float) -> float | int:
    short = float(f"{value:.{_DIGITS}g}")
    return int(short) if short.is_integer() and abs(short) < 2**53 else short
