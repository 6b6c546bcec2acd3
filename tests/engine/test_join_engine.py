"""A user's join reads the plate's tables, and no file, setting or address of the machine."""

import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from cytobatch.engine.join_engine import JoinEngine, JoinLimits
from cytobatch.errors import ExitCode, JoinSqlError

TABLES = {"cells", "nuclei", "cytoplasm"}
CELLS = pa.table({"k": [1, 2]})


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[JoinEngine]:
    with JoinEngine(JoinLimits(2**28, 1, tmp_path)) as engine:
        yield engine


def beginning(text: str) -> str:
    """Return the name of a case."""
    return ascii(text[:80])


def check_plain_join_works(engine: JoinEngine) -> None:
    """Check that no earlier query has left the engine unusable."""
    ready = engine.check_join("SELECT sum(k) AS k FROM cells", TABLES)
    with engine.tables({"cells": CELLS}) as session:
        assert [batch.to_pylist() for batch in session.run_join(ready, 10)] == [[{"k": 3}]]


def test_a_join_for_cytotable_reads_tables_for_its_files(engine: JoinEngine) -> None:
    text = "SELECT n.x FROM read_parquet('cells.parquet') AS c LEFT JOIN read_parquet('nuclei.parquet') AS n USING (k)"
    ready = engine.check_join(text, TABLES)
    with engine.tables({"cells": CELLS, "nuclei": pa.table({"k": [1], "x": [5]})}) as session:
        rows = [row for batch in session.run_join(ready, 10) for row in batch.to_pylist()]
    assert sorted(str(row["x"]) for row in rows) == ["5", "None"]


@pytest.mark.parametrize(
    "text",
    [
        "WITH big AS (SELECT * FROM cells) SELECT * FROM big WHERE k IN (SELECT k FROM nuclei)",
        "WITH a AS (SELECT * FROM cells), b AS (FROM a) SELECT * FROM a, (WITH c AS (FROM b) FROM c) AS d",
        "WITH cells AS (SELECT * FROM cells WHERE k > 1) SELECT * FROM cells",
        "WITH RECURSIVE n AS (SELECT 1 AS k UNION ALL SELECT k + 1 FROM n WHERE k < 3) SELECT * FROM n, cells",
        "SELECT * FROM Cells, range(2), unnest([1, 2]), generate_series(1, 2), (VALUES (1)) AS v",
        "SELECT * FROM cells PIVOT (count(*) FOR k IN (1, 2))",
        "SELECT max(k) FROM cells UNION ALL SELECT list_sum(range(k)) FROM nuclei",
    ],
)
def test_common_tables_and_functions_of_values_may_be_used(engine: JoinEngine, text: str) -> None:
    ready = engine.check_join(text, TABLES)
    with engine.tables({"cells": CELLS, "nuclei": CELLS}) as session:
        assert session.join_schema(ready).names


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("SELEC x", "joins is not one SELECT"),
        ("", "joins is not one SELECT"),
        ("DROP TABLE cells", "joins is not one SELECT"),
        ("SELECT 1; SELECT 2", "joins is not one SELECT"),
        ("SELECT 1", "joins names no table"),
        ("SELECT * FROM cells JOIN ghosts USING (k)", "joins names ghosts, which is no table"),
        ("SELECT * FROM read_parquet('ghosts.parquet')", "joins names ghosts, which is no table"),
        ("SELECT * FROM " + "(SELECT * FROM " * 400 + "cells" + ")" * 400, "joins is nested too deep"),
        ("SELECT 1 FROM cells WHERE k = " + "abs(" * 900 + "1" + ")" * 900, "joins is nested too deep"),
        ("SELECT '\ud800' FROM cells", "joins is no text for SQL"),
        (f"SELECT '{'x' * 1_000_000}' FROM cells", "joins is no text for SQL"),
    ],
    ids=beginning,
)
def test_an_invalid_join_is_refused_and_the_next_one_runs(engine: JoinEngine, text: str, what: str) -> None:
    with pytest.raises(JoinSqlError) as caught:
        engine.check_join(text, TABLES)
    assert caught.value.what == what
    assert caught.value.exit_code == ExitCode.CONFIGURATION
    assert len(str(caught.value)) < 6000
    check_plain_join_works(engine)


ATTACKS = [
    "SELECT * FROM cells, read_text('{secret}')",
    "SELECT * FROM cells, read_blob('{secret}')",
    "SELECT * FROM cells, read_csv('{secret}')",
    "SELECT * FROM cells, read_csv_auto('{secret}')",
    "SELECT * FROM cells, sniff_csv('{secret}')",
    "SELECT * FROM cells, read_json_objects('{secret}')",
    "SELECT * FROM cells, READ_TEXT('{secret}')",
    "SELECT * FROM cells, system.main.read_text('{secret}')",
    "SELECT * FROM cells WHERE k IN (SELECT length(content) FROM read_text('{secret}'))",
    "SELECT * FROM cells, LATERAL (SELECT * FROM read_text('{secret}'))",
    "WITH x AS (SELECT * FROM read_text('{secret}')) SELECT * FROM cells, x",
    "SELECT (SELECT content FROM read_text('{secret}')) FROM cells",
    "SELECT * FROM cells ORDER BY (SELECT content FROM read_text('{secret}'))",
    "SELECT * FROM cells, read_parquet(['{secret}', 'cells.parquet'])",
    "SELECT * FROM cells, read_parquet('{secret}' || '')",
    "SELECT * FROM cells, parquet_metadata('{secret}')",
    "SELECT * FROM cells, '{secret}'",
    'SELECT * FROM cells, "{secret}"',
    'SELECT * FROM cells, "{secret}" AS a, (WITH "{secret}" AS (SELECT 1) SELECT * FROM "{secret}") AS b',
    'WITH a AS (FROM "{secret}"), "{secret}" AS (SELECT 1) SELECT * FROM cells, a',
    "SELECT * FROM cells, glob('{folder}/*')",
    "SELECT * FROM cells, query('SELECT * FROM read_text(''{secret}'')')",
    "SELECT * FROM cells, query_table('{secret}')",
    "SELECT * FROM cells, json_execute_serialized_sql(json_serialize_sql('SELECT 1'))",
    "SELECT json_serialize_plan('SELECT * FROM read_csv(''{secret}'')') FROM cells",
    "SELECT * FROM cells, enable_logging(storage = 'file', storage_config = {{'path': '{folder}/log'}})",
    "SELECT * FROM cells, enable_profiling(save_location = '{folder}/profile.json')",
    "SELECT * FROM cells, checkpoint()",
    "SELECT * FROM cells, duckdb_settings()",
    "SELECT * FROM cells, duckdb_secrets()",
    "SELECT * FROM cells, duckdb_tables",
    "SELECT * FROM cells, information_schema.tables",
    "SELECT * FROM cells, pragma_database_size()",
    "SELECT * FROM cells, pg_catalog.pg_class",
    "SELECT * FROM cells, (SHOW ALL TABLES)",
    "SELECT * FROM cells, (DESCRIBE cells)",
    "SELECT * FROM cells, histogram_values('{secret}', content)",
    "SELECT * FROM cells, arrow_scan(0::POINTER, 0::POINTER, 0::POINTER)",
    "SELECT current_setting('temp_directory') FROM cells",
    "SELECT write_log('x') FROM cells",
    "SELECT sleep_ms(100000) FROM cells",
    f"SELECT k{'.k' * 90_000} FROM cells",
    "SELECT __internal_decompress_string(k) FROM cells",
    "COPY (SELECT * FROM cells) TO '{folder}/copy.csv'",
    "ATTACH '{folder}/other.db'; SELECT * FROM cells",
    "SELECT * FROM cells; COPY cells TO '{folder}/copy.csv'",
    "SET enable_external_access = true",
    "INSTALL httpfs",
    "SELECT * FROM cells, read_text('http://{address}/x')",
    "SELECT * FROM cells, 'https://{address}/x.csv'",
]


@pytest.mark.parametrize("attack", ATTACKS, ids=beginning)
def test_a_join_reads_and_writes_no_file(engine: JoinEngine, tmp_path: Path, attack: str) -> None:
    folder = tmp_path / "machine"
    folder.mkdir()
    secret = folder / "secret.csv"
    secret.write_text("root:x:0:0\nhunter2\n")
    text = attack.format(secret=secret, folder=folder, address="127.0.0.1:9")
    with pytest.raises(JoinSqlError) as caught:
        engine.check_join(text, TABLES)
    assert caught.value.exit_code == ExitCode.CONFIGURATION
    for hidden in ("root", "hunter2"):
        assert hidden not in str(caught.value).replace(str(tmp_path), "")
    assert [path.name for path in folder.iterdir()] == ["secret.csv"]
    check_plain_join_works(engine)


OUTSIDE = [
    "SELECT * FROM read_text('{secret}')",
    "SELECT * FROM glob('{folder}/*')",
    "SELECT * FROM '{secret}'",
    "SELECT * FROM local_frame",
    "SET enable_external_access = true",
    "SET lock_configuration = false",
    "SET allowed_directories = ['/']",
    "SET temp_directory = '{folder}'",
    "ATTACH '{folder}/other.db'",
    "LOAD '{folder}/x.duckdb_extension'",
]


@pytest.mark.parametrize("text", OUTSIDE)
def test_what_passes_the_check_still_finds_a_locked_database(engine: JoinEngine, tmp_path: Path, text: str) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("hunter2\n")
    local_frame = CELLS
    with engine.tables({"cells": local_frame}) as session, pytest.raises(duckdb.Error) as caught:
        session._connection.execute(text.format(secret=secret, folder=tmp_path)).fetchall()
    assert "hunter2" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["secret.csv"]
    check_plain_join_works(engine)


def sorted_rows(limits: JoinLimits) -> int:
    """Return the number of rows of a sort that needs more than 64 MiB."""
    ready = "SELECT k, hash(k) AS h, repeat(md5(k::VARCHAR), 6) AS s FROM cells ORDER BY s"
    with JoinEngine(limits) as engine, engine.tables({"cells": pa.table({"k": range(400_000)})}) as session:
        return sum(batch.num_rows for batch in session.run_join(engine.check_join(ready, TABLES), 100_000))


@pytest.mark.slow
def test_a_join_spills_to_its_own_folder_alone(tmp_path: Path) -> None:
    spill = tmp_path / "scratch"
    spill.mkdir()
    assert sorted_rows(JoinLimits(2**26, 1, spill)) == 400_000
    assert not list(spill.rglob("*"))
    with pytest.raises(JoinSqlError, match="too much memory or disk"):
        sorted_rows(JoinLimits(2**26, 1, None))


def test_a_join_spills_no_more_than_it_may(tmp_path: Path) -> None:
    with pytest.raises(JoinSqlError, match="too much memory or disk") as caught:
        sorted_rows(JoinLimits(2**26, 1, tmp_path, spill_bytes=2**20))
    assert "1.0 MiB used" in caught.value.why
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    "text",
    [
        "SELECT count(*) FROM cells, range(10000000000000)",
        "SELECT k FROM cells, range(10000000000000) WHERE random() < 0",
        "WITH RECURSIVE n AS (SELECT 1 AS k UNION ALL SELECT k % 7 FROM n) SELECT max(n.k) FROM n, cells",
    ],
)
def test_a_join_without_end_is_stopped(tmp_path: Path, text: str) -> None:
    began = time.monotonic()
    with JoinEngine(JoinLimits(2**28, 1, tmp_path, seconds=1)) as engine:
        ready = engine.check_join(text, TABLES)
        with engine.tables({"cells": CELLS}) as session, pytest.raises(JoinSqlError, match="takes too long"):
            list(session.run_join(ready, 10))
        check_plain_join_works(engine)
    assert time.monotonic() - began < 30


def test_a_join_whose_time_is_over_before_it_begins_is_stopped(tmp_path: Path) -> None:
    with JoinEngine(JoinLimits(2**28, 1, tmp_path, seconds=0)) as engine:
        ready = engine.check_join("SELECT count(*) FROM cells, range(10000000000000)", TABLES)
        with engine.tables({"cells": CELLS}) as session, pytest.raises(JoinSqlError, match="takes too long"):
            list(session.run_join(ready, 10))


def test_a_result_that_grows_without_end_is_stopped(tmp_path: Path) -> None:
    with JoinEngine(JoinLimits(2**28, 1, tmp_path, result_bytes=2**20)) as engine:
        ready = engine.check_join("SELECT * FROM cells, range(10000000000000)", TABLES)
        with engine.tables({"cells": CELLS}) as session, pytest.raises(JoinSqlError, match="too large a result"):
            for _ in session.run_join(ready, 10_000):
                pass
        check_plain_join_works(engine)


def test_the_time_of_those_who_take_the_rows_does_not_count(tmp_path: Path) -> None:
    with JoinEngine(JoinLimits(2**28, 1, tmp_path, seconds=0.5)) as engine:
        ready = engine.check_join("SELECT * FROM cells, range(3000)", TABLES)
        with engine.tables({"cells": CELLS}) as session:
            batches = session.run_join(ready, 2048)
            rows = next(batches).num_rows
            time.sleep(0.7)
            assert rows + sum(batch.num_rows for batch in batches) == 6000


def test_repeated_columns_of_a_join_get_distinct_names(engine: JoinEngine) -> None:
    with engine.tables({"cells": CELLS, "nuclei": pa.table({"k": [1]})}) as session:
        text = "SELECT c.*, n.* FROM cells c JOIN nuclei n ON c.k = n.k"
        assert session.join_schema(text).names == ["k", "k_1"]
        assert next(session.run_join(text, 10)).schema.names == ["k", "k_1"]


FAILING = [
    ("SELECT no_such_column FROM cells", "no_such_column"),
    ("SELECT no_such_function(k) FROM cells", "no_such_function"),
    ("SELECT k FROM cells WHERE k = ?", "parameter"),
    ("SELECT chr(55295 + k::INTEGER) FROM cells", "UTF8"),
    ("SELECT error('stop') FROM cells", "stop"),
    ("SELECT ('x' || k)::INTEGER FROM cells", "x1"),
    ("SELECT factorial(1000::INTEGER + k::INTEGER) FROM cells", "out of range"),
]


@pytest.mark.parametrize(("text", "why"), FAILING)
def test_a_join_that_fails_reports_the_reason_and_the_next_one_runs(engine: JoinEngine, text: str, why: str) -> None:
    ready = engine.check_join(text, TABLES)
    with engine.tables({"cells": CELLS}) as session, pytest.raises(JoinSqlError) as caught:
        session.join_schema(ready)
        list(session.run_join(ready, 10))
    assert why.lower() in caught.value.why.lower()
    assert "\n" not in caught.value.why
    check_plain_join_works(engine)


@pytest.mark.slow
def test_a_join_of_too_many_columns_is_refused(engine: JoinEngine) -> None:
    columns = pa.table({f"c{n}": [1] for n in range(2501)})
    text = f"SELECT * FROM {', '.join(f'cells AS t{n}' for n in range(20))}"
    with engine.tables({"cells": columns}) as session, pytest.raises(JoinSqlError, match="50020, more than 50000"):
        session.check_columns(engine.check_join(text, TABLES))
    check_plain_join_works(engine)
