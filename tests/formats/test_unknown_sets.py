"""Sets of tables whose names end in a suffix, or begin with a prefix that no image table shows."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cytobatch.errors import LayoutError
from tests.support.cases import CELLS, COMPARTMENTS, CYTOPLASM, IMAGE, NUCLEI, Files, csv, site, write
from tests.support.examples import examples
from tests.support.plates import convert

OBJECTS = {name: site(1)[name] for name in COMPARTMENTS}


def converted(files: Files, folder: Path, **options: object) -> int:
    write(files, folder)
    return convert(folder / "in", folder / "out", **options)[0].num_rows


@pytest.mark.parametrize("preset", ["auto", "cellprofiler_csv"])
@pytest.mark.parametrize("suffix", ["_1", "-02", " 3", "7", "_RunA"])
def test_a_suffix_is_refused_with_the_names_that_are_read(tmp_path: Path, suffix: str, preset: str) -> None:
    files = csv(site(1), "s", name="{}" + f"{suffix}.csv")
    with pytest.raises(LayoutError, match="a set of tables with a suffix") as caught:
        converted(files, tmp_path, preset=preset)
    assert f"Cells{suffix}.csv, Cytoplasm{suffix}.csv, Image{suffix}.csv, Nuclei{suffix}.csv end in" in caught.value.why
    name = suffix.strip("_- ")
    assert f"{name}_Image.csv, {name}_Cells.csv" in caught.value.remedy
    assert converted(csv(site(1), "s", name=f"{name}_{{}}.csv"), tmp_path / "renamed", preset=preset) == 3


@pytest.mark.parametrize("preset", ["auto", "cellprofiler_csv"])
@pytest.mark.parametrize("prefix", ["MyExpt_", "Run7"])
def test_a_prefix_without_an_image_table_is_refused(tmp_path: Path, prefix: str, preset: str) -> None:
    with pytest.raises(LayoutError, match="a prefix without an image table") as caught:
        converted(csv(OBJECTS, "s", name=f"{prefix}{{}}.csv"), tmp_path, preset=preset)
    assert f"begin with {prefix!r}, and {prefix}Image.csv is not there" in caught.value.why
    assert converted(csv(site(1), "s", name=f"{prefix}{{}}.csv"), tmp_path / "with", preset=preset) == 3


def test_a_site_that_lacks_the_image_table_of_a_known_prefix_fails_alone(tmp_path: Path) -> None:
    files = csv(site(1), "s1", name="X_{}.csv") | csv(OBJECTS, "s2", name="X_{}.csv")
    assert converted(files, tmp_path, max_failed_exports=1) == 3


def test_a_job_may_name_its_tables(tmp_path: Path) -> None:
    files = csv({CELLS: site(1)[CELLS], IMAGE: site(1)[IMAGE]}, "s", name="{}_1.csv")
    assert converted(files, tmp_path, compartments=("cells_1",), metadata=("image_1",)) == 3


def test_objects_that_are_called_alike_are_no_set(tmp_path: Path) -> None:
    cells = [[name.replace("Parent_Nuclei", "Parent_FilteredNuclei") for name in row] for row in site(1)[CELLS]]
    files = csv({"FilteredCells": cells, "FilteredNuclei": site(1)[NUCLEI]}, "s")
    assert converted(files, tmp_path) == 3
    assert converted(csv(OBJECTS, "s") | csv({"preCells": cells}, "s"), tmp_path / "beside") == 3


@settings(max_examples=examples(10))
@given(st.sets(st.sampled_from([CELLS, CYTOPLASM, NUCLEI]), min_size=1), st.booleans())
def test_a_suffix_is_refused_exactly_where_an_image_table_has_it(
    tmp_path_factory: pytest.TempPathFactory, tables: set[str], with_image: bool
) -> None:
    folder = tmp_path_factory.mktemp("in")
    kept = {name: rows for name, rows in site(1).items() if name in tables or (with_image and name == IMAGE)}
    try:
        converted(csv(kept, "s", name="{}_1.csv"), folder)
    except LayoutError as error:
        assert (error.what == "a set of tables with a suffix in their names") == with_image
    else:
        assert not with_image
