"""Files under any name and in any folder: prefixes, copies, hidden files, combined files, and what is no table."""

import io
import zipfile
from pathlib import Path

import pytest

from cytobatch.errors import ExitCode
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
    expected,
    joined,
    params,
    plain,
    plate,
    site,
    without,
)

RIGHT = expected(1, 2)
IN_ONE = joined(site(1), site(2, image=2))
"""Two image sets in the tables of one folder."""


def prefixed(*prefixes: str, folder: str = "P1-A01-{}") -> Files:
    """Return two sites whose files have a prefix each."""
    sites = (csv(site(n), folder.format(n), name=f"{prefix}{{}}.csv") for n, prefix in enumerate(prefixes, 1))
    return {path: content for files in sites for path, content in files.items()}


def two_runs() -> Files:
    """Return a site with two runs over the same images, each under its prefix."""
    return prefixed("MyExpt_", "MyExpt_") | prefixed("", "")


PREFIXES = params(
    Case("prefix_csv", prefixed("MyExpt_", "MyExpt_"), RIGHT),
    Case("prefix_differs_by_site", prefixed("ExptA_", "ExptB_"), RIGHT),
    Case("prefix_no_underscore", prefixed("Run7", "Run7"), RIGHT),
    Case("prefix_is_well_one_folder", prefixed("P1_A01_1_", "P1_A01_2_", folder="."), RIGHT),
    Case("prefix_two_runs_in_one_folder", two_runs(), error="two sets of tables over the same images.*MyExpt_"),
    Case("whole_plate_one_folder", csv(IN_ONE), RIGHT),
    Case(
        "two_plates_one_folder",
        {
            path: content
            for n, name in enumerate(("P1", "P2"), 1)
            for path, content in csv(site(n, Plate=name, Site="1"), f"{name}/A01-1").items()
        },
        [row | {"Metadata_Plate": f"P{row['Metadata_Site']}", "Metadata_Site": 1} for row in RIGHT],
    ),
)


@pytest.mark.parametrize("case", PREFIXES)
def test_a_set_of_tables_is_found_by_folder_and_prefix(tmp_path: Path, case: Case) -> None:
    check(case, tmp_path)


def beside(name: str, content: bytes | None = None, folder: str = "P1-A01-1") -> Files:
    """Return a plate with one more file, which is a copy of the cells unless its content is given."""
    files = plate()
    return files | {f"in/{folder}/{name}": files["in/P1-A01-1/Cells.csv"] if content is None else content}


def of_system(folder: str) -> Files:
    """Return a plate with the files in which macOS keeps attributes of others."""
    return plate() | {f"in/{folder}._{name}.csv": b"\0\5\x16\7Mac OS X" for name in (IMAGE, *COMPARTMENTS)}


EDGES = b"1,1,2,14,0.52\n1,2,3,22,0.71\n"
VERTICES = b"1,1,10,12,1,T\n"
RELATIONS = b"Module,Module Number,Relationship,First Object Name,First Image Number\nNeighbors,9,Neighbors,Cells,1\n"

COPIES = params(
    Case("dup_copy_Cells_1", beside("Cells (1).csv"), RIGHT, reported=(r"Cells \(1\).csv",), absent=r".*\(1\).*"),
    Case("dup_copy_one_site_only", beside("Cells copy.csv"), RIGHT, reported=("Cells copy.csv",)),
    Case("excel_lock_file", beside("~$Cells.csv", b"user" + b" " * 50), RIGHT, reported=(r"~\$Cells.csv",)),
    Case("ipynb_checkpoints", beside(".ipynb_checkpoints/Cells-checkpoint.csv"), RIGHT, reported=("hidden",)),
    Case("mac_resource_files", of_system("P1-A01-1/") | {"in/.DS_Store": b"\0\0\0\1Bud1"}, RIGHT, reported=("hidden",)),
    Case("macosx_zip_folder", of_system("__MACOSX/P1-A01-1/"), RIGHT, reported=("hidden",)),
    Case("skeleton_edges_headerless", beside("edges.csv", EDGES) | {"in/P1-A01-1/vertices.csv": VERTICES}, RIGHT),
    Case(
        "skeleton_edges_with_header",
        beside("edges.csv", b"image_number,v1,v2,length,total_intensity\n" + EDGES)
        | {"in/P1-A01-1/vertices.csv": b"image_number,vertex_number,i,j,labels,kind\n" + VERTICES},
        RIGHT,
        reported=("edges.csv", "vertices.csv"),
    ),
    Case(
        "object_relationships_csv",
        beside("Object relationships.csv", RELATIONS)
        | {"in/P1-A01-1/Experiment.csv": b'Key,Value\nCellProfiler_Version,4.2.4\nPipeline_Pipeline,"x\nVersion:5"\n'},
        RIGHT,
        reported=("Object relationships.csv",),
    ),
    Case(
        "csv_plate_copied_twice",
        plate() | csv(site(1), "P1-A01-1 copy"),
        expected(1, 1, 2),
        warned=("alike byte for byte.*'P1-A01-1' and 'P1-A01-1 copy'",),
    ),
    Case(
        "site_folders_and_collected_file",
        csv(IN_ONE) | csv(site(1), "s1") | csv(site(2, image=2), "s2"),
        error="ambiguous layout.*twice",
    ),
)


@pytest.mark.parametrize("case", COPIES)
def test_copies_and_files_that_are_no_tables_are_named_and_change_nothing(tmp_path: Path, case: Case) -> None:
    check(case, tmp_path)


def combined(number: int, *, extra_nucleus: bool = False, image_columns: tuple[str, ...] = ()) -> Rows:
    """Return all compartments of a site side by side, as ExportToSpreadsheet writes them into one file."""
    tables = site(number)
    places = [tables[IMAGE][0].index(name) for name in image_columns]
    head = ["Image", "Nuclei", *["Image"] * len(places)]
    names = ["ImageNumber", "ObjectNumber", *image_columns]
    lines = [[*row[:2], *(tables[IMAGE][1][place] for place in places)] for row in tables[NUCLEI][1:]]
    for label in (NUCLEI, CELLS, CYTOPLASM):
        header, *rows = tables[label]
        head += [label] * (len(header) - 2)
        names += header[2:]
        lines = [[*line, *row[2:]] for line, row in zip(lines, rows, strict=True)]
    if extra_nucleus:
        own = ["1", "4", str(area(NUCLEI, number, 4))]
        lines.append([*own, *["nan"] * (len(names) - len(own))])
    return [head, names, *lines]


def combined_plate(
    name: str = "object", image: str = "Image", *, extra_nucleus: bool = False, image_columns: tuple[str, ...] = ()
) -> Files:
    files: Files = {}
    for number in (1, 2):
        table = column("Count_Nuclei", "4" if extra_nucleus else "3")(site(number)[IMAGE])
        rows = combined(number, extra_nucleus=extra_nucleus, image_columns=image_columns)
        files[f"in/P1-A01-{number}/{image}.csv"] = plain(table)
        files[f"in/P1-A01-{number}/{name}.csv"] = plain(rows)
    return files


LOCATED = ("FileName_DNA", "Metadata_Plate", "Metadata_Well", "Metadata_Site")

COMBINED = params(
    Case("combined_object_csv", combined_plate(), RIGHT),
    Case("combined_prefixed", combined_plate("MyExpt_object", "MyExpt_Image"), RIGHT),
    Case("combined_named_freely", combined_plate("AllMeasurements"), RIGHT),
    Case("combined_named_nuclei", combined_plate("Nuclei"), RIGHT),
    Case("combined_with_image_metadata", combined_plate(image_columns=LOCATED), RIGHT),
    Case("combined_unequal_counts", combined_plate(extra_nucleus=True), RIGHT, warned=("nuclei",)),
)


@pytest.mark.parametrize("case", COMBINED)
def test_a_combined_file_is_read_under_any_name(tmp_path: Path, case: Case) -> None:
    check(case, tmp_path)


def in_folders(**folders: tuple[str, ...]) -> Files:
    """Return the tables of two image sets, spread over folders."""
    parts = (csv({name: IN_ONE[name] for name in names}, folder) for folder, names in folders.items())
    return {path: content for files in parts for path, content in files.items()}


def numbered_sites() -> Files:
    """Return the compartments of two sites in folders, below one image table of both."""
    files = csv({IMAGE: IN_ONE[IMAGE]})
    for number in (1, 2):
        files |= csv({name: site(number, image=number)[name] for name in COMPARTMENTS}, f"s{number}")
    return files


def archive() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        for path, content in plate().items():
            file.writestr(path, content)
    return stream.getvalue()


OBJECTS = (CELLS, CYTOPLASM, NUCLEI)
NOT_TABLES = {f"in/P1-A01-{n}/{name}.xlsx": b"PK\3\4" + b"\0" * 30 for n in (1, 2) for name in (IMAGE, *OBJECTS)}

PLACES = params(
    Case(
        "compartment_per_folder",
        in_folders(image=(IMAGE,), nuclei=(NUCLEI,), cells=(CELLS,), cytoplasm=(CYTOPLASM,)),
        error="missing",
    ),
    Case("image_csv_in_own_folder", in_folders(image=(IMAGE,), objects=OBJECTS), error="missing"),
    Case("image_csv_at_plate_level", numbered_sites(), error="missing"),
    Case("image_only", csv({IMAGE: site(1)[IMAGE]}, "P1-A01-1"), error="no compartment tables"),
    Case("xlsx_plate", NOT_TABLES, error="xlsx"),
    Case("zip_plate", {"in/P1.zip": archive()}, error="zip"),
    Case("h5_measurements", {"in/DefaultOUT.h5": b"\x89HDF\r\n\x1a\n" + b"\0" * 50}, error="h5"),
    Case(
        "no_image_csv",
        csv({name: site(1)[name] for name in OBJECTS}, "P1-A01-1")
        | csv({name: site(2)[name] for name in OBJECTS}, "P1-A01-2"),
        RIGHT,
    ),
    Case(
        "only_cells",
        csv({CELLS: site(1)[CELLS]}, "P1-A01-1") | csv({CELLS: site(2)[CELLS]}, "P1-A01-2"),
        without(RIGHT, f"Cytoplasm_{AREA}", f"Nuclei_{AREA}"),
    ),
)


@pytest.mark.parametrize("case", PLACES)
def test_tables_that_are_apart_or_missing_are_converted_or_refused(tmp_path: Path, case: Case) -> None:
    check(case, tmp_path)


MITO = [["ImageNumber", "ObjectNumber", AREA, "Parent_Cells"], *([["1", str(n), f"{n}.5", str(n)] for n in (1, 2, 3)])]
WITH_MITO = csv({**site(1), "Mito": MITO}, "P1-A01-1") | csv({**site(2), "Mito": MITO}, "P1-A01-2")
ALL_FOUR = "cells,nuclei,cytoplasm,image"
FEATURES = (column("Granularity_1_DNA", "12.5"), column("Texture_Contrast_DNA_3", "0.25"))
MODULES = (
    column("ModuleError_12MeasureTexture", "0"),
    column("ExecutionTime_01Load", "0.4"),
    column("URL_DNA", "file:a"),
)


def both_images(*changes: Change) -> Files:
    change = changed(IMAGE, *changes)
    return csv(change(site(1)), "P1-A01-1") | csv(change(site(2)), "P1-A01-2")


def repeated(tables: Tables) -> Tables:
    return {**tables, IMAGE: [*tables[IMAGE], tables[IMAGE][1]]}


OPTIONS = params(
    Case(
        "extra_compartment_with_preset",
        WITH_MITO,
        RIGHT,
        {"preset": "cellprofiler_csv"},
        reported=("Mito.csv",),
        absent="Mito_.*",
    ),
    Case("image_as_compartment", plate(), options={"compartments": ALL_FOUR}, error="image"),
    Case(
        "image_as_compartment_preset",
        plate(),
        options={"preset": "cellprofiler_csv", "compartments": ALL_FOUR},
        error="image",
    ),
    Case(
        "image_features_all",
        both_images(*FEATURES),
        [row | {"Image_Granularity_1_DNA": 12.5, "Image_Texture_Contrast_DNA_3": 0.25} for row in RIGHT],
        {"image_columns": ".*"},
    ),
    Case("image_failed_module_error", both_images(*MODULES), RIGHT),
    Case("image_rows_duplicated_only", plate(repeated), error="repeated images"),
    Case(
        "image_without_imagenumber",
        both_images(dropped("ImageNumber")),
        error="no ImageNumber column",
        exit_code=ExitCode.INPUT_DATA,
    ),
)


@pytest.mark.parametrize("case", OPTIONS)
def test_image_tables_and_further_compartments_by_options(tmp_path: Path, case: Case) -> None:
    check(case, tmp_path)
