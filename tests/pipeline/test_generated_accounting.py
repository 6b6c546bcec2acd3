"""Generated plates with other files, tables, views and copies in them: all of it is written or named."""

import gzip
import re
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cytobatch.errors import CytobatchError, ExitCode
from cytobatch.report.model import Outcome, RunReport
from tests.support.examples import examples
from tests.support.plates import Tables, convert, cytominer_tables, per_tables, write_site, write_sqlite

AREA = "AreaShape_Area"
UNMATCHED = "objects that no object of"


@dataclass(frozen=True)
class Site:
    """A site: its numbers of nuclei and cells, and the cell and nucleus of each cytoplasm, 0 if it has none."""

    nuclei: int
    cells: int
    parents: tuple[tuple[int, int], ...]

    def tables(self, number: int) -> Tables:
        counts = {"Count_Cells": self.cells, "Count_Cytoplasm": len(self.parents), "Count_Nuclei": self.nuclei}
        image = {"ImageNumber": 1, **counts, "Metadata_Plate": "P1", "Metadata_Well": f"A{number:02}"}
        image["Metadata_Site"] = number
        of_cells, of_nuclei = (pa.array([each[part] for each in self.parents], pa.int64()) for part in (0, 1))
        return {
            "Image": pa.table({name: [value] for name, value in image.items()}),
            "Cells": objects(self.cells, 1000 * number),
            "Cytoplasm": objects(len(self.parents), 2000 * number)
            .append_column("Parent_Cells", of_cells)
            .append_column("Parent_Nuclei", of_nuclei),
            "Nuclei": objects(self.nuclei, 3000 * number),
        }

    def losses(self) -> Counter[str]:
        """Return the numbers of objects of each compartment that belong to no cytoplasm."""
        cells, nuclei = ({each[part] for each in self.parents} for part in (0, 1))
        return Counter(
            cells=len(set(range(1, self.cells + 1)) - cells), nuclei=len(set(range(1, self.nuclei + 1)) - nuclei)
        )

    def matched(self) -> dict[str, int]:
        """Return the numbers of rows that have values of each compartment."""
        return {
            "Cells": sum(0 < cell <= self.cells for cell, _ in self.parents),
            "Nuclei": sum(0 < nucleus <= self.nuclei for _, nucleus in self.parents),
            "Cytoplasm": len(self.parents),
        }


def objects(count: int, first: int) -> pa.Table:
    numbers = list(range(1, count + 1))
    return pa.table(
        {
            "ImageNumber": pa.array([1] * count, pa.int64()),
            "ObjectNumber": pa.array(numbers, pa.int64()),
            AREA: pa.array([first + number + 0.5 for number in numbers], pa.float64()),
        }
    )


@st.composite
def sites(draw: st.DrawFn) -> Site:
    nuclei, cells = draw(st.integers(0, 4)), draw(st.integers(0, 4))
    parents = st.tuples(st.integers(0, cells), st.integers(0, nuclei))
    return Site(nuclei, cells, tuple(draw(st.lists(parents, max_size=4))))


WRITERS: dict[str, Callable[[Path, int, Tables], object]] = {
    "csv": lambda root, number, tables: write_site(root / f"P1-A{number:02}-{number}", tables),
    "prefixed": lambda root, number, tables: with_prefix(root / f"s{number}", f"X{number}_", tables),
    "per": lambda root, number, tables: write_sqlite(root / f"P{number}.sqlite", per_tables(tables)),
    "cytominer": lambda root, number, tables: write_sqlite(
        root / f"P{number}.sqlite", cytominer_tables(tables, number)
    ),
}


def with_prefix(folder: Path, prefix: str, tables: Tables) -> None:
    for path in list(write_site(folder, tables).glob("*.csv")):
        path.rename(folder / f"{prefix}{path.name}")


# More in a source than its own tables. A function returns the numbers of the sites that are there once more.

EXPORT = re.compile(r"(?:s|P|P1-A\d\d-)(\d)(?:\.sqlite)?")
Extra = Callable[[Path, st.DataObject], list[int]]
WORDS = st.text(st.sampled_from("aZ09_- .é~"), min_size=1, max_size=6).filter(lambda name: name.strip(" ."))
CONTENTS = st.sampled_from([b"", b"x", b"a,b\n1,2\n", b"ImageNumber,x\n1,2\n", b"SQLite format 3\0", b"PK\3\4"])
SUFFIXES = st.sampled_from(["", ".txt", ".csv", ".tsv", ".csv.gz", ".bak", ".xlsx", ".sqlite-wal", ".json"])


def another_file(root: Path, data: st.DataObject) -> list[int]:
    folder = data.draw(st.sampled_from([root, *sorted(path for path in root.rglob("*") if path.is_dir())]), "folder")
    path = folder / f"{data.draw(WORDS, 'name')}{data.draw(SUFFIXES, 'suffix')}"
    if not path.exists() and not path.is_symlink():
        path.write_bytes(data.draw(CONTENTS, "content"))
    return []


def another_table(root: Path, data: st.DataObject) -> list[int]:
    content = data.draw(
        st.sampled_from(["(x REAL)", "(ImageNumber INTEGER, x BLOB)", "AS SELECT * FROM THIS", "AS SELECT 1 AS x"])
    )
    kind = data.draw(st.sampled_from(["TABLE", "VIEW"])) if content.startswith("AS") else "TABLE"
    name = data.draw(WORDS, "table")
    return in_databases(root, data, f'CREATE {kind} IF NOT EXISTS "{name}" {content}')


def table_as_view(root: Path, data: st.DataObject) -> list[int]:
    return in_databases(root, data, "ALTER TABLE THIS RENAME TO t_all", "CREATE VIEW THIS AS SELECT * FROM t_all")


def in_databases(root: Path, data: st.DataObject, *statements: str) -> list[int]:
    """Run SQL in one database or in all, in which THIS is the table of cells."""
    paths = sorted(root.rglob("*.sqlite"))
    for path in paths[: data.draw(st.sampled_from([1, len(paths)]))] if paths else ():
        names = tables_of(path)
        this = next((name for name in ("Per_Cells", "Cells") if name in names), None)
        with closing(sqlite3.connect(path)) as connection, suppress(sqlite3.OperationalError):
            # A name may be that of a table which is there.
            for statement in statements if this else ():
                connection.execute(statement.replace("THIS", str(this)))
            connection.commit()
    return []


def copied_export(root: Path, data: st.DataObject) -> list[int]:
    """Copy a folder or a database beside itself, as a user does who keeps the old one."""
    numbers = {path: EXPORT.fullmatch(path.name) for path in sorted(root.iterdir())}
    chosen = data.draw(st.sampled_from([path for path, match in numbers.items() if match]), "export")
    match = numbers[chosen]
    target = chosen.with_name(f"{chosen.stem} copy{chosen.suffix}")
    if target.exists() or match is None:
        return []
    if chosen.is_dir():
        shutil.copytree(chosen, target)
    else:
        shutil.copyfile(chosen, target)
    return [int(match[1])]


def copied_file(root: Path, data: st.DataObject) -> list[int]:
    """Copy a file under a name that is read for no table of its own."""
    path = data.draw(st.sampled_from(sorted(path for path in root.rglob("*") if path.is_file())), "file")
    name = data.draw(st.sampled_from(["{} (1){}", "{} copy{}", "._{}{}", "{}{}.bak", "{}{}.gz"]), "copy")
    if path.suffix != ".csv":
        name = "._{}{}"
    content = path.read_bytes()
    target = path.with_name(name.format(path.stem, path.suffix))
    target.write_bytes(gzip.compress(content) if target.suffix == ".gz" else content)
    return []


def lost_link(root: Path, data: st.DataObject) -> list[int]:
    path = root / f"{data.draw(WORDS, 'link')}.csv"
    if not path.exists() and not path.is_symlink():
        path.symlink_to(root / "gone" / "x.csv")
    return []


EXTRAS: tuple[Extra, ...] = (another_file, another_table, table_as_view, copied_export, copied_file, lost_link)


def tables_of(path: Path) -> dict[str, int]:
    """Return the numbers of rows of the tables and views of a database."""
    with closing(sqlite3.connect(path)) as connection:
        query = "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite%'"
        names = [name for (name,) in connection.execute(query)]
        return {name: connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name in names}


def rows_in(source: Path, path: str, table: str) -> int:
    """Return how many objects a table of the source holds, counted without cytobatch."""
    file = source / path
    if file.suffix == ".sqlite":
        return tables_of(file)[table]
    return len(file.read_text().splitlines()) - 1


def assert_named(source: Path, report: RunReport) -> None:
    """Assert that each file, link, table and view has an entry, and that a converted one has all of its objects."""
    named = {(each.path, each.table) for each in report.ledger}
    for path in source.rglob("*"):
        name = path.relative_to(source).as_posix()
        if path.is_symlink() or path.is_file():
            assert name in {each for each, _ in named}
        is_database = path.suffix == ".sqlite" and path.is_file() and not path.name.startswith("._")
        for table in tables_of(path) if is_database else ():
            assert (name, table) in named
    for each in report.ledger:
        assert each.outcome is Outcome.CONVERTED or each.reason
        if each.outcome is Outcome.CONVERTED and each.rows is not None:
            assert each.rows == rows_in(source, each.path, str(each.table))


def assert_all_objects(plate: dict[int, Site], there: Counter[int], rows: pa.Table, report: RunReport) -> None:
    """Assert for each site and compartment that its objects are rows, or named as lost."""
    by_site = Counter(rows["Metadata_Site"].to_pylist())
    lost: Counter[str] = Counter()
    for number, site in plate.items():
        assert by_site[number] == there[number] * len(site.parents)
        own = rows.filter(pc.equal(rows["Metadata_Site"], number)) if by_site[number] else None
        for label, count in site.matched().items() if own is not None else ():
            column = own[f"{label}_{AREA}"]
            assert len(column) - column.null_count == there[number] * count
        lost.update({name: there[number] * count for name, count in site.losses().items()})
    for name, count in lost.items():
        warned = [each.count or 0 for each in report.warnings if each.table == name and each.what.startswith(UNMATCHED)]
        assert sum(warned) == count


@pytest.mark.slow
@settings(max_examples=examples(25, 400))
@given(
    kind=st.sampled_from(sorted(WRITERS)),
    plate=st.lists(sites(), min_size=1, max_size=3),
    extras=st.lists(st.sampled_from(EXTRAS), max_size=4),
    data=st.data(),
)
def test_all_that_a_source_holds_is_written_or_named(
    kind: str, plate: list[Site], extras: list[Extra], data: st.DataObject
) -> None:
    numbered = dict(enumerate(plate, start=1))
    there = Counter(numbered.keys())
    with TemporaryDirectory() as folder:
        source = Path(folder) / "in"
        for number, site in numbered.items():
            WRITERS[kind](source, number, site.tables(number))
        for extra in extras:
            there.update(extra(source, data))
        try:
            rows, report = convert(source, Path(folder) / "out")
        except CytobatchError as error:
            # A plate may be refused, but never for a fault of the program.
            assert error.exit_code is ExitCode.INPUT_DATA, str(error)
            return
        assert_named(source, report)
        assert_all_objects(numbered, there, rows, report)
