import pytest

from cytobatch.errors import LayoutError
from cytobatch.planning.joins import CompartmentKeys, JoinKind, find_keys, plan_joins


def keys(**parents: tuple[str, ...]) -> dict[str, CompartmentKeys]:
    return {
        name: CompartmentKeys(name, "ObjectNumber", {parent: f"Parent_{parent.capitalize()}" for parent in own})
        for name, own in parents.items()
    }


def test_cytoplasm_is_the_base_and_its_parents_join() -> None:
    plan = plan_joins(keys(cells=("nuclei",), cytoplasm=("cells", "nuclei"), nuclei=()), ())
    assert plan.base == "cytoplasm"
    assert [(join.compartment, join.via, join.kind) for join in plan.joins] == [
        ("cells", "cytoplasm", JoinKind.PARENT),
        ("nuclei", "cytoplasm", JoinKind.PARENT),
    ]


def test_cells_and_nuclei_alone() -> None:
    plan = plan_joins(keys(cells=("nuclei",), nuclei=()), ("cells", "nuclei"))
    assert (plan.base, plan.compartments) == ("cells", ("cells", "nuclei"))


def test_extra_compartments_join_as_children_or_through_others() -> None:
    plan = plan_joins(keys(cytoplasm=("cells", "nuclei"), cells=(), nuclei=("seeds",), ph3=("nuclei",), seeds=()), ())
    by_name = {join.compartment: join for join in plan.joins}
    assert (by_name["ph3"].via, by_name["ph3"].kind) == ("nuclei", JoinKind.CHILD)
    assert (by_name["seeds"].via, by_name["seeds"].kind) == ("nuclei", JoinKind.PARENT)
    assert len(plan.describe()) == 5


def test_without_the_usual_names_the_base_is_the_compartment_with_most_joins() -> None:
    plan = plan_joins(keys(organoids=(), spots=("organoids",), blobs=()), ())
    assert plan.base == "organoids"
    assert plan.unlinked == ("blobs",)


def test_a_required_compartment_without_a_parent_column_is_an_error() -> None:
    with pytest.raises(LayoutError) as caught:
        plan_joins(keys(cells=(), nuclei=()), ("cells", "nuclei"))
    assert "nothing links nuclei to cells" in caught.value.what


@pytest.mark.parametrize(
    "number", ["ObjectNumber", "Cells_ObjectNumber", "Cells_Number_Object_Number", "Number_Object_Number"]
)
def test_keys_are_found_under_all_their_names(number: str) -> None:
    columns = ["ImageNumber", number, "TableNumber", "Cells_Parent_Nuclei", "Parent_PH3", "Parent_Cells"]
    found = find_keys("cells", "Cells", columns, ["nuclei", "ph3", "cells"])
    assert found == CompartmentKeys(
        "cells", number, {"nuclei": "Cells_Parent_Nuclei", "ph3": "Parent_PH3"}, "TableNumber"
    )


def test_a_table_without_object_numbers_is_no_compartment() -> None:
    assert find_keys("image", "Image", ["ImageNumber", "Count_Cells"], []) is None
    assert find_keys("cells", "Cells", ["ObjectNumber"], []) is None
