"""A corpus of damage: small plates of every kind of source, and changes of their files."""

import atexit
import gzip
import io
import pickle
import random
import shutil
import sqlite3
import zipfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import numpy.lib.format as npy
import pyarrow as pa

from tests.support.plates import (
    Tables,
    cytominer_tables,
    incarta_table,
    npz_members,
    per_tables,
    site_tables,
    with_column,
    write_combined,
    write_incarta,
    write_npz,
    write_site,
    write_sqlite,
)

Damage = Callable[[Path], None]
Rows = list[list[str]]

EXPORTS = 4
BAD = 3
"""The number of the export that is damaged, among 1 to 4."""
OBJECTS = 5


def counted_tables(number: int, objects: int = OBJECTS) -> Tables:
    """Return a site of plate `P<number>` whose image table counts every compartment, as CellProfiler's does."""
    tables = site_tables(objects, offset=1000.0 * number, plate=f"P{number}")
    tables["Image"] = with_column(tables["Image"], "Metadata_Site", pa.array([number])).append_column(
        "Count_Cytoplasm", pa.array([float(objects)])
    )
    return tables


@dataclass(frozen=True)
class Plate:
    """A kind of source: the function that writes a plate of it, and the files of the export to damage."""

    write: Callable[[Path], None]
    files: tuple[str, ...]
    owner: str
    """The profile column that distinguishes exports."""
    owned: object
    """Its value for the export to damage."""
    by_file: bool = True
    """Whether each file is an export."""


def _write_sites(root: Path) -> None:
    for number in range(1, EXPORTS + 1):
        write_site(root / f"P1-A01-{number}", counted_tables(number))


def _write_combined(root: Path) -> None:
    for number in range(1, EXPORTS + 1):
        write_combined(root / f"P1-A01-{number}", counted_tables(number))


def _write_per(root: Path) -> None:
    for number in range(1, EXPORTS + 1):
        write_sqlite(root / f"P{number}.sqlite", per_tables(counted_tables(number)))


def _write_cytominer(root: Path) -> None:
    for number in range(1, EXPORTS + 1):
        write_sqlite(root / f"P{number}.sqlite", cytominer_tables(counted_tables(number), number))


def _write_incarta(root: Path) -> None:
    for number in range(1, EXPORTS + 1):
        table = incarta_table()
        area = pa.array([1000.0 * number + row for row in range(table.num_rows)])
        table = with_column(table, "Plate ID", pa.array([f"P{number}"] * table.num_rows))
        path = write_incarta(root / f"Day{number}.csv", with_column(table, "Primary Target Area wv1", area))
        path.write_bytes(path.read_bytes().replace(b'"', b""))


def _write_npz(root: Path) -> None:
    for number in range(1, EXPORTS + 1):
        members = npz_members(OBJECTS, Metadata_Site=number)
        members["features"] += np.float32(1000 * number)
        write_npz(root / "P1" / f"A01_{number}.npz", members)


_SITE = f"P1-A01-{BAD}"
CSV = Plate(
    _write_sites,
    tuple(f"{_SITE}/{name}.csv" for name in ("Cells", "Cytoplasm", "Image", "Nuclei")),
    "Metadata_Site",
    BAD,
    False,
)
COMBINED = Plate(_write_combined, (f"{_SITE}/image.csv", f"{_SITE}/object.csv"), "Metadata_Site", BAD, False)
PER = Plate(_write_per, (f"P{BAD}.sqlite",), "Metadata_Plate", f"P{BAD}")
CYTOMINER = Plate(_write_cytominer, (f"P{BAD}.sqlite",), "Metadata_Plate", f"P{BAD}")
IN_CARTA = Plate(_write_incarta, (f"Day{BAD}.csv",), "Metadata_Plate", f"P{BAD}")
NPZ = Plate(_write_npz, (f"P1/A01_{BAD}.npz",), "Metadata_Site", BAD)


@cache
def _template(plate: Plate) -> Path:
    folder = Path(mkdtemp())
    atexit.register(shutil.rmtree, folder)
    plate.write(folder)
    return folder


def written(plate: Plate, folder: Path) -> Path:
    """Copy a plate of this kind into the folder, because databases take long to write. Return the copy."""
    return Path(shutil.copytree(_template(plate), folder / "in"))


# Bytes of any file


def empty_file(path: Path) -> None:
    path.write_bytes(b"")


def missing_file(path: Path) -> None:
    path.unlink()


def folder_in_its_place(path: Path) -> None:
    path.unlink()
    path.mkdir()


def gzipped(path: Path) -> None:
    path.write_bytes(gzip.compress(path.read_bytes(), mtime=0))


def cut(at: float) -> Damage:
    """Truncate a file at a fraction of its bytes."""

    def damage(path: Path) -> None:
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * at)])

    return damage


def drop_bytes(count: int) -> Damage:
    def damage(path: Path) -> None:
        path.write_bytes(path.read_bytes()[:-count])

    return damage


def replaced(old: bytes, new: bytes, count: int = -1) -> Damage:
    def damage(path: Path) -> None:
        content = path.read_bytes()
        assert old in content
        path.write_bytes(content.replace(old, new, count))

    return damage


def overwritten(start: int, new: bytes) -> Damage:
    def damage(path: Path) -> None:
        content = bytearray(path.read_bytes())
        content[start : start + len(new)] = new
        path.write_bytes(content)

    return damage


def doubled(path: Path) -> None:
    path.write_bytes(path.read_bytes() * 2)


def flipped(seed: int, count: int = 64, first: int = 0) -> Damage:
    """Flip a bit in each of `count` bytes."""

    def damage(path: Path) -> None:
        content = bytearray(path.read_bytes())
        dice = random.Random(seed)
        for _ in range(count):
            content[dice.randrange(first, len(content))] ^= 1 << dice.randrange(8)
        path.write_bytes(content)

    return damage


def renamed(name: str) -> Damage:
    def damage(path: Path) -> None:
        path.rename(path.with_name(name))

    return damage


def copied_from(other: Callable[[Path], Path]) -> Damage:
    """Overwrite a file with another one of the plate."""

    def damage(path: Path) -> None:
        shutil.copyfile(other(path), path)

    return damage


# Lines and values of CSV


def in_order(*damages: Damage) -> Damage:
    """Do several damages, one after the other."""

    def damage(path: Path) -> None:
        for each in damages:
            each(path)

    return damage


def lines_changed(change: Callable[[list[bytes]], Iterable[bytes]]) -> Damage:
    def damage(path: Path) -> None:
        path.write_bytes(b"".join(change(path.read_bytes().splitlines(keepends=True))))

    return damage


def fields_changed(change: Callable[[Rows], Rows]) -> Damage:
    """Change the fields of plain CSV, header first. Fields are written without further quoting."""

    def damage(path: Path) -> None:
        rows = change([line.split(",") for line in path.read_text().splitlines()])
        path.write_bytes("".join(",".join(row) + "\n" for row in rows).encode("utf-8", "surrogateescape"))

    return damage


def value(column: str, text: str, row: int = 2, header: int = 0) -> Damage:
    """Write text, without quoting, into a column of one row below the header."""

    def change(rows: Rows) -> Rows:
        rows[header + row][rows[header].index(column)] = text
        return rows

    return fields_changed(change)


def column(name: str, text: str) -> Damage:
    """Write text into a column of every row."""

    def change(rows: Rows) -> Rows:
        place = rows[0].index(name)
        return [rows[0], *([*row[:place], text, *row[place + 1 :]] for row in rows[1:])]

    return fields_changed(change)


def header_renamed(old: str, new: str) -> Damage:
    return fields_changed(lambda rows: [[new if name == old else name for name in rows[0]], *rows[1:]])


def without_column(name: str) -> Damage:
    def change(rows: Rows) -> Rows:
        place = rows[0].index(name)
        return [row[:place] + row[place + 1 :] for row in rows]

    return fields_changed(change)


def with_extra_column(name: str, text: str) -> Damage:
    return fields_changed(lambda rows: [[*rows[0], name], *([*row, text] for row in rows[1:])])


def quoted(row: Sequence[str]) -> list[str]:
    return [f'"{field}"' for field in row]


header_only = lines_changed(lambda lines: lines[:1])
header_in_the_middle = lines_changed(lambda lines: [*lines[:3], lines[0], *lines[3:]])
no_header = lines_changed(lambda lines: lines[1:])
blank_lines_at_the_end = lines_changed(lambda lines: [*lines, b"\n", b"\n"])
blank_line_in_the_middle = lines_changed(lambda lines: [*lines[:3], b"\n", *lines[3:]])
blank_line_first = lines_changed(lambda lines: [b"\n", *lines])
last_line_lost = lines_changed(lambda lines: lines[:-1])
middle_line_lost = lines_changed(lambda lines: [*lines[:2], *lines[3:]])
line_doubled = lines_changed(lambda lines: [*lines[:3], *lines[2:]])
rows_doubled = lines_changed(lambda lines: [*lines, *lines[1:]])
lines_reversed = lines_changed(lambda lines: [lines[0], *reversed(lines[1:])])
short_row = fields_changed(lambda rows: [*rows[:2], rows[2][:-1], *rows[3:]])
long_row = fields_changed(lambda rows: [*rows[:2], [*rows[2], "7"], *rows[3:]])
last_row_short = fields_changed(lambda rows: [*rows[:-1], rows[-1][:-1]])
trailing_commas = fields_changed(lambda rows: [rows[0], *([*row, ""] for row in rows[1:])])
no_newline_at_the_end = drop_bytes(1)
bom = lines_changed(lambda lines: [b"\xef\xbb\xbf", *lines])
crlf = lines_changed(lambda lines: [line.replace(b"\n", b"\r\n") for line in lines])
cr = lines_changed(lambda lines: [line.replace(b"\n", b"\r") for line in lines])
semicolons = replaced(b",", b";")
tabs = replaced(b",", b"\t")
quoted_everywhere = fields_changed(lambda rows: [quoted(row) for row in rows])
quoted_header = fields_changed(lambda rows: [quoted(rows[0]), *rows[1:]])
quoted_values = fields_changed(lambda rows: [rows[0], *map(quoted, rows[1:])])
blanks_after_commas = replaced(b",", b", ")


def utf16(path: Path) -> None:
    path.write_text(path.read_text(), encoding="utf-16")


def double_column(name: str) -> Damage:
    def change(rows: Rows) -> Rows:
        place = rows[0].index(name)
        return [[*row, row[place]] for row in rows]

    return fields_changed(change)


def column_twice_differently(name: str) -> Damage:
    """Write a column twice, the second time with another value in the last row."""

    def change(rows: Rows) -> Rows:
        place = rows[0].index(name)
        return [*([*row, row[place]] for row in rows[:-1]), [*rows[-1], "99"]]

    return fields_changed(change)


def no_objects(path: Path) -> None:
    """Replace a site by a valid one without objects."""
    write_site(path.parent, counted_tables(BAD, 0))


# SQLite


def sql(*statements: str) -> Damage:
    """Run SQL in which `CELLS` is the file's table of cells, and `AREA` its measurement."""

    def damage(path: Path) -> None:
        with closing(sqlite3.connect(path)) as connection:
            names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
            prefix = "Per_" if "Per_Cells" in names else ""
            for statement in statements:
                text = statement
                for table in ("Cells", "Cytoplasm", "Nuclei", "Image"):
                    text = text.replace(table.upper(), prefix + table)
                number = "Cells_Number_Object_Number" if prefix else "ObjectNumber"
                connection.execute(text.replace("AREA", "Cells_AreaShape_Area").replace("NUMBER", number))
            connection.commit()

    return damage


def wal_left_behind(path: Path) -> None:
    """Leave the last change in the write-ahead log only, as a killed writer does."""
    copy = path.with_name("copy")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("UPDATE Cells SET Cells_AreaShape_Area = 7 WHERE ObjectNumber = 2")
        connection.commit()
        shutil.copyfile(path, copy)
        shutil.copyfile(f"{path}-wal", f"{copy}-wal")
    copy.rename(path)
    Path(f"{copy}-wal").rename(f"{path}-wal")


def foreign_wal(path: Path) -> None:
    Path(f"{path}-wal").write_bytes(b"no write-ahead log" * 100)


# NPZ


def members_changed(change: Callable[[dict[str, Any]], object]) -> Damage:
    """Change a file's arrays by name."""

    def damage(path: Path) -> None:
        with np.load(path, allow_pickle=True) as archive:
            members = {name: archive[name] for name in archive.files}
        change(members)
        write_npz(path, members)

    return damage


def member(name: str, change: Callable[[np.ndarray], object]) -> Damage:
    return members_changed(lambda members: members.update({name: change(members[name])}))


def without_member(name: str) -> Damage:
    return members_changed(lambda members: members.pop(name))


def raw_member(name: str, data: Callable[[bytes], bytes]) -> Damage:
    """Change the bytes of a member, and its checksum."""

    def damage(path: Path) -> None:
        with zipfile.ZipFile(path) as archive:
            members = {info.filename: archive.read(info) for info in archive.infolist()}
        members[f"{name}.npy"] = data(members[f"{name}.npy"])
        with zipfile.ZipFile(path, "w") as archive:
            for each, content in members.items():
                archive.writestr(each, content)

    return damage


def metadata_of(content: object) -> Damage:
    return members_changed(lambda members: members.update(metadata=np.array(content, dtype=object)))


class _Hostile:
    def __reduce__(self) -> tuple[Any, ...]:
        return (print, ("a hostile pickle was run",))


def hostile_pickle(path: Path) -> None:
    header = io.BytesIO()
    npy.write_array_header_1_0(header, {"descr": "|O", "fortran_order": False, "shape": ()})
    raw_member("metadata", lambda _: header.getvalue() + pickle.dumps(_Hostile()))(path)


def text_column(table: str, name: str) -> Damage:
    """Declare a column as text, and keep its values."""
    return sql(
        f"ALTER TABLE {table} ADD x TEXT",
        f"UPDATE {table} SET x = {name}",
        f"ALTER TABLE {table} DROP COLUMN {name}",
        f"ALTER TABLE {table} RENAME x TO {name}",
    )


def everywhere(statement: str) -> Damage:
    """Run SQL for each table, which is `THIS` in it."""
    return sql(*(statement.replace("THIS", table) for table in ("CELLS", "CYTOPLASM", "NUCLEI", "IMAGE")))


# Damage to bytes: content, start, length and a bit

Span = Callable[[bytes, int, int, int], bytes]


def cut_here(content: bytes, start: int, _length: int, _bit: int) -> bytes:
    return content[:start]


def flip(content: bytes, start: int, _length: int, bit: int) -> bytes:
    return content[:start] + bytes([content[start] ^ 1 << bit]) + content[start + 1 :]


def delete_span(content: bytes, start: int, length: int, _bit: int) -> bytes:
    return content[:start] + content[start + length :]


def double_span(content: bytes, start: int, length: int, _bit: int) -> bytes:
    return content[: start + length] + content[start:]


def zero_span(content: bytes, start: int, length: int, _bit: int) -> bytes:
    span = content[start : start + length]
    return content[:start] + bytes(len(span)) + content[start + length :]


SPANS: tuple[Span, ...] = (cut_here, flip, delete_span, double_span, zero_span)
