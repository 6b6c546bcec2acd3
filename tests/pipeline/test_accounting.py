"""Every file and table of a listing is in the ledger, and objects read are rows written and named losses."""

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cytobatch.config.options import PlateJob
from cytobatch.conversion.object_flow import ObjectFlow
from cytobatch.errors import CytobatchError, ExitCode, InternalError, TooManyFailedExportsError
from cytobatch.pipeline import accounting
from cytobatch.pipeline.plate import run_plate
from cytobatch.planning.inventory import Inventory, SourceFile
from cytobatch.report.model import LedgerEntry, Outcome, RunReport
from tests.support import corpus as c
from tests.support.examples import examples
from tests.support.plates import convert, convert_to_folder, cytominer_tables, site_tables, write_combined, write_sqlite

PLATES = {
    "csv": c.CSV,
    "combined": c.COMBINED,
    "per": c.PER,
    "cytominer": c.CYTOMINER,
    "in-carta": c.IN_CARTA,
    "npz": c.NPZ,
}


def entry(path: str, outcome: Outcome = Outcome.CONVERTED, table: str | None = None, rows: int = 0) -> LedgerEntry:
    return LedgerEntry(path=path, outcome=outcome, export="e", table=table, rows=rows)


def inventory(*paths: str) -> Inventory:
    return Inventory("/plate", tuple(SourceFile(path, 1) for path in paths))


@pytest.mark.parametrize(
    ("files", "entries", "difference"),
    [
        (["a.csv"], [entry("a.csv")], None),
        (["a.csv", "b.txt"], [entry("a.csv"), entry("b.txt", Outcome.IGNORED)], None),
        (["a.csv"], [entry("a.csv"), entry("e", Outcome.FAILED, "cells")], None),
        (["a.csv", "b.txt"], [entry("a.csv")], "b.txt: it is in the listing"),
        (["a.csv"], [entry("a.csv"), entry("b.txt")], "b.txt: it is in the ledger"),
        (["a.csv", "a.csv"], [entry("a.csv")], "2 files of the listing have this path"),
    ],
    ids=["equal", "an ignored file", "a missing table", "an unnamed file", "an unknown file", "one path twice"],
)
def test_files_are_compared(files: list[str], entries: list[LedgerEntry], difference: str | None) -> None:
    found = list(accounting.file_differences(inventory(*files), entries))
    assert len(found) == (difference is not None)
    assert difference is None or difference in found[0]


@pytest.mark.parametrize(
    ("tables", "entries", "difference"),
    [
        ({"p.sqlite": {"Cells"}}, [entry("p.sqlite", table="Cells")], None),
        ({"p.sqlite": {"Cells"}}, [entry("p.sqlite", Outcome.FAILED)], None),
        ({"p.sqlite": {"Cells"}}, [entry("p.sqlite", table="Cells"), entry("p.sqlite", Outcome.FAILED, "n")], None),
        ({"p.sqlite": {"Cells"}}, [entry("p.sqlite")], "it was found, and is not in the ledger"),
        ({"p.sqlite": {"Cells"}, "q.sqlite": {"Cells"}}, [entry("p.sqlite", table="Cells")], "Cells of q.sqlite"),
        ({}, [entry("p.sqlite", table="Cells")], "it is in the ledger, and was not found"),
    ],
    ids=["equal", "a failed file", "a missing table", "a table without entry", "another file's table", "unknown"],
)
def test_tables_are_compared(
    tables: Mapping[str, set[str]], entries: list[LedgerEntry], difference: str | None
) -> None:
    listed = {path: frozenset(names) for path, names in tables.items()}
    found = list(accounting.table_differences(listed, entries))
    assert len(found) == (difference is not None)
    assert difference is None or difference in found[0]


@pytest.mark.parametrize(
    ("read", "written", "lost", "rows", "right"),
    [(5, 5, 0, 5, True), (5, 4, 1, 5, True), (5, 4, 0, 5, False), (5, 5, 1, 5, False), (5, 5, 0, 4, False)],
)
def test_objects_are_compared(read: int, written: int, lost: int, rows: int, right: bool) -> None:
    flow = ObjectFlow("e", "Cells.csv", "cells", "cells", read, written)
    found = list(
        accounting.object_differences([entry("Cells.csv", table="cells", rows=rows)], [flow], {("e", "cells"): lost})
    )
    assert (not found) == right


def test_a_difference_is_an_internal_error_and_nothing_is_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = c.written(c.CSV, tmp_path)
    difference = "file Cells.csv: it is in the listing, and not in the ledger"
    monkeypatch.setattr(accounting, "file_differences", lambda *_: iter([difference]))
    with pytest.raises(InternalError) as caught:
        run_plate(PlateJob(source=str(source), destination=str(tmp_path / "out")))
    assert caught.value.exit_code is ExitCode.INTERNAL
    assert difference in caught.value.why
    assert list(tmp_path.glob("out/*")) == []


# Plates with more in them than their own tables


def file(name: str, content: bytes = b"x") -> Callable[[Path], None]:
    def add(root: Path) -> None:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)

    return add


def copy(name: str, suffix: str) -> Callable[[Path], None]:
    """Add a copy of the first file with this name, which has a suffix after its own."""

    def add(root: Path) -> None:
        for path in sorted(root.rglob(name))[:1]:
            path.with_name(path.name + suffix).write_bytes(path.read_bytes())

    return add


def statements(text: str, files: int = 1) -> Callable[[Path], None]:
    """Run SQL in the first databases of a plate, in which THIS is a table of cells."""

    def add(root: Path) -> None:
        for path in sorted(root.rglob("*.sqlite"))[:files]:
            with closing(sqlite3.connect(path)) as connection:
                names = tables_of(path)
                table = next(name for name in ("Per_Cells", "Cells") if name in names)
                connection.executescript(text.replace("THIS", table))

    return add


def rows_removed(name: str) -> Callable[[Path], None]:
    """Leave the header of the first file with this name alone."""

    def add(root: Path) -> None:
        for path in sorted(root.rglob(name))[:1]:
            c.header_only(path)

    return add


EXTRAS = {
    "text": file("notes.txt"),
    "hidden file": file(".DS_Store"),
    "empty file": file("empty.bin", b""),
    "experiment": file("P1-A01-1/Experiment.csv", b"Key,Value\nPipeline,x\n"),
    "experiment above": file("Experiment.csv", b"Key,Value\nPipeline,x\n"),
    "relationships": file("P1-A01-2/Object relationships.csv", b"Module,Relationship\nx,y\n"),
    "empty table": file("P1-A01-2/Speckles.csv", b""),
    "another table": file("P1-A01-2/Speckles.csv", b"ImageNumber,ObjectNumber,AreaShape_Area\n1,1,2\n"),
    "empty log": file("P1.sqlite-wal", b""),
    "lone log": file("P9.sqlite-wal"),
    "shared memory": file("P1.sqlite-shm"),
    "copy of a table": copy("Cells.csv", ".bak"),
    "copy of a database": copy("P1.sqlite", ".old"),
    "copy of an archive": copy("A01_1.npz", "~"),
    "no rows": rows_removed("Cytoplasm.csv"),
    "no rows of parents": rows_removed("Nuclei.csv"),
    "experiment table": statements("CREATE TABLE IF NOT EXISTS Experiment (name TEXT)", 4),
    "per experiment": statements("CREATE TABLE IF NOT EXISTS MyExpt_Per_Experiment (name TEXT)"),
    "view": statements("CREATE VIEW IF NOT EXISTS everything AS SELECT * FROM THIS"),
    "view of an empty table": statements("CREATE TABLE log (x); CREATE VIEW log_view AS SELECT x FROM log"),
    "table without columns of keys": statements("CREATE TABLE IF NOT EXISTS pixels (x REAL, y REAL)", 3),
    "table with image numbers": statements("CREATE TABLE IF NOT EXISTS Thumbnails (ImageNumber INTEGER, x BLOB)", 2),
    "copied table": statements("CREATE TABLE IF NOT EXISTS Backup AS SELECT * FROM THIS"),
    "deleted rows": statements("DELETE FROM THIS WHERE ROWID > 2"),
}


def tables_of(path: Path) -> set[str]:
    """Return the names of the tables and views of a database."""
    query = "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite%'"
    with closing(sqlite3.connect(path)) as connection:
        return {name for (name,) in connection.execute(query)}


def assert_accounted(source: Path, rows: pa.Table | None, report: RunReport) -> None:
    """Assert that the report names all that is in the source; `rows` are those of a joined profile."""
    paths = {path.relative_to(source).as_posix() for path in source.rglob("*") if path.is_file()}
    named = {(each.path, each.table) for each in report.ledger}
    assert paths <= {path for path, _ in named}
    for path in source.rglob("*.sqlite"):
        name = path.relative_to(source).as_posix()
        assert {(name, table) for table in tables_of(path)} <= named
    for name, count in report.counts.objects.items() if rows is not None else ():
        converted = sum(each.rows or 0 for each in report.ledger if (each.table or "").lower().endswith(name))
        assert converted == count
        column = f"{name.capitalize()}_AreaShape_Area"
        if rows is not None and column in rows.column_names:
            lost = sum(
                each.count or 0
                for each in report.warnings
                if each.table == name and each.what.startswith("objects that no object of")
            )
            assert len(rows) - rows[column].null_count + lost == count


@pytest.mark.slow
@settings(max_examples=examples(40, 600))
@given(
    kind=st.sampled_from(sorted(PLATES)),
    extras=st.lists(st.sampled_from(sorted(EXTRAS)), max_size=5, unique=True),
    join=st.booleans(),
)
def test_every_file_table_and_object_of_a_plate_is_accounted_for(kind: str, extras: list[str], join: bool) -> None:
    with TemporaryDirectory() as folder:
        source = c.written(PLATES[kind], Path(folder))
        for extra in extras:
            EXTRAS[extra](source)
        try:
            if join:
                assert_accounted(source, *convert(source, Path(folder) / "out", max_failed_exports=2))
            else:
                _, report = convert_to_folder(source, Path(folder) / "out", max_failed_exports=2, join=False)
                assert_accounted(source, None, report)
        except CytobatchError as error:
            # A plate may be refused, but never for a fault of the program.
            assert error.exit_code in (ExitCode.CONFIGURATION, ExitCode.INPUT_DATA), str(error)


def test_a_table_without_rows_beside_others_with_rows_is_named(tmp_path: Path) -> None:
    tables = site_tables(3)
    tables["Image"] = tables["Image"].append_column("Count_Speckles", pa.array([0.0]))
    tables["Speckles"] = tables["Nuclei"].slice(0, 0).append_column("Parent_Cells", pa.array([], pa.int64()))
    for site in (1, 2):
        c.write_site(tmp_path / "in" / f"P1-A01-{site}", tables)
    _, report = convert(tmp_path / "in", tmp_path)
    empty = [(each.path, each.outcome, each.rows) for each in report.ledger if each.table == "speckles"]
    assert empty == [(f"P1-A01-{site}/Speckles.csv", Outcome.EMPTY, 0) for site in (1, 2)]


def test_a_table_that_nothing_links_is_ignored_and_not_converted(tmp_path: Path) -> None:
    tables = site_tables(3)
    tables["Speckles"] = tables["Nuclei"]
    c.write_site(tmp_path / "in" / "P1-A01-1", tables)
    _, report = convert(tmp_path / "in", tmp_path)
    (speckles,) = [each for each in report.ledger if each.table == "speckles"]
    assert (speckles.outcome, speckles.rows) == (Outcome.IGNORED, None)
    assert speckles.reason == "left out of the profile: nothing links it to cytoplasm"


def test_a_users_own_join_is_accounted_for_by_tables(tmp_path: Path) -> None:
    source = c.written(c.CSV, tmp_path)
    table, report = convert(source, tmp_path, joins="SELECT * FROM cells WHERE Metadata_ObjectNumber = 1")
    assert table.num_rows == c.EXPORTS
    assert report.counts.objects["cells"] == c.EXPORTS * c.OBJECTS


@pytest.mark.parametrize("join", [True, False])
def test_views_are_named(join: bool, tmp_path: Path) -> None:
    path = write_sqlite(tmp_path / "in" / "p.sqlite", cytominer_tables(site_tables(3), 1))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE VIEW wells AS SELECT * FROM Image")
    _, report = convert_to_folder(path, tmp_path / "out", join=join)
    assert [each.outcome for each in report.ledger if each.table == "wells"] == [Outcome.IGNORED]


def test_a_compartment_of_a_combined_file_that_the_job_does_not_name_is_ignored(tmp_path: Path) -> None:
    write_combined(tmp_path / "in" / "s1", site_tables(3))
    _, report = convert(tmp_path / "in", tmp_path, compartments=("Nuclei",))
    ignored = [(each.path, each.table) for each in report.ledger if each.outcome is Outcome.IGNORED]
    assert ignored == [("s1/object.csv", "cells"), ("s1/object.csv", "cytoplasm")]


def test_a_compartment_that_only_a_later_combined_file_has_is_a_defect(tmp_path: Path) -> None:
    tables = site_tables(3)
    write_combined(tmp_path / "in" / "s1", tables)
    write_combined(tmp_path / "in" / "s2", tables | {"Speckles": tables["Nuclei"]})
    with pytest.raises(TooManyFailedExportsError, match="speckles"):
        convert(tmp_path / "in", tmp_path / "refused")
    table, report = convert(tmp_path / "in", tmp_path, max_failed_exports=1)
    assert table.num_rows == 3
    outcomes = {each.table: each.outcome for each in report.ledger if each.path == "s2/object.csv"}
    assert outcomes == {
        "cells": Outcome.LEFT_OUT,
        "cytoplasm": Outcome.LEFT_OUT,
        "nuclei": Outcome.LEFT_OUT,
        "speckles": Outcome.FAILED,
    }
