"""Batches of plates of any number, for the page of a batch, made from a few reports."""

import random
from array import array
from dataclasses import replace

from cytobatch.report.batch_table import BatchTable
from cytobatch.report.small_map import SmallMap
from cytobatch.report.summary import PlateRow, PlateState, RunSummary, summarise
from tests.support.plate_reports import plate_report

DEAD = "BR0000007"


def batch_of(plates: int) -> BatchTable:
    """Return a batch in order: its seventh plate, or last, is dead; some are missing, unreadable or with losses."""
    dice = random.Random(plates)
    runs = [summarise(plate_report(seed=seed)) for seed in range(min(plates, 5))]
    with_losses = summarise(plate_report(failed={"C07", "P24"}, part={"D08"}))
    rows = []
    for number in range(1, plates + 1):
        name = f"BR{number:07}"
        uri = f"s3://profiles/{name}/run-report.json"
        row = PlateRow(name, PlateState.DONE, None, f"s3://screen/{name}", f"s3://profiles/{name}", uri)
        if name == DEAD or number == plates < 7:
            rows.append(replace(row, plate=DEAD, run=_scaled(runs[0], 0.04, uri)))
        elif number % 90 == 40:
            rows.append(replace(row, state=PlateState.MISSING, reason="no report is there"))
        elif number % 900 == 50:
            rows.append(replace(row, state=PlateState.UNREADABLE, reason="it is no run report"))
        elif number % 70 == 3:
            rows.append(replace(row, state=PlateState.LOSSES, run=_scaled(with_losses, dice.gauss(1, 0.1), uri)))
        else:
            rows.append(replace(row, run=_scaled(dice.choice(runs), dice.gauss(1, 0.1), uri)))
    return BatchTable.of(rows)


def _scaled(run: RunSummary, factor: float, report: str) -> RunSummary:
    assert run.small_map is not None
    assert run.median_cells is not None
    cells = array("q", (round(value * factor) if value > 0 else value for value in run.small_map.cells))
    return replace(
        run,
        rows=round(run.rows * factor),
        median_cells=round(run.median_cells * factor),
        small_map=SmallMap(run.small_map.columns, cells),
        page=report.replace("run-report.json", "report.html"),
    )
