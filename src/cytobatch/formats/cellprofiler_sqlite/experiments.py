"""The tables in which ExportToDatabase records pipeline, version and time: `Per_Experiment`, with any prefix.

A table of another name counts, too, if it is `Experiment` and has the columns of ExportToSpreadsheet's file.
"""

import itertools
from collections.abc import Sequence
from pathlib import Path

from cytobatch.errors import InvalidTableError
from cytobatch.formats.base import ConversionPlan, ExportScan
from cytobatch.formats.cellprofiler_sqlite.names import TableName, fits_prefix, table_names
from cytobatch.formats.experiments import Experiment, Pairs
from cytobatch.readers.inputs import Inputs
from cytobatch.readers.sqlite import read as sqlite
from cytobatch.readers.sqlite.affinity import Value

_EXPERIMENT = "experiment"
_KEY_AND_VALUE = ("key", "value")
_MOST_ROWS = 10_000


def read_experiments(plan: ConversionPlan, scans: Sequence[ExportScan], inputs: Inputs) -> tuple[Experiment, ...]:
    """Read the tables of all files. A file that cannot be read has none. Raises StorageError."""
    if not plan.job.experiment:
        return ()
    texts: dict[str, str] = {}
    found = []
    for source in dict.fromkeys(scan.export.files[0].path for scan in scans):
        path = inputs.whole(source)
        own = [scan for scan in scans if scan.export.files[0].path == source]
        try:
            names = table_names(sqlite.list_tables_and_views(path).tables, {})
        except InvalidTableError:
            # The scan names the file and its defect.
            continue
        for name in names:
            if _is_kept(plan, name) and all(name.source not in _sources(scan) for scan in own):
                found += _experiment(path, source, name, _export_of(name, own), texts)
    return tuple(found)


def _is_kept(plan: ConversionPlan, name: TableName) -> bool:
    wanted = plan.job.table_prefix
    return name.name == _EXPERIMENT and (wanted is None or fits_prefix(name.set_key, wanted))


def _sources(scan: ExportScan) -> set[str]:
    return {table.shown_name for table in scan.tables.values()}


def _export_of(name: TableName, scans: Sequence[ExportScan]) -> str:
    """Return the path of the export whose tables have the prefix of a table, or of the file if several may be meant."""
    if len(scans) == 1:
        return scans[0].export.path
    fitting = [scan for scan in scans if any(source.lower().startswith(name.set_key) for source in _sources(scan))]
    return fitting[0].export.path if len(fitting) == 1 else scans[0].export.files[0].path


def _experiment(path: Path, source: str, name: TableName, export: str, texts: dict[str, str]) -> list[Experiment]:
    """Return the runs of a table; nothing if it has other columns, or no row."""
    try:
        columns = sqlite.column_names(path, name.source)
        has_pairs = tuple(column.lower() for column in columns) == _KEY_AND_VALUE
        if not (has_pairs or name.is_per_table):
            return []
        stored = itertools.islice(sqlite.each_row(path, name.source, columns), _MOST_ROWS + 1)
        rows = [tuple(_text(value, texts) for value in row) for row in stored]
    except InvalidTableError as error:
        return [Experiment(export, source, name.source, defect=error.reason)]
    if len(rows) > _MOST_ROWS:
        return [Experiment(export, source, name.source, defect=f"it has more than {_MOST_ROWS} rows")]
    runs: list[Pairs] = [tuple(zip(columns, row, strict=True)) for row in rows]
    if has_pairs and rows:
        runs = [tuple((key or "", value) for key, value in rows)]
    return [Experiment(export, source, name.source, tuple(runs))] if runs else []


def _text(value: Value | None, texts: dict[str, str]) -> str | None:
    """Return a value as text. Equal texts are in memory once, because many runs have the same pipeline."""
    if value is None:
        return None
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return texts.setdefault(text, text)
