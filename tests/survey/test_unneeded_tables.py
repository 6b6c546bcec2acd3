"""Other segmentations and compartments that nothing links: left out and named, valid or not."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cytobatch.config.options import PlateJob
from cytobatch.errors import LayoutError, TooManyFailedExportsError
from cytobatch.pipeline.plate import run_plate
from cytobatch.report.model import Outcome, RunReport
from tests.support.examples import examples
from tests.support.plates import Tables, per_tables, site_tables, write_site, write_sqlite

pytestmark = pytest.mark.slow

Write = Callable[[Path, Tables], object]


def converted(source: Path, **options: object) -> tuple[pa.Table, RunReport]:
    target = source.parent / "out.parquet"
    job = PlateJob.model_validate({"source": str(source), "destination": str(target), **options})
    report = run_plate(job)
    return pq.read_table(target), report


def objects(number: int, **parents: str) -> pa.Table:
    """Return three objects with parents of the same numbers."""
    table = pa.table({"ImageNumber": [1] * 3, "ObjectNumber": [1, 2, 3], "AreaShape_Area": [number + 0.5] * 3})
    for parent in parents.values():
        table = table.append_column(f"Parent_{parent}", pa.array([1, 2, 3]))
    return table


def with_segmentation(suffix: str) -> Tables:
    """Return a site with a second segmentation of the usual nuclei."""
    return site_tables() | {
        f"Cells_{suffix}": objects(1, a="Nuclei"),
        f"Cytoplasm_{suffix}": objects(2, a="Nuclei", b=f"Cells_{suffix}"),
    }


WRITERS: dict[str, Write] = {
    "csv": lambda root, tables: write_site(root / "P1-A01-1", tables),
    "sqlite": lambda root, tables: write_sqlite(root / "P1.sqlite", per_tables(tables)),
}


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_another_segmentation_is_listed_with_the_flag_that_takes_it(tmp_path: Path, write: Write) -> None:
    write(tmp_path / "in", with_segmentation("HighThresh"))
    table, report = converted(tmp_path / "in")
    assert table.num_rows == 3
    assert not [name for name in table.column_names if "HighThresh" in name]
    warnings = {warning.table: warning.what for warning in report.warnings}
    flag = "--compartments cells_highthresh,cytoplasm_highthresh,nuclei"
    assert set(warnings) >= {"cells_highthresh", "cytoplasm_highthresh"}
    assert all(flag in warnings[name] for name in ("cells_highthresh", "cytoplasm_highthresh"))
    ignored = {(entry.table or "").lower().removeprefix("per_") for entry in report.ledger if entry.reason}
    assert ignored == {"cells_highthresh", "cytoplasm_highthresh"}
    other, _ = converted(tmp_path / "in", compartments=flag.split()[1].split(","))
    assert other["Cytoplasm_HighThresh_AreaShape_Area"].to_pylist()[:3] == [2.5] * 3


@settings(max_examples=examples(8))
@given(
    st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,8}", fullmatch=True),
    st.sampled_from(["", "pre", "pre_"]),
    st.sets(st.sampled_from(["Cells", "Nuclei", "Cytoplasm"]), min_size=2),
)
def test_other_segmentations_do_not_change_the_profile(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, start: str, kinds: set[str]
) -> None:
    root = tmp_path_factory.mktemp("in")
    write_site(root / "plain" / "P1-A01-1", site_tables())
    others = {f"{start}{kind}_{suffix}": objects(1, a="Nuclei") for kind in kinds}
    write_site(root / "more" / "P1-A01-1", site_tables() | others)
    plain, _ = converted(root / "plain")
    table, report = converted(root / "more")
    assert table.equals(plain)
    flags = {each.table for each in report.warnings if "--compartments " in each.what}
    assert flags == {name.lower() for name in others}


DAMAGE = {
    "duplicate columns": b"ImageNumber,ObjectNumber,A,A\n1,1,2,3\n",
    "empty": b"",
    "cut short": b"ImageNumber,ObjectNumber,A\n1,1,2\n1,2",
    "no ImageNumber": b"ObjectNumber,A\n1,2\n",
    "header only": b"ImageNumber,ObjectNumber,A\n",
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("sites", [{1}, {1, 2, 3}])
def test_an_invalid_table_that_nothing_links_does_not_fail_its_site(
    tmp_path: Path, damage: str, sites: set[int]
) -> None:
    for site in (1, 2, 3):
        folder = write_site(tmp_path / "in" / f"P1-A01-{site}", site_tables() | {"Alternative": objects(1)})
        if site in sites:
            (folder / "Alternative.csv").write_bytes(DAMAGE[damage])
    table, report = converted(tmp_path / "in")
    assert table.num_rows == 9
    named = {entry.path for entry in report.ledger if entry.outcome is Outcome.IGNORED}
    assert named >= {f"P1-A01-{site}/Alternative.csv" for site in sites}


def test_a_missing_table_that_nothing_links_does_not_fail_its_site(tmp_path: Path) -> None:
    for site in (1, 2, 3):
        tables = site_tables() | ({"Cells_Other": objects(1)} if site < 3 else {})
        write_site(tmp_path / "in" / f"P1-A01-{site}", tables)
    table, _ = converted(tmp_path / "in")
    assert table.num_rows == 9


@pytest.mark.parametrize("everywhere", [False, True])
def test_an_invalid_table_that_is_linked_fails_its_site(tmp_path: Path, everywhere: bool) -> None:
    for site in (1, 2, 3):
        folder = write_site(tmp_path / "in" / f"P1-A01-{site}", site_tables() | {"Foci": objects(1, a="Cells")})
        if everywhere or site == 1:
            (folder / "Foci.csv").write_bytes(b"ImageNumber,ObjectNumber,Parent_Cells,A,A\n1,1,1,2,3\n")
    with pytest.raises(TooManyFailedExportsError, match=r"Foci\.csv"):
        converted(tmp_path / "in")


def test_a_usual_compartment_made_from_a_variant_keeps_it(tmp_path: Path) -> None:
    tables = site_tables() | {"preCells_X": objects(1), "preNuclei_X": objects(2)}
    tables["Cells"] = tables["Cells"].append_column("Parent_preCells_X", pa.array([1, 2, 3]))
    write_site(tmp_path / "in" / "P1-A01-1", tables)
    table, _ = converted(tmp_path / "in")
    assert table["PreCells_X_AreaShape_Area"].to_pylist() == [1.5] * 3
    assert not [name for name in table.column_names if "Nuclei_X" in name]


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_compartments_without_a_link_are_no_profile_where_they_are_most_of_the_data(
    tmp_path: Path, write: Write
) -> None:
    tables = {"Image": site_tables()["Image"], "Cells": objects(1), "Nuclei": objects(2), "Foci": objects(3)}
    write(tmp_path / "in", tables)
    with pytest.raises(LayoutError) as caught:
        converted(tmp_path / "in")
    assert caught.value.what == "most of the measurements would be left out"
    assert "nothing links foci, nuclei to cells; they have 2 of the 3 columns" in caught.value.why


def test_names_that_are_no_other_segmentation_are_joined_as_before(tmp_path: Path) -> None:
    tables = site_tables() | {"Nuclei_Foci": objects(1, a="Nuclei"), "FilteredCells": objects(2, a="Cells")}
    write_site(tmp_path / "in" / "P1-A01-1", tables)
    table, _ = converted(tmp_path / "in")
    assert {"Nuclei_Foci_AreaShape_Area", "FilteredCells_AreaShape_Area"} <= set(table.column_names)


SQL_DAMAGE = {
    "no image numbers": ('ALTER TABLE "{}" DROP COLUMN ImageNumber',),
    "text in numbers": ("UPDATE \"{}\" SET {}_AreaShape_Area = 'big'",),
    "a view of nothing": ('DROP TABLE "{}"', 'CREATE VIEW "{}" AS SELECT * FROM absent'),
}


def write_database(path: Path, tables: Tables, table: str | None, *statements: str) -> None:
    write_sqlite(path, per_tables(tables))
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements if table else ():
            connection.execute(statement.format(f"Per_{table}", table))
        connection.commit()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Alternative", "Cells_HighThresh"])
@pytest.mark.parametrize("damage", SQL_DAMAGE)
@pytest.mark.parametrize("sites", [{1}, {1, 2, 3}])
def test_an_invalid_sqlite_table_that_nothing_links_does_not_fail_its_plate(
    tmp_path: Path, name: str, damage: str, sites: set[int]
) -> None:
    for site in (1, 2, 3):
        tables = site_tables(offset=1000.0 * site, well=f"A{site}") | {name: objects(1)}
        if name != "Alternative":
            tables |= {name.replace("Cells", "Nuclei"): objects(2)}
        write_database(
            tmp_path / "in" / f"P{site}.sqlite", tables, name if site in sites else None, *SQL_DAMAGE[damage]
        )
    table, report = converted(tmp_path / "in")
    assert table.num_rows == 9
    assert not [column for column in table.column_names if name in column]
    named = {(entry.path, entry.table) for entry in report.ledger if entry.outcome is Outcome.IGNORED}
    assert named >= {(f"P{site}.sqlite", f"Per_{name}") for site in sites}


@pytest.mark.parametrize("sites", [{1}, {1, 2, 3}])
def test_an_invalid_sqlite_table_that_is_linked_fails_its_file(tmp_path: Path, sites: set[int]) -> None:
    for site in (1, 2, 3):
        tables = site_tables(offset=1000.0 * site, well=f"A{site}") | {"Foci": objects(1, a="Cells")}
        table = "Foci" if site in sites else None
        write_database(tmp_path / "in" / f"P{site}.sqlite", tables, table, *SQL_DAMAGE["no image numbers"])
    with pytest.raises(TooManyFailedExportsError, match=r"Per_Foci.*no ImageNumber"):
        converted(tmp_path / "in")


def test_a_table_of_another_program_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "in" / "P1.sqlite"
    write_database(path, site_tables(), None)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE places (AreaShape_Area TEXT)")
        connection.execute("INSERT INTO places VALUES ('1.5')")
        root = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'places'").fetchone()[0]
        connection.commit()
    content = bytearray(path.read_bytes())
    content[(root - 1) * 4096 : root * 4096] = b"\xff" * 4096
    path.write_bytes(content)
    table, report = converted(tmp_path / "in")
    assert table.num_rows == 3
    assert [entry.reason for entry in report.ledger if entry.table == "places"]
