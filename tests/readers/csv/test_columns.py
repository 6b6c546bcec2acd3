"""Names of a header as columns: nameless columns, numbers of rows and repeats are not part of the table."""

from hypothesis import given, settings
from hypothesis import strategies as st

from cytobatch.readers.csv.columns import header_columns
from tests.support.examples import examples

NAMES = st.lists(st.sampled_from(["", " ", "a", "b", "a (column 2)", "index", "Unnamed: 0", "column 1 without a name"]))


@given(names=NAMES)
@settings(max_examples=examples(200))
def test_each_column_has_a_name_of_its_own_and_each_other_name_is_kept(names: list[str]) -> None:
    header = header_columns(names)
    assert len(set(header.columns)) == len(header.columns) == len(names)
    kept = [column for column in header.columns if column not in header.left_out]
    assert sorted(kept) == sorted({name for name in names if name.strip()} - {"index", "Unnamed: 0"})
    assert all(full in header.columns for _, full in header.repeats)


def test_columns_of_groups_are_nameless_or_repeated_within_their_group() -> None:
    header = header_columns(["Area", "Area", "Area", "", "index"], ["Cells", "Cells", "Nuclei", "Cells", "Cells"])
    assert header.columns == (
        "Cells/Area",
        "Cells/Area (column 2)",
        "Nuclei/Area",
        "column 4 without a name",
        "Cells/index",
    )
    assert header.repeats == (("Cells/Area (column 2)", "Cells/Area"),)
    assert header.left_out == {"Cells/Area (column 2)", "column 4 without a name", "Cells/index"}
