"""Small plates as data: files built from rows in code, the expected profile from the same numbers, and one judge.

A case is a name, what is in the files, the options, and what must come out: rows, or an error with its exit code and
words. Warnings are expected exactly: a warning that no case expects fails it.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from cytobatch.config.options import PlateJob
from cytobatch.errors import CytobatchError, ExitCode
from cytobatch.pipeline.verification.verify import VerifyRequest, verify
from cytobatch.report.model import RunReport
from tests.support.plates import convert

Rows = list[list[str]]
"""The rows of a table as text, the header first."""
Tables = dict[str, Rows]
"""The tables of a site by name."""
Files = dict[str, bytes]
"""The contents of files by path. Those below `in/` are the source."""
Change = Callable[[Rows], Rows]

IMAGE, CELLS, CYTOPLASM, NUCLEI = "Image", "Cells", "Cytoplasm", "Nuclei"
COMPARTMENTS = {CELLS: 1000, CYTOPLASM: 2000, NUCLEI: 3000}
"""The compartments, and the number from which their areas count."""
AREA = "AreaShape_Area"


def area(table: str, number: int, obj: int) -> float:
    """Return the area of an object, which no other object of a plate has."""
    return COMPARTMENTS[table] + 10 * number + obj + 0.5


def site(number: int = 1, *, image: int = 1, objects: int = 3, **metadata: str) -> Tables:
    """Return the tables of a site, in which the cell, cytoplasm and nucleus of one number are one object.

    `metadata` are values of `Metadata_` columns of the image table, in place of plate P1, well A01 and the number.
    """
    located = {"Plate": "P1", "Well": "A01", "Site": str(number)} | metadata
    counts = {f"Count_{name}": str(objects) for name in COMPARTMENTS}
    row = {"ImageNumber": str(image), **counts, "FileName_DNA": f"{located['Well']}_{number}.tif"}
    row |= {f"Metadata_{name}": value for name, value in located.items()}
    parents = {CELLS: ("Nuclei",), CYTOPLASM: ("Cells", "Nuclei"), NUCLEI: ()}
    tables = {IMAGE: [list(row), list(row.values())]}
    for name, of in parents.items():
        header = ["ImageNumber", "ObjectNumber", AREA, *(f"Parent_{parent}" for parent in of)]
        rows = [
            [str(image), str(obj), str(area(name, number, obj)), *[str(obj)] * len(of)] for obj in range(1, objects + 1)
        ]
        tables[name] = [header, *rows]
    return tables


def expected(*numbers: int, objects: int = 3, **values: object) -> list[dict[str, object]]:
    """Return the rows of a profile of some sites; `values` are columns that all rows have in place of the usual."""
    return [
        {"Metadata_Plate": "P1", "Metadata_Well": "A01", "Metadata_Site": number}
        | {f"{name}_{AREA}": area(name, number, obj) for name in COMPARTMENTS}
        | values
        for number in numbers
        for obj in range(1, objects + 1)
    ]


def without(rows: Iterable[dict[str, object]], *columns: str) -> list[dict[str, object]]:
    """Return rows without some columns, which are then not compared."""
    return [{name: value for name, value in row.items() if name not in columns} for row in rows]


def text(rows: Rows, separator: str = ",", end: str = "\n") -> str:
    return "".join(separator.join(row) + end for row in rows)


Encode = Callable[[Rows], bytes]


def plain(rows: Rows) -> bytes:
    """Return rows as CellProfiler writes them: commas between values, and a newline after each row."""
    return text(rows).encode()


def plate(change: Callable[[Tables], Tables] = lambda tables: tables, encode: Encode = plain) -> Files:
    """Return a plate of the sites 1 and 2 in folders, the first of which is changed."""
    return csv(change(site(1)), "P1-A01-1", encode) | csv(site(2), "P1-A01-2", encode)


def csv(tables: Tables, folder: str = ".", encode: Encode = plain, *, name: str = "{}.csv") -> Files:
    """Return the tables as files of a folder below the source, whose names are made from those of the tables."""
    below = "in" if folder == "." else f"in/{folder}"
    return {f"{below}/{name.format(table)}": encode(rows) for table, rows in tables.items()}


def everywhere(change: Change) -> Callable[[Tables], Tables]:
    """Return a change of every table of a site."""
    return lambda tables: {name: change(rows) for name, rows in tables.items()}


def joined(*sites: Tables) -> Tables:
    """Return sites as the tables of one folder."""
    return {name: [rows[0], *(row for each in sites for row in each[name][1:])] for name, rows in sites[0].items()}


def column(name: str, *values: str) -> Change:
    """Return a change that sets a column, or adds it; the last value stands for the rest of the rows."""

    def change(rows: Rows) -> Rows:
        header, *lines = rows
        texts = [*values, *[values[-1]] * len(lines)]
        if name in header:
            place = header.index(name)
            return [
                header,
                *([*row[:place], value, *row[place + 1 :]] for row, value in zip(lines, texts, strict=False)),
            ]
        return [[*header, name], *([*row, value] for row, value in zip(lines, texts, strict=False))]

    return change


def renamed(**names: str) -> Change:
    return lambda rows: [[names.get(name, name) for name in rows[0]], *rows[1:]]


def dropped(*names: str) -> Change:
    def change(rows: Rows) -> Rows:
        kept = [place for place, name in enumerate(rows[0]) if name not in names]
        return [[row[place] for place in kept] for row in rows]

    return change


def changed(table: str, *changes: Change) -> Callable[[Tables], Tables]:
    """Return a change of one table of a site."""

    def change(tables: Tables) -> Tables:
        rows = tables[table]
        for each in changes:
            rows = each(rows)
        return {**tables, table: rows}

    return change


@dataclass(frozen=True)
class Case:
    """Files and options, with the expected rows or error.

    `warned` are patterns of the warnings, one for each; `reported` of the report's JSON. `absent` is a pattern of
    columns that the profile must not have, `types` the types of some that it has. `error` is a pattern of the message.
    """

    name: str
    files: Files
    rows: list[dict[str, object]] = field(default_factory=list)
    options: Mapping[str, Any] = field(default_factory=dict)
    warned: tuple[str, ...] = ()
    reported: tuple[str, ...] = ()
    absent: str | None = None
    types: Mapping[str, str] = field(default_factory=dict)
    error: str | None = None
    exit_code: ExitCode = ExitCode.INPUT_DATA
    source: str = "in"


def params(*cases: Case) -> list[Any]:
    """Return cases as parameters of a test, each with its name as id."""
    return [pytest.param(case, id=case.name) for case in cases]


def write(files: Files, root: Path) -> None:
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)


def check(case: Case, folder: Path, source: str | None = None) -> None:
    """Convert a case's files and assert what it expects. `source` is where they are, if not in the folder."""
    write(case.files, folder)
    options = {name: _filled(value, folder) for name, value in case.options.items()}
    start = Path(source or folder / case.source)
    if case.error is not None:
        with pytest.raises(CytobatchError) as caught:
            convert(start, folder / "out", **options)
        assert re.search(case.error, str(caught.value), re.IGNORECASE | re.DOTALL), str(caught.value)
        assert caught.value.exit_code == case.exit_code
        assert not (folder / "out").exists()
        return
    table, report = convert(start, folder / "out", **options)
    assert_rows(table, case.rows)
    assert_described(case, table, report)
    assert_verified(start, report)


def assert_verified(source: Path, report: RunReport) -> None:
    """Assert that every row is that of the second reader, if it can derive the rows again: SQL it does not run."""
    if report.options.get("joins") is not None:
        return
    job = PlateJob(source=str(source), destination=report.destination)
    found = verify(VerifyRequest(job, with_source=True, cells=None))
    assert not found.differences, [str(each) for each in found.differences[:5]]


def _filled(value: Any, folder: Path) -> Any:
    return value.replace("{files}", str(folder)) if isinstance(value, str) else value


def assert_rows(table: pa.Table, rows: list[dict[str, object]]) -> None:
    """Assert that a profile has these rows, in any order, in the columns that they name."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    assert set(names) <= set(table.column_names), sorted(set(names) - set(table.column_names))
    found = Counter(tuple(_plain(row[name]) for name in names) for row in table.select(names).to_pylist())
    right = Counter(tuple(_plain(row.get(name)) for name in names) for row in rows)
    assert found == right, (list((found - right).items())[:3], list((right - found).items())[:3])
    assert table.num_rows == len(rows), table.num_rows


def _plain(value: object) -> object:
    return "NaN" if isinstance(value, float) and math.isnan(value) else value


def assert_described(case: Case, table: pa.Table, report: RunReport) -> None:
    """Assert the warnings, the report, and names and types of columns."""
    texts = [f"{warning.what} {warning.table or ''}" for warning in report.warnings]
    unmatched = [text for text in texts if not any(re.search(each, text, re.IGNORECASE) for each in case.warned)]
    assert not unmatched, unmatched
    for pattern in case.warned:
        assert any(re.search(pattern, text, re.IGNORECASE) for text in texts), (pattern, texts)
    document = report.to_json()
    for pattern in case.reported:
        assert re.search(pattern, document, re.IGNORECASE), pattern
    unwanted = [name for name in table.column_names if case.absent and re.fullmatch(case.absent, name)]
    assert not unwanted, unwanted
    types = {name: str(table.schema.field(name).type) for name in case.types}
    assert types == dict(case.types), types
