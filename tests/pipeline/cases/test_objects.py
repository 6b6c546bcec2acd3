"""Objects and their parents: numbers, missing and repeated rows, children, sites without objects, segmentations."""

from pathlib import Path

import pytest

from tests.support.cases import (
    AREA,
    CELLS,
    COMPARTMENTS,
    CYTOPLASM,
    IMAGE,
    NUCLEI,
    Case,
    Change,
    Files,
    Rows,
    Tables,
    area,
    changed,
    check,
    column,
    csv,
    dropped,
    everywhere,
    expected,
    joined,
    params,
    plate,
    renamed,
    site,
    without,
)

RIGHT = expected(1, 2)
BIG = 2**53 + 1
"""The first integer that a double cannot hold."""


def both(*changes: tuple[str, Change], names: tuple[str, ...] = (IMAGE, *COMPARTMENTS)) -> Files:
    """Return two sites with the same changes of tables, and of the tables `names` alone."""
    files: Files = {}
    for number in (1, 2):
        tables = site(number)
        for table, change in changes:
            tables = changed(table, change)(tables)
        files |= csv({name: tables[name] for name in names}, f"P1-A01-{number}")
    return files


def numbered(first: int) -> Files:
    """Return one folder of two image sets that are numbered from `first`."""
    return csv(joined(site(1, image=first), site(2, image=first + 1)))


def crossed(tables: Tables) -> Tables:
    """Relate cell and cytoplasm 1, 2 and 3 to the nuclei 2, 3 and 1."""
    change = column("Parent_Nuclei", "2", "3", "1")
    return changed(CELLS, change)(changed(CYTOPLASM, change)(tables))


def of_crossed() -> list[dict[str, object]]:
    rows = expected(1, 2)
    for number, row in enumerate(rows):
        obj = number % 3 + 1
        row[f"Nuclei_{AREA}"] = area(NUCLEI, number // 3 + 1, {1: 2, 2: 3, 3: 1}[obj])
    return rows


NUMBERS = params(
    Case(
        "big_numbers",
        numbered(BIG),
        [row | {"Metadata_ImageNumber": BIG + number // 3} for number, row in enumerate(RIGHT)],
    ),
    Case("imagenumber_from_zero", numbered(0), RIGHT),
    Case("crossed_numbers", csv(crossed(site(1)), "P1-A01-1") | csv(crossed(site(2)), "P1-A01-2"), of_crossed()),
)


@pytest.mark.parametrize("case", NUMBERS)
def test_objects_are_joined_by_their_numbers(tmp_path: Path, case: Case) -> None:
    check(case, tmp_path)


def first_lost(rows: Rows) -> Rows:
    return [rows[0], *rows[2:]]


def doubled(rows: Rows) -> Rows:
    return [*rows, *rows[1:]]


WITHOUT_FIRST = [row for number, row in enumerate(RIGHT) if number % 3]
NO_NUCLEUS = [row | ({f"Nuclei_{AREA}": None} if number == 0 else {}) for number, row in enumerate(RIGHT)]

PARENTS = params(
    Case(
        "cells_without_cytoplasm",
        both((CYTOPLASM, first_lost), (IMAGE, column("Count_Cytoplasm", "2"))),
        WITHOUT_FIRST,
        warned=("cells", "nuclei"),
    ),
    Case(
        "cells_without_nuclei_link",
        both((CELLS, dropped("Parent_Nuclei")), names=(IMAGE, CELLS, NUCLEI)),
        without(RIGHT, f"Cytoplasm_{AREA}", f"Nuclei_{AREA}"),
        warned=("nothing links it to cells nuclei",),
        reported=('"table": ?"nuclei"',),
    ),
    Case(
        "child_without_parent_zero",
        plate(changed(CYTOPLASM, column("Parent_Nuclei", "0", "2", "3"))),
        NO_NUCLEUS,
        warned=("nuclei", "cytoplasm"),
    ),
    Case(
        "parent_nan",
        plate(changed(CYTOPLASM, column("Parent_Nuclei", "nan", "2", "3"))),
        NO_NUCLEUS,
        warned=("nuclei", "cytoplasm"),
    ),
    Case("duplicated_rows_appended", plate(changed(CELLS, doubled)), error="repeated objects"),
    Case("all_rows_duplicated", plate(everywhere(doubled)), error="repeated (objects|images)"),
    Case(
        "two_compartments",
        both((NUCLEI, lambda rows: [*rows, ["1", "4", "4.5"]]), (IMAGE, column("Count_Nuclei", "4"))),
        without(RIGHT, f"Cytoplasm_{AREA}"),
        {"compartments": "cells,nuclei"},
        warned=("nuclei",),
    ),
    Case(
        "two_compartments_unlinked_cp",
        plate(),
        without(RIGHT, f"Cells_{AREA}"),
        {"compartments": "nuclei,cytoplasm"},
    ),
)


@pytest.mark.parametrize("case", PARENTS)
def test_objects_without_a_parent_or_a_child_are_named(tmp_path: Path, case: Case) -> None:
    check(case, tmp_path)


def multinucleate() -> Files:
    """Return sites whose first cell has two nuclei, and whose nuclei name their cell."""
    nuclei = [["ImageNumber", "ObjectNumber", AREA, "Parent_Cells"]]
    nuclei += [["1", str(n), f"{n}.5", str(cell)] for n, cell in ((1, 1), (2, 1), (3, 2), (4, 3))]
    cells = (dropped("Parent_Nuclei"), column("Children_Nuclei_Count", "2", "1"))
    files: Files = {}
    for number in (1, 2):
        tables = changed(CELLS, *cells)(
            changed(IMAGE, dropped("Count_Cytoplasm"), column("Count_Nuclei", "4"))(site(number))
        )
        files |= csv({IMAGE: tables[IMAGE], CELLS: tables[CELLS], NUCLEI: nuclei}, f"P1-A01-{number}")
    return files


OF_FIRST_NUCLEUS = [
    row | {f"Nuclei_{AREA}": {0: 1.5, 1: 3.5, 2: 4.5}[number % 3]}
    for number, row in enumerate(without(RIGHT, f"Cytoplasm_{AREA}"))
]


def with_speckles() -> Files:
    """Return sites with four speckles in each nucleus."""
    places = [(4 * nucleus + n - 4, nucleus) for nucleus in (1, 2, 3) for n in (1, 2, 3, 4)]
    rows = [["1", str(number), f"{number}.5", str(nucleus)] for number, nucleus in places]
    speckles = [["ImageNumber", "ObjectNumber", AREA, "Parent_Nuclei"], *rows]
    files: Files = {}
    for number in (1, 2):
        tables = changed(IMAGE, column("Count_Speckles", "12"))(site(number))
        files |= csv({**tables, "Speckles": speckles}, f"P1-A01-{number}")
    return files


def filtered() -> Files:
    """Return sites of five nuclei, three of which are kept as the nuclei of the cells."""
    nuclei = [["ImageNumber", "ObjectNumber", AREA], *(["1", str(n), f"30{n}.5"] for n in range(1, 6))]
    kept = [["ImageNumber", "ObjectNumber", AREA, "Parent_Nuclei"]]
    kept += [["1", str(n), f"30{nucleus}.5", str(nucleus)] for n, nucleus in ((1, 1), (2, 3), (3, 5))]
    files: Files = {}
    for number in (1, 2):
        tables = changed(CELLS, renamed(Parent_Nuclei="Parent_FilteredNuclei"))(site(number))
        tables = changed(CYTOPLASM, renamed(Parent_Nuclei="Parent_FilteredNuclei"))(tables)
        tables = changed(IMAGE, column("Count_Nuclei", "5"), column("Count_FilteredNuclei", "3"))(tables)
        files |= csv({**tables, NUCLEI: nuclei, "FilteredNuclei": kept}, f"P1-A01-{number}")
    return files


OF_FILTERED = [
    row | {f"{name}_{AREA}": {0: 301.5, 1: 303.5, 2: 305.5}[number % 3] for name in (NUCLEI, "FilteredNuclei")}
    for number, row in enumerate(RIGHT)
]
MEAN = "Mean_Speckles_Number_Object_Number"
MEANS = (column(MEAN, "1.5", "2.5", "3.5"), column("Mean_Speckles_Children_Dots_Count", "0.25"))
OF_MEANS = [row | {f"Cells_{MEAN}": 1.5 + number % 3} for number, row in enumerate(RIGHT)]
ALTERNATIVE = [["ImageNumber", "ObjectNumber", "Location_Center_X", "Location_Center_X"], ["1", "1", "5.0", "6.0"]]
TRACKED = (column("TrackObjects_Label_50", "1", "2", "3"), column("TrackObjects_ParentImageNumber_50", "0"))
SEGMENTATION = {
    "Cells_HighThresh": [["ImageNumber", "ObjectNumber", AREA], ["1", "1", "5.0"]],
    "Nuclei_HighThresh": [["ImageNumber", "ObjectNumber", AREA], ["1", "1", "6.0"]],
    "Cytoplasm_HighThresh": [["ImageNumber", "ObjectNumber", AREA, "Parent_Cells_HighThresh"], ["1", "1", "7.0", "1"]],
}


def with_tables(**tables: Rows) -> Files:
    return csv({**site(1), **tables}, "P1-A01-1") | csv({**site(2), **tables}, "P1-A01-2")


CHILDREN = params(
    Case("multinucleate_child", multinucleate(), OF_FIRST_NUCLEUS, warned=("nuclei",)),
    Case("speckles_many_children", with_speckles(), RIGHT, warned=("speckles",)),
    Case("filtered_names", filtered(), OF_FILTERED, warned=("nuclei",)),
    Case("mean_of_children", both(*((CELLS, each) for each in MEANS)), OF_MEANS, types={f"Cells_{MEAN}": "double"}),
    Case(
        "neighbours_as_fraction",
        both((CELLS, column("Neighbors_NumberOfNeighbors_5", "2.5"))),
        [row | {"Cells_Neighbors_NumberOfNeighbors_5": 2.5} for row in RIGHT],
    ),
    Case("trackobjects_columns", both(*((NUCLEI, each) for each in TRACKED)), RIGHT),
    Case(
        "unlinked_table_unsound",
        with_tables(Cells_Alternative=ALTERNATIVE),
        RIGHT,
        warned=("cells_alternative",),
        reported=("Cells_Alternative",),
    ),
    Case(
        "site_with_segmentations",
        with_tables(**SEGMENTATION),
        RIGHT,
        warned=("another segmentation than that of the profile.*_highthresh",),
        absent=".*HighThresh.*",
    ),
)


@pytest.mark.parametrize("case", CHILDREN)
def test_children_and_other_segmentations_do_not_change_the_profile(tmp_path: Path, case: Case) -> None:
    check(case, tmp_path)


def with_empty_site(change: Change = lambda rows: rows, *, files: bool = True) -> Files:
    """Return two sites with objects and a third one without, whose object tables are changed."""
    tables = changed(IMAGE, lambda rows: rows)(site(3, objects=0))
    objects = {name: change(tables[name]) for name in COMPARTMENTS} if files else {}
    return plate() | csv({IMAGE: tables[IMAGE], **objects}, "P1-A01-3")


def row_of_nan(rows: Rows) -> Rows:
    return [rows[0], ["1", "nan", *["nan"] * (len(rows[0]) - 2)]]


EMPTY = params(
    Case("zero_cells_site", with_empty_site(), RIGHT),
    Case("zero_cells_short_header", with_empty_site(lambda rows: [row[:2] for row in rows]), RIGHT),
    Case("zero_cells_no_object_files", with_empty_site(files=False), error="missing"),
    Case("zero_cells_row_of_nan", with_empty_site(row_of_nan), error="without image or object number"),
)


@pytest.mark.parametrize("case", EMPTY)
def test_a_site_without_objects_adds_no_row(tmp_path: Path, case: Case) -> None:
    check(case, tmp_path)
