"""Small plates of twelve kinds, and damage of any sort to one of their files, the same for the same seed.

What a conversion of a damaged plate may do is to fail with a message and a documented exit code, or to convert what a
second, naive reader finds in the files.
"""

import gzip
import random
import shutil
import signal
import sqlite3
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import numpy as np

from cytobatch.errors import CytobatchError, ExitCode
from tests.support.cases import assert_verified
from tests.support.layouts import LAYOUTS
from tests.support.plates import (
    convert,
    cytominer_tables,
    incarta_table,
    npz_members,
    per_tables,
    site_tables,
    write_incarta,
    write_npz,
    write_sites,
    write_sqlite,
)

SECONDS = 30
"""The longest that a conversion may take."""
_TEXTS = (
    *("", "nan", "NaN", "inf", "-inf", "1e400", "-1", "0", "1.5", "1,5", "1,234", "0x10", "1_000", " 7 ", "+3", "1e3"),
    *('"', '""', 'a"b', "'", ";", "\t", "a\nb", "\r", "\0", "\ufeff", "é", "x" * 300, "9223372036854775808", "-0.0"),
    *("2147483648", "1e-320", "0.1", "None", "NA", "#DIV/0!", "=1+1", "../x", "ImageNumber", "A01", "Z99", "P1"),
)
_BYTES = b"\0\n\r\",;\xff\xfe\x80 \t0123456789-.eE'\\"
_NO_ARCHIVE = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    IndexError,
    OSError,
    NotImplementedError,
    struct.error,
    ValueError,
    RuntimeError,
)
Write = Callable[[Path], object]


class HangError(Exception):
    """A conversion has taken longer than `SECONDS`."""


@contextmanager
def bounded_time() -> Iterator[None]:
    """Raise HangError in the block after `SECONDS`."""

    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise HangError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _encoded(encode: Callable[[bytes], bytes], suffix: str = "") -> Write:
    def write(root: Path) -> None:
        for path in sorted(write_sites(root, 2).rglob("*.csv")):
            content = encode(path.read_bytes())
            path.unlink()
            path.with_name(path.name + suffix).write_bytes(content)

    return write


def _semicolons(content: bytes) -> bytes:
    return content.replace(b",", b";").replace(b".", b",")


def _databases(root: Path) -> None:
    for number in (1, 2):
        tables = per_tables(site_tables(4, image=number, offset=100.0 * number))
        write_sqlite(root / f"P{number}.sqlite", tables)


def _cytominer(root: Path) -> None:
    exports = (cytominer_tables(site_tables(4, image=n, offset=100.0 * n), f"t{n}") for n in (1, 2))
    write_sqlite(root / "P1.sqlite", *exports)


def _text_database(root: Path) -> None:
    path = root / "P1.sqlite"
    tables = per_tables(site_tables(5))
    root.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA page_size = 512")
        for name, table in tables.items():
            connection.execute(f'CREATE TABLE "{name}" ({", ".join(f"{c} TEXT" for c in table.column_names)})')
            marks = ", ".join("?" * table.num_columns)
            rows = zip(*(column.to_pylist() for column in table.columns), strict=True)
            connection.executemany(f'INSERT INTO "{name}" VALUES ({marks})', [[str(v) for v in row] for row in rows])
        connection.commit()


def _npz(*, compressed: bool) -> Write:
    def write(root: Path) -> None:
        for site in (1, 2):
            members = npz_members(4, 3, Metadata_Site=site)
            path = root / "P1" / f"A01_{site}.npz"
            path.parent.mkdir(parents=True, exist_ok=True)
            if compressed:
                np.savez_compressed(path, **members)
            else:
                write_npz(path, members)

    return write


def _incarta(root: Path) -> None:
    root.mkdir(parents=True, exist_ok=True)
    write_incarta(root / "plate.csv", incarta_table())


KINDS: dict[str, Write] = {
    "site folders": lambda root: write_sites(root, 2),
    "one folder": lambda root: write_sites(root, 1, 6),
    "gzip": _encoded(gzip.compress, ".gz"),
    "utf-16": _encoded(lambda content: content.decode().encode("utf-16")),
    "semicolons": _encoded(_semicolons),
    "side by side": LAYOUTS["combined"],
    "ExportToDatabase": _databases,
    "cytominer-database": _cytominer,
    "numbers as text": _text_database,
    "IN Carta": _incarta,
    "NPZ": _npz(compressed=False),
    "NPZ, compressed": _npz(compressed=True),
}


def damage(path: Path, dice: random.Random) -> None:
    """Damage a file once to three times."""
    for _ in range(dice.choice((1, 1, 2, 3))):
        content = path.read_bytes()
        if path.suffix == ".sqlite" and dice.random() < 0.4:
            _damage_values(path, dice)
        elif path.suffix == ".npz" and dice.random() < 0.5:
            _damage_members(path, dice)
        elif path.suffix == ".gz" and dice.random() < 0.7:
            with suppress(*_NO_ARCHIVE):
                content = gzip.decompress(content)
            path.write_bytes(gzip.compress(_damaged_text(content, dice)))
        elif path.suffix == ".csv" and dice.random() < 0.7:
            path.write_bytes(_damaged_text(content, dice))
        else:
            path.write_bytes(_damaged_bytes(content, dice))


def _damaged_bytes(content: bytes, dice: random.Random) -> bytes:  # noqa: PLR0911  one for each sort of damage
    """Flip a bit, set bytes, cut, repeat or take away a piece, or clear a page."""
    if not content:
        return bytes(dice.choices(_BYTES, k=3))
    at, size = dice.randrange(len(content)), dice.choice((1, 1, 2, 4, 16, 512))
    before, piece, after = content[:at], content[at : at + size], content[at + size :]
    match dice.randrange(7):
        case 0:
            return before + bytes([content[at] ^ 1 << dice.randrange(8)]) + content[at + 1 :]
        case 1:
            return before + bytes(dice.choices(_BYTES, k=len(piece))) + after
        case 2:
            return before
        case 3:
            return before + piece + piece + after
        case 4:
            return before + after
        case 5:
            return before + bytes(dice.choices(_BYTES, k=size)) + content[at:]
        case _:
            return before + bytes(len(piece)) + after


def _damaged_text(content: bytes, dice: random.Random) -> bytes:
    """Change a value, or the lines, of a text table in whatever encoding it is."""
    lines = content.splitlines(keepends=True)
    if len(lines) < 2 or dice.random() < 0.15:
        return _damaged_bytes(content, dice)
    row = dice.randrange(len(lines))
    match dice.randrange(8):
        case 0:
            lines.insert(row, lines[dice.randrange(len(lines))])
        case 1:
            del lines[row]
        case 2:
            lines[row] = lines[row].rstrip(b"\r\n") + dice.choice((b"", b"\r", b"\r\n", b",\n", b"\n\n"))
        case 3:
            dice.shuffle(lines)
        case _:
            separator = b";" if content.count(b";") > content.count(b",") else b","
            values = lines[row].rstrip(b"\r\n").split(separator)
            values[dice.randrange(len(values))] = dice.choice(_TEXTS).encode()
            lines[row] = separator.join(values) + b"\n"
    return b"".join(lines)


def _damage_values(path: Path, dice: random.Random) -> None:
    """Change values, rows or declarations of a database by SQL."""
    with suppress(sqlite3.Error, UnicodeError, IndexError), closing(sqlite3.connect(path)) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        table = dice.choice(tables)
        column = dice.choice([name for _, name, *_ in connection.execute(f'PRAGMA table_info("{table}")')])
        value = dice.choice((*_TEXTS, None, 7, -1, 0.5, 2**62, 1e300, b"\xff\0", b"7", 9e999))
        match dice.randrange(6):
            case 0:
                connection.execute(f'DELETE FROM "{table}" WHERE rowid = ?', (dice.randrange(5),))
            case 1:
                connection.execute(f'INSERT INTO "{table}" SELECT * FROM "{table}" LIMIT 1')
            case 2:
                connection.execute(f'ALTER TABLE "{table}" RENAME COLUMN "{column}" TO "{dice.choice(_TEXTS)}"')
            case 3:
                connection.execute(f'ALTER TABLE "{table}" ADD COLUMN "Extra {dice.randrange(9)}" DEFAULT 1')
            case _:
                where = "" if dice.random() < 0.3 else f"WHERE rowid = {dice.randrange(1, 5)}"
                connection.execute(f'UPDATE "{table}" SET "{column}" = ? {where}', (value,))
        connection.commit()


def _damage_members(path: Path, dice: random.Random) -> None:
    """Damage the content of a member, with a checksum that fits."""
    with suppress(*_NO_ARCHIVE):
        with zipfile.ZipFile(path) as archive:
            members = {info.filename: archive.read(info) for info in archive.infolist()}
        name = dice.choice(list(members))
        members[name] = _damaged_bytes(members[name], dice)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for each, content in members.items():
                archive.writestr(each, content)


@dataclass(frozen=True)
class Fuzzer:
    """Plates of all kinds below a folder, each written once and copied for each example."""

    root: Path

    def source(self, kind: str) -> Path:
        """Return the folder of an undamaged plate."""
        folder = self.root / kind.replace(" ", "_")
        if not folder.exists():
            KINDS[kind](folder)
        return folder

    @contextmanager
    def damaged(self, seed: int) -> Iterator[tuple[str, Path, Path]]:
        """Yield a kind, the folder of a damaged plate of it, and the damaged file, by the seed alone."""
        dice = random.Random(seed)
        kind = list(KINDS)[seed % len(KINDS)]
        with tempfile.TemporaryDirectory(dir=self.root) as folder:
            source = Path(shutil.copytree(self.source(kind), Path(folder) / "in"))
            path = dice.choice(sorted(each for each in source.rglob("*") if each.is_file()))
            damage(path, dice)
            yield kind, source, path

    def fault(self, seed: int) -> str | None:
        """Convert a damaged plate, and return what is wrong with the outcome; None if it is right."""
        with self.damaged(seed) as (kind, source, path), bounded_time():
            try:
                table, report = convert(source, source.parent / "out", workers=1, max_failed_exports=seed % 3)
                assert table.num_rows == report.counts.rows
                assert_verified(source, report)
            except CytobatchError as error:
                known = error.exit_code in (ExitCode.CONFIGURATION, ExitCode.INPUT_DATA)
                return None if known else f"seed {seed}, {kind}, {path.name}: {type(error).__name__}: {error}"
            except Exception as error:  # noqa: BLE001  all that is no error of the program is a fault
                return f"seed {seed}, {kind}, {path.name}: {type(error).__name__}: {str(error)[:300]}"
        return None
