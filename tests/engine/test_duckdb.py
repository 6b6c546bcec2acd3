from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from cytobatch.engine.duckdb import Engine
from cytobatch.errors import FastPathUnavailable, InvalidTableError
from tests.support.plates import per_tables, site_tables, write_sqlite


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with Engine(spill=tmp_path, memory=2**28, workers=1) as engine:
        yield engine


def test_threads_and_memory_are_as_configured(engine: Engine) -> None:
    text = "SELECT current_setting('threads') AS threads, current_setting('memory_limit') AS memory"
    with engine.tables({}) as session:
        assert session.query(text).to_pylist() == [{"threads": 1, "memory": "256.0 MiB"}]


def test_arrow_tables_have_their_names_within_the_session_only(engine: Engine) -> None:
    with engine.tables({"numbers": pa.table({"n": [1, 2]})}) as session:
        assert session.query("SELECT sum(n) AS n FROM numbers").to_pylist() == [{"n": 3}]
    with engine.tables({}) as session, pytest.raises(duckdb.CatalogException):
        session.query("SELECT * FROM numbers")


def test_a_sqlite_table_is_streamed_in_batches(engine: Engine, tmp_path: Path) -> None:
    path = write_sqlite(tmp_path / "p.sqlite", per_tables(site_tables(50)))
    schema = engine.sqlite_schema(path, "Per_Cells")
    assert schema.field("ImageNumber").type == pa.int64()
    batches = list(engine.scan_sqlite(path, "Per_Cells", ["ImageNumber", "Cells_AreaShape_Area"], 10))
    assert sum(batch.num_rows for batch in batches) == 50
    assert batches[0].schema.names == ["ImageNumber", "Cells_AreaShape_Area"]


def test_mixed_types_and_damage_are_distinguished(engine: Engine, tmp_path: Path) -> None:
    tables = per_tables(site_tables(2))
    path = write_sqlite(tmp_path / "p.sqlite", tables)
    mixed = tables["Per_Cells"].set_column(2, "Cells_AreaShape_Area", pa.array(["nan", "nan"]))
    write_sqlite(path, {"Per_Cells": mixed})
    with pytest.raises(FastPathUnavailable, match="a value is not of its column's declared type"):
        list(engine.scan_sqlite(path, "Per_Cells", ["Cells_AreaShape_Area"], 10))
    with pytest.raises(InvalidTableError):
        engine.sqlite_schema(path, "No_Such_Table")
