from hypothesis import given
from hypothesis import strategies as st

from cytobatch.config.natural_order import natural_key
from cytobatch.planning.inventory import Inventory, SourceFile


def test_paths_are_in_natural_order() -> None:
    files = [SourceFile(f"site{n}/Cells.csv", 1) for n in (10, 2, 1)]
    assert [file.path for file in Inventory.of("/x", files).files] == [
        "site1/Cells.csv",
        "site2/Cells.csv",
        "site10/Cells.csv",
    ]


@given(st.lists(st.text(max_size=8)))
def test_any_names_can_be_ordered(names: list[str]) -> None:
    assert sorted(sorted(names, key=natural_key)) == sorted(names)


def test_parts_of_a_path() -> None:
    file = SourceFile("a/b/Cells.CSV", 3)
    assert (file.stem, file.suffix, file.folder) == ("Cells", ".csv", "a/b")
    assert SourceFile("Cells.csv", 3).folder == "."


def test_numbers_of_any_length_have_an_order() -> None:
    names = ["9", "9" * 5000, "1" + "0" * 5000, "007", "7"]
    assert sorted(names, key=natural_key) == ["007", "7", "9", "9" * 5000, "1" + "0" * 5000]
