import duckdb
from hypothesis import given
from hypothesis import strategies as st

from cytobatch.engine import sql

NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), min_size=1, max_size=12)


@given(NAMES)
def test_any_name_passes_through_as_an_identifier(name: str) -> None:
    result = duckdb.sql(f"SELECT 1 AS {sql.identifier(name)}").to_arrow_table()
    assert result.column_names == [name]


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=12))
def test_any_text_passes_through_as_a_literal(text: str) -> None:
    row = duckdb.sql(f"SELECT {sql.literal(text)}").fetchone()
    assert row == (text,)


def test_a_join_is_sorted_by_its_keys() -> None:
    columns = ["Cells_Neighbors_FirstClosestObjectNumber_5", "Metadata_ObjectNumber", "Metadata_ImageNumber", "x"]
    assert sql.sorted_join("SELECT 1", columns) == (
        'SELECT * FROM (SELECT 1) ORDER BY "Metadata_ImageNumber", "Metadata_ObjectNumber"'
    )
    assert sql.sorted_join("SELECT 1", ["x"]) == "SELECT * FROM (SELECT 1)"
