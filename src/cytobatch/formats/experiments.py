"""What an analysis records about itself, such as its pipeline, version and time: keys and values of one table."""

from dataclasses import dataclass

Pairs = tuple[tuple[str, str | None], ...]
"""Keys and values, in their order."""


@dataclass(frozen=True, slots=True)
class Experiment:
    """One table that records the runs of an analysis.

    `export` is the path of the export that it belongs to, or that of its folder if the folder is no export. `path` is
    its file, `table` its name if the file has several tables. `runs` has the keys and values of each run. A table that
    cannot be read has no runs, and the reason is `defect`.
    """

    export: str
    path: str
    table: str | None
    runs: tuple[Pairs, ...] = ()
    defect: str = ""
