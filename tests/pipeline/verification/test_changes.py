"""Random changes of single values: all are found where the row is looked at, and nothing else is reported."""

import itertools
import math
import random
import shutil
import sqlite3
import struct
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cytobatch.config.options import PlateJob
from cytobatch.pipeline.plate import run_plate
from cytobatch.pipeline.verification.model import Difference, DifferenceKind
from cytobatch.pipeline.verification.profile import drawn
from cytobatch.pipeline.verification.verify import VerifyRequest, verify
from cytobatch.synthetic import ImageNumbers, ParentNumbers, PlateFormat, SyntheticPlate, write_plate
from tests.support.plates import incarta_table, npz_members, write_incarta, write_npz

PLATE = SyntheticPlate(
    wells=2,
    sites=3,
    cells=20,
    features=10,
    image_numbers=ImageNumbers.SITE,
    parent_numbers=ParentNumbers.CROSSED,
)
PROFILE = "single_cells.parquet"
ODD = ("0.0", "-0.0", "nan", "", "17", "inf")
"""Values of which each cell has one."""
AT_ONCE = 50

Cell = tuple[int, str]


class Change(StrEnum):
    """A kind of damage."""

    BIT = "a flipped bit"
    SIGN = "another sign"
    NULL = "a null in place of a value"
    VALUE = "a value, or a NaN, in place of a null"
    SWAP = "the values of two rows, swapped"
    PARENT = "another parent's number"
    TEXT = "another character"


class Kind(StrEnum):
    """A kind of source."""

    CSV = "csv"
    SQLITE = "sqlite"
    IN_CARTA = "in-carta"
    NPZ = "npz"


@dataclass(frozen=True, slots=True)
class Shape:
    """The columns of a profile: those of the keys of a row, one with odd values, and one that differs by export.

    With another key a row is another row.
    """

    keys: tuple[str, ...]
    odd: str
    export: str = "Metadata_TableNumber"


COMPARTMENTS = ("Metadata_TableNumber", "Metadata_ImageNumber")
SHAPES = {
    Kind.CSV: Shape((*COMPARTMENTS, "Metadata_ObjectNumber"), "Cells_AreaShape_Area"),
    Kind.SQLITE: Shape((*COMPARTMENTS, "Metadata_Cytoplasm_ObjectNumber"), "Cells_AreaShape_Area"),
    Kind.IN_CARTA: Shape(
        ("Metadata_TableNumber", "Plate ID", "WELL LABEL", "Row", "Column", "FOV", "Z", "T", "OBJECT ID"),
        "Cells Area wv3",
    ),
    Kind.NPZ: Shape((), "net_1", "Metadata_NPZSource"),
}


@dataclass(frozen=True, slots=True)
class Result:
    """A source with its published result, and the values of the profile."""

    source: Path
    folder: Path
    shape: Shape
    table: pa.Table
    columns: dict[str, list[Any]]

    def cells(self, chance: random.Random) -> list[Cell]:
        """Return some cells, a fifth of which are in the column with odd values."""
        rows = range(self.table.num_rows)
        every = [(row, name) for name in self.columns if name not in self.shape.keys for row in rows]
        odd = [(row, self.shape.odd) for row in rows]
        return list(dict.fromkeys([*chance.sample(every, AT_ONCE * 4 // 5), *chance.sample(odd, AT_ONCE // 5)]))


def write_csv(source: Path) -> None:
    write_plate(PLATE, source, PlateFormat.CSV)
    for path in source.rglob("Cells.csv"):
        header, *lines = path.read_text().splitlines()
        place = header.split(",").index("AreaShape_Area")
        rows = [line.split(",") for line in lines]
        for row, odd in zip(rows, itertools.cycle(ODD), strict=False):
            row[place] = odd
        path.write_text("\n".join([header, *(",".join(row) for row in rows), ""]))


def write_sqlite(source: Path) -> None:
    write_plate(PLATE, source, PlateFormat.SQLITE)
    with closing(sqlite3.connect(next(source.glob("*.sqlite")))) as database:
        for number, odd in enumerate(ODD, 1):
            value = None if odd in ("", "nan") else float(odd)
            change = "UPDATE Cells SET Cells_AreaShape_Area = ? WHERE ObjectNumber % ? = ?"
            database.execute(change, (value, len(ODD), number % len(ODD)))
        database.commit()


def with_column(table: pa.Table, name: str, values: Iterable[float | None]) -> pa.Table:
    column = pa.array(itertools.islice(values, table.num_rows), pa.float64())
    return table.set_column(table.schema.get_field_index(name), name, column)


def write_incarta_days(source: Path) -> None:
    odd = [float(each) if each else None for each in ODD]
    for day in range(3):
        table = with_column(incarta_table(objects=10), "Cells Area wv3", itertools.cycle(odd))
        table = with_column(table, "Primary Target Area wv1", itertools.count(1000 * day + 0.5))
        write_incarta(source / f"Day{day}.csv", table)


def write_npz_sites(source: Path) -> None:
    odd = [float(each) for each in ODD if each]
    for site in range(1, 12):
        own = {"Text": f"text {site}", "None": None, "Nan": math.nan, "Each": [f"object {n}" for n in range(8)]}
        more = {"Numbers": np.arange(8) * site, "Scalar": np.float64(0.1), "Words": np.array(["ü", "", *"abcdef"])}
        members = npz_members(8, 10, Metadata_Site=site, **own, **more, Truth=site % 2 == 0)
        members["features"] += site
        members["features"][:, 0] = list(itertools.islice(itertools.cycle(odd), 8))
        write_npz(source / "P1" / f"A01_{site}.npz", members)


WRITERS = {Kind.CSV: write_csv, Kind.SQLITE: write_sqlite, Kind.IN_CARTA: write_incarta_days, Kind.NPZ: write_npz_sites}


@pytest.fixture(scope="module", params=list(Kind))
def result(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Result:
    """A plate of each kind, some of whose values are zeros, integers and missing."""
    folder = tmp_path_factory.mktemp("changes")
    WRITERS[request.param](folder / "in")
    run_plate(PlateJob(source=str(folder / "in"), destination=str(folder / "out")))
    table = pq.read_table(folder / "out" / PROFILE)
    return Result(folder / "in", folder / "out", SHAPES[request.param], table, table.to_pydict())


def flipped(value: float | int, chance: random.Random) -> float | int:
    kind = "d" if isinstance(value, float) else "q"
    bits = int.from_bytes(struct.pack(f"<{kind}", value), "little") ^ 1 << chance.randrange(64)
    return struct.unpack(f"<{kind}", bits.to_bytes(8, "little"))[0]


def other_text(text: str, chance: random.Random) -> str:
    if not text:
        return "#"
    place = chance.randrange(len(text))
    return f"{text[:place]}{'#' if text[place] != '#' else '+'}{text[place + 1 :]}"


def change_of(result: Result, cell: Cell, chance: random.Random) -> dict[Cell, Any]:
    """Return the values of one change; of a swap two cells are changed."""
    row, name = cell
    column = result.columns[name]
    value = column[row]
    others = [n for n, each in enumerate(column) if each != value]
    kind = chance.choice(kinds_of(name, value, others))
    if kind is Change.SWAP:
        other = chance.choice(others)
        return {cell: column[other], (other, name): value}
    if kind is Change.PARENT:
        return {cell: column[chance.choice(others)]}
    if kind is Change.VALUE:
        type_ = str(result.table[name].type)
        missing = [None] if value is not None else [math.nan] if type_ == "double" else []
        return {cell: chance.choice([*missing, *IN_PLACE_OF_NONE[type_]])}
    return {cell: changed(kind, value, chance)}


IN_PLACE_OF_NONE = {"double": [0.0, math.inf], "int64": [0], "string": ["x"], "bool": [False]}


def kinds_of(name: str, value: Any, others: list[int]) -> list[Change]:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return [Change.VALUE]
    numbers = [Change.SIGN] if isinstance(value, bool) else [Change.BIT, Change.SIGN]
    kinds = [Change.TEXT] if isinstance(value, str) else numbers
    of_others = [Change.SWAP, *([Change.PARENT] if "Parent" in name else [])] if others else []
    return [Change.NULL, *kinds, *of_others]


def changed(kind: Change, value: Any, chance: random.Random) -> Any:
    match kind:
        case Change.BIT:
            return flipped(value, chance)
        case Change.SIGN if isinstance(value, bool):
            return not value
        case Change.SIGN:
            return -value if value or isinstance(value, float) else -1
        case Change.TEXT:
            return other_text(value, chance)
    return None


def changes(result: Result, chance: random.Random) -> dict[Cell, Any]:
    """Return some changes, of which no two are of one cell."""
    found: dict[Cell, Any] = {}
    for cell in result.cells(chance):
        new = change_of(result, cell, chance)
        if not new.keys() & found.keys():
            found |= new
    return found


def damaged(result: Result, folder: Path, values: dict[Cell, Any]) -> Path:
    """Return a copy of the result with other values."""
    shutil.copytree(result.folder, folder, dirs_exist_ok=True)
    columns = dict(result.columns)
    for (row, name), value in values.items():
        columns[name] = [value if n == row else each for n, each in enumerate(columns[name])]
    pq.write_table(pa.table(columns, result.table.schema), folder / PROFILE)
    return folder


def differences(result: Result, folder: Path, cells: int | None = None, seed: int = 0) -> list[Difference]:
    """Return the differences of rows. The file, whose bytes differ too, is passed over."""
    job = PlateJob(source=str(result.source), destination=str(folder))
    found = verify(VerifyRequest(job, with_source=True, cells=cells, seed=seed)).differences
    return [difference for difference in found if difference.row is not None]


def reported(found: list[Difference]) -> list[tuple[Any, ...]]:
    return sorted((each.row, each.column, each.kind) for each in found)


def of_values(cells: Iterable[Cell]) -> list[tuple[Any, ...]]:
    return sorted((row, name, DifferenceKind.VALUE) for row, name in cells)


def check_rounds(result: Result, folder: Path, seeds: range) -> int:
    """Check that exactly the changed cells are reported. Return their number."""
    count = 0
    for seed in seeds:
        values = changes(result, random.Random(seed))
        assert reported(differences(result, damaged(result, folder, values))) == of_values(values), seed
        count += len(values)
    return count


def test_a_right_result_has_no_difference(result: Result) -> None:
    found = verify(VerifyRequest(PlateJob(source=str(result.source), destination=str(result.folder)), True, None))
    assert found.differences == ()
    assert found.not_derived == ()
    assert found.cells == found.rows == result.table.num_rows
    assert found.values >= result.table.num_rows * (result.table.num_columns - 4)


def test_hundreds_of_changes_are_found_and_nothing_else(result: Result, tmp_path: Path) -> None:
    assert check_rounds(result, tmp_path, range(5)) >= 200


@pytest.mark.long
def test_thousands_of_changes_are_found_and_nothing_else(result: Result, tmp_path: Path) -> None:
    assert check_rounds(result, tmp_path, range(5, 70)) >= 2500


def test_changes_are_found_in_the_rows_that_are_looked_at(result: Result, tmp_path: Path) -> None:
    values = changes(result, random.Random(1))
    folder = damaged(result, tmp_path, values)
    exports = result.columns[result.shape.export]
    for seed in range(3):
        rows = set(drawn(exports, 40, seed))
        assert len(rows) == 40
        found = differences(result, folder, 40, seed)
        assert reported(found) == of_values(cell for cell in values if cell[0] in rows)


def other_key(column: list[Any], row: int, chance: random.Random) -> Any:
    """Return another key: that of another object, of none, or null."""
    value = column[row]
    damaged = other_text(value, chance) if isinstance(value, str) else flipped(value, chance)
    others = [each for each in column if each != value]
    return chance.choice([None, damaged, *([chance.choice(others)] if others else [])])


@pytest.mark.parametrize("result", [kind for kind in Kind if SHAPES[kind].keys], indirect=True)
@pytest.mark.parametrize("seed", range(3))
def test_a_row_with_other_keys_is_found(result: Result, tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    rows = chance.sample(range(result.table.num_rows), 20)
    names = [(row, chance.choice(result.shape.keys)) for row in rows]
    values = {(row, name): other_key(result.columns[name], row, chance) for row, name in names}
    folder = damaged(result, tmp_path, values)
    found = differences(result, folder)
    assert {each.row for each in found if each.kind is not DifferenceKind.IDENTITY} == set(rows)
    keys = list(zip(*(pq.read_table(folder / PROFILE)[name].to_pylist() for name in result.shape.keys), strict=True))
    taken = {keys[row] for row in rows}
    assert all(keys[each.row or 0] in taken for each in found if each.kind is DifferenceKind.IDENTITY)


def test_a_lost_object_is_found(result: Result, tmp_path: Path) -> None:
    shutil.copytree(result.folder, tmp_path / "out")
    kept = result.table.slice(0, result.table.num_rows - 1)
    pq.write_table(kept, tmp_path / "out" / PROFILE)
    job = PlateJob(source=str(result.source), destination=str(tmp_path / "out"))
    found = verify(VerifyRequest(job, with_source=True, cells=None)).differences
    (lost,) = [each for each in found if each.what.startswith("rows for the objects of the source")]
    assert (lost.published, lost.expected) == (str(kept.num_rows), str(kept.num_rows + 1))
    assert all(each.row is None for each in found)
