from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from cytobatch.engine.duckdb import Engine
from cytobatch.errors import FastPathUnavailable, InvalidTableError, JoinSqlError
from tests.support.plates import per_tables, site_tables, write_sqlite

TABLES = {"cells", "nuclei", "cytoplasm"}


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
    with engine.tables({}) as session, pytest.raises(JoinSqlError):
        list(session.run_join("SELECT * FROM numbers", 10))


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


def test_a_join_for_cytotable_reads_tables_for_its_files(engine: Engine) -> None:
    text = "SELECT n.x FROM read_parquet('cells.parquet') AS c LEFT JOIN read_parquet('nuclei.parquet') AS n USING (k)"
    ready = engine.check_join(text, TABLES)
    cells, nuclei = pa.table({"k": [1, 2]}), pa.table({"k": [1], "x": [5]})
    with engine.tables({"cells": cells, "nuclei": nuclei}) as session:
        rows = [row for batch in session.run_join(ready, 10) for row in batch.to_pylist()]
    assert sorted(str(row["x"]) for row in rows) == ["5", "None"]


def test_common_tables_and_subqueries_are_resolved(engine: Engine) -> None:
    text = "WITH big AS (SELECT * FROM cells) SELECT * FROM big WHERE k IN (SELECT k FROM nuclei)"
    assert "big" in engine.check_join(text, TABLES)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("SELEC x", "joins is not one SELECT"),
        ("DROP TABLE cells", "joins is not one SELECT"),
        ("SELECT 1; SELECT 2", "joins is not one SELECT"),
        ("SELECT 1", "joins names no table"),
        ("SELECT * FROM cells JOIN ghosts USING (k)", "joins names ghosts, which is no table"),
        ("SELECT * FROM read_parquet('ghosts.parquet')", "joins names ghosts, which is no table"),
    ],
)
def test_an_invalid_join_is_refused(engine: Engine, text: str, what: str) -> None:
    with pytest.raises(JoinSqlError) as caught:
        engine.check_join(text, TABLES)
    assert caught.value.what == what


def test_repeated_columns_of_a_join_get_distinct_names(engine: Engine) -> None:
    with engine.tables({"cells": pa.table({"k": [1]}), "nuclei": pa.table({"k": [1]})}) as session:
        text = "SELECT c.*, n.* FROM cells c JOIN nuclei n ON c.k = n.k"
        assert session.join_schema(text).names == ["k", "k_1"]
        assert next(session.run_join(text, 10)).schema.names == ["k", "k_1"]


def test_a_join_that_fails_reports_the_reason(engine: Engine) -> None:
    with engine.tables({"cells": pa.table({"k": [1]})}) as session, pytest.raises(JoinSqlError) as caught:
        session.join_schema("SELECT no_such_column FROM cells")
    assert "no_such_column" in caught.value.why
