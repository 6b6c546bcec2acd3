"""Run reports of plates of any size, for pages: as a run would write them, without the run."""

import random
from collections.abc import Collection
from datetime import UTC, datetime, timedelta

from cytobatch.config.wells import row_letters
from cytobatch.report.model import (
    Counts,
    LedgerEntry,
    NonFiniteValues,
    Outcome,
    OutputFile,
    ReportWarning,
    RunLimits,
    RunReport,
    SchemaDifference,
    SoftwareVersion,
    ValueRepair,
)
from cytobatch.report.wells import PlateWell

SIZES = {96: (8, 12), 384: (16, 24), 1536: (32, 48)}
_STARTED = datetime(2026, 11, 28, 3, 11, tzinfo=UTC)
_SITES = 4
_CHANNELS = ("DNA", "ER", "RNA", "AGP", "Mito")


def feature_names(count: int) -> list[str]:
    names = ["Cells_AreaShape_Area", "Nuclei_AreaShape_Area"]
    names += [f"Cells_Intensity_MeanIntensity_{channel}" for channel in _CHANNELS]
    names += [f"Cells_Texture_Contrast_DNA_{n}_00_256" for n in range(count)]
    return names[:count]


def plate_report(
    size: int = 384,
    *,
    plate: str = "BR00117035",
    failed: Collection[str] = (),
    part: Collection[str] = (),
    empty: Collection[str] = (),
    missing: Collection[str] = (),
    features: int = 7,
    cells: float = 1200.0,
    seed: int = 1,
) -> RunReport:
    """Return the report of a plate with controls in two columns, a gradient, and a few low wells.

    All sites of `failed` wells failed, and one of `part` wells; `empty` wells have no cells, `missing` ones no images.
    """
    dice = random.Random(seed)
    rows, columns = SIZES[size]
    wells = []
    for row in range(1, rows + 1):
        for column in range(1, columns + 1):
            name = f"{row_letters(row)}{column:02d}"
            if name in missing:
                continue
            lost = _SITES if name in failed else 1 if name in part else 0
            sites = _SITES - lost
            edge = row in (1, rows) or column in (1, columns)
            usual = cells * (0.82 if edge else 1.0) * dice.gauss(1, 0.09) * (0.3 if dice.random() < 0.012 else 1)
            count = 0 if name in empty else max(0, round(usual * sites / _SITES))
            control = "negcon" if column == 2 else "poscon" if column == columns - 1 else None
            gradient = 1 + 0.25 * row / rows + 0.1 * column / columns
            medians = [
                None if not count else float(f"{(2400 if n == 0 else 500 / n) * gradient * dice.gauss(1, 0.05):.6g}")
                for n in range(features)
            ]
            wells.append(
                PlateWell(
                    plate=plate,
                    well=name,
                    row=row,
                    column=column,
                    sites=sites,
                    empty_sites=sites if not count else 0,
                    failed_sites=lost,
                    cells=count,
                    lost_cells=round(lost * cells / _SITES),
                    role=control,
                    content="DMSO" if control == "negcon" else f"compound {dice.randrange(1000)}",
                    failed_exports=[f"{plate}-{name}-{site}" for site in range(1, lost + 1)],
                    medians=medians,
                )
            )
    return _report(plate, wells, features)


def _report(plate: str, wells: list[PlateWell], features: int) -> RunReport:
    exports = sum(well.sites + well.failed_sites for well in wells)
    bad = [path for well in wells for path in well.failed_exports]
    total = sum(well.cells for well in wells)
    tables = ("Cells", "Cytoplasm", "Nuclei")
    ledger = [
        LedgerEntry(path=f"{plate}/{table}.csv", outcome=Outcome.CONVERTED, export="x", table=table, rows=total, size=9)
        for table in tables
    ]
    ledger += [
        LedgerEntry(
            path=f"{path}/Cells.csv",
            outcome=Outcome.FAILED,
            export=path,
            table="Cells",
            reason="it is cut short: 31 of 53 objects that the image table counts",
        )
        for path in bad
    ]
    ledger += [LedgerEntry(path=f"{path}/Nuclei.csv", outcome=Outcome.LEFT_OUT, table="Nuclei") for path in bad]
    ledger.append(LedgerEntry(path="notes.txt", outcome=Outcome.IGNORED, reason="no table of this layout"))
    return RunReport(
        cytobatch_version="0.1.0",
        plate=plate,
        source=f"s3://screen/analysis/{plate}",
        destination=f"s3://profiles/{plate}",
        report=f"s3://profiles/{plate}/run-report.json",
        preset="cellprofiler_csv",
        layout="csv",
        joins=["one row for each object of cytoplasm", "cells by Parent_Cells"],
        started=_STARTED,
        finished=_STARTED + timedelta(seconds=84.2),
        seconds={"plan": 1.2, "survey": 9.7, "convert": 63.1, "publish": 10.2},
        peak_memory_bytes=2_100_000_000,
        limits=RunLimits(workers=4, memory_bytes=8 * 2**30),
        counts=Counts(
            exports=exports,
            failed_exports=len(bad),
            objects={table.lower(): total for table in tables},
            rows=total,
            rows_dropped_as_null=0,
            columns=4210,
            plates=1,
            wells=sum(well.cells > 0 for well in wells),
            sites=sum(well.sites - well.empty_sites for well in wells),
            features=4130,
        ),
        plates=[plate],
        software=[SoftwareVersion(name="CellProfiler", version="4.2.4", exports=exports - len(bad))],
        outputs=[
            OutputFile(
                path=f"s3://profiles/{plate}/single_cells.parquet",
                rows=total,
                columns=4210,
                bytes=total * 9000,
                sha256="0" * 64,
            ),
            OutputFile(
                path=f"s3://profiles/{plate}/profiles.parquet", rows=384, columns=4140, bytes=9_000_000, sha256="1" * 64
            ),
        ],
        warnings=[
            ReportWarning(what="objects that no object of cells belongs to", table="nuclei", count=767, exports=600),
            ReportWarning(what="2 wells of the platemap without image sets: H12, P24"),
        ],
        schema_differences=[SchemaDifference(export=f"{plate}-A01-1", table="cells", column="Texture_Gabor_ER_3")],
        repairs=[
            ValueRepair(
                table="cells",
                column="AreaShape_FormFactor",
                text="-nan(ind)",
                became="null",
                count=12,
                exports=3,
                first_exports=["a", "b", "c"],
            )
        ],
        odd_values=[NonFiniteValues(column="Cells_Correlation_Costes_DNA_ER", nulls=0, nans=total // 50, infinities=0)],
        page=f"s3://profiles/{plate}/report.html",
        report_features=feature_names(features),
        wells=wells,
        ledger=ledger,
    )
