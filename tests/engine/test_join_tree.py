import pytest

from cytobatch.engine import join_tree
from cytobatch.errors import JoinSqlError


def test_cytotables_files_are_tables() -> None:
    assert join_tree.table_of_file("cells.parquet") == "cells"
    assert join_tree.table_of_file("/some/where/Per_Cells.parquet") == "per_cells"


@pytest.mark.parametrize(
    ("serialized", "why"),
    [
        ('{"error": true, "error_message": "syntax error"}', "syntax error"),
        ('{"error": false, "statements": [{}, {}]}', "2 statements"),
    ],
)
def test_sql_that_is_not_one_select_is_refused(serialized: str, why: str) -> None:
    with pytest.raises(JoinSqlError) as caught:
        join_tree.parsed(serialized)
    assert why in caught.value.why
