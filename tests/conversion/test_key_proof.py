"""What is proved without SQL, SQL finds too."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cytobatch.conversion import key_proof
from cytobatch.conversion.key_proof import are_sound
from cytobatch.engine import sql
from cytobatch.engine.duckdb import Engine
from cytobatch.planning.joins import Join, JoinKind

PARENT = Join("cells", "cytoplasm", JoinKind.PARENT, "Parent_Cells")
CHILD = Join("nuclei", "cells", JoinKind.CHILD, "Parent_Cells")
JOINS = (PARENT, CHILD)
IMAGES = pa.table({"e": [0, 1], "i": [1, 1]}, pa.schema({"e": pa.int64(), "i": pa.int64()}))
LARGE = 2**62


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with Engine(spill=tmp_path_factory.mktemp("spill"), memory=2**29, workers=1) as engine:
        yield engine


def table(rows: Sequence[Mapping[str, Any]], *names: str) -> pa.Table:
    types = {name: pa.string() if name == "t" else pa.int64() for name in names}
    return pa.Table.from_pylist(list(rows), pa.schema(types))


def key_tables(rows: Mapping[str, Sequence[Mapping[str, Any]]], *, by_table: bool) -> dict[str, pa.Table]:
    """Key tables of three compartments: a cytoplasm has a cell as parent, and a nucleus too."""
    image = ("e", "t", "i") if by_table else ("e", "i")
    parents = {"cytoplasm": [sql.parent("cells")], "cells": [], "nuclei": [sql.parent("cells")]}
    return {name: table(rows[name], *image, "o", *parents[name]) for name in parents}


def found_by_sql(engine: Engine, keys: Mapping[str, pa.Table], images: pa.Table, *, by_table: bool) -> bool:
    checks = [sql.repeated_keys(sql.keys_of(name), by_table=by_table) for name in keys]
    checks += [sql.repeated_keys(sql.IMAGE_KEYS, by_table="t" in images.column_names, by_object=False)]
    checks += [sql.dangling_parents(join, by_table=by_table) for join in JOINS]
    tables = {sql.keys_of(name): rows for name, rows in keys.items()} | {sql.IMAGE_KEYS: images}
    with engine.tables(tables) as session:
        return session.query(sql.all_checks(checks)).num_rows > 0


small = st.integers(0, 2)
keys_of_rows = st.fixed_dictionaries({"e": small, "t": st.sampled_from(["", "a"]), "i": small, "o": st.integers(1, 3)})
with_parent = st.tuples(keys_of_rows, st.sampled_from([None, -1, 0, 1, 2, 3])).map(
    lambda row: row[0] | {sql.parent("cells"): row[1]}
)


@st.composite
def plates(draw: st.DrawFn) -> dict[str, list[dict[str, Any]]]:
    """Rows of three tables; most of them have no defect, or would have none without one row."""
    cells = draw(st.lists(keys_of_rows, max_size=6, unique_by=lambda row: tuple(row.values())))
    named = [cell | {sql.parent("cells"): cell["o"]} for cell in cells]
    others = [draw(st.lists(with_parent, max_size=1)) for _ in range(2)]
    repeated = draw(st.lists(st.sampled_from(cells), max_size=1)) if cells and draw(st.booleans()) else []
    return {"cytoplasm": named + others[0], "cells": cells + repeated, "nuclei": named[::-1] + others[1]}


@given(rows=plates(), by_table=st.booleans())
def test_a_proof_is_what_sql_finds(rows: dict[str, list[dict[str, Any]]], by_table: bool, engine: Engine) -> None:
    keys = key_tables(rows, by_table=by_table)
    sound = are_sound(keys, JOINS, IMAGES, ("e", "i"), by_table=by_table)
    assert sound is not found_by_sql(engine, keys, IMAGES, by_table=by_table)


def one_cell(**changed: Any) -> dict[str, pa.Table]:
    cell = {"e": 0, "i": 1, "o": 1, sql.parent("cells"): 1}
    rows = {name: [cell] for name in ("cytoplasm", "cells", "nuclei")}
    return key_tables(rows | changed, by_table=False)


def test_images_are_looked_at_only_if_there_are_some() -> None:
    twice = pa.concat_tables([IMAGES, IMAGES])
    assert are_sound(one_cell(), JOINS, IMAGES, ("e", "i"), by_table=False)
    assert not are_sound(one_cell(), JOINS, twice, ("e", "i"), by_table=False)
    assert are_sound(one_cell(), JOINS, twice, (), by_table=False)


@pytest.mark.parametrize("name", ["e", "i", "o"])
def test_a_key_that_is_null_is_no_proof(name: str) -> None:
    cell: dict[str, int | None] = {"e": 0, "i": 1, "o": 1, sql.parent("cells"): 1}
    assert not are_sound(one_cell(nuclei=[cell, cell | {name: None}]), JOINS, IMAGES, (), by_table=False)


@pytest.mark.parametrize("images", [(0, LARGE), (-LARGE, LARGE), (-(2**63), 2**63 - 1)])
def test_keys_of_a_large_range_are_no_proof(images: tuple[int, int], engine: Engine) -> None:
    cells = [{"e": 0, "i": image, "o": number, sql.parent("cells"): number} for image in images for number in (1, 2)]
    keys = key_tables(dict.fromkeys(("cytoplasm", "cells", "nuclei"), cells), by_table=False)
    assert not found_by_sql(engine, keys, IMAGES, by_table=False)
    assert not are_sound(keys, JOINS, IMAGES, (), by_table=False)


def test_many_rows_are_left_to_the_queries(monkeypatch: pytest.MonkeyPatch) -> None:
    assert are_sound(one_cell(), JOINS, IMAGES, (), by_table=False)
    monkeypatch.setattr(key_proof, "_MOST_ROWS", 2)
    assert not are_sound(one_cell(), JOINS, IMAGES, (), by_table=False)


def test_a_large_number_alone_is_a_proof() -> None:
    cells = [{"e": 0, "i": LARGE, "o": number, sql.parent("cells"): number} for number in (1, 2)]
    keys = key_tables(dict.fromkeys(("cytoplasm", "cells", "nuclei"), cells), by_table=False)
    assert are_sound(keys, JOINS, IMAGES, (), by_table=False)
