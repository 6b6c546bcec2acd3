"""SQLite files of CellProfiler, of cytominer-database and of importers of CSV: names, declarations, sets, numbers."""

import shutil
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.support.cases import (
    AREA,
    CELLS,
    COMPARTMENTS,
    CYTOPLASM,
    IMAGE,
    Case,
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
    site,
    without,
)

RIGHT = expected(1, 2)
TWO = joined(site(1), site(2, image=2))
_INTEGERS = ("ImageNumber", "ObjectNumber", "Number", "Parent", "Count", "Site", "Timepoint", "index", "TrackObjects")
Declare = Callable[[str], str]
"""Returns the declared type of a column."""


def usual(name: str) -> str:
    """Return the type that ExportToDatabase declares."""
    short = name.rpartition("_")[2] if name.startswith("Metadata") else name
    if any(part in name for part in _INTEGERS) or short in _INTEGERS:
        return "INTEGER"
    return "FLOAT" if AREA in name else "TEXT"


def declared(kind: str, *, keys: str | None = None) -> Declare:
    """Return a declaration of areas as `kind`, and of keys as `keys` if it is given."""

    def declare(name: str) -> str:
        if AREA in name:
            return kind
        return keys if keys is not None and usual(name) == "INTEGER" else usual(name)

    return declare


def exported(tables: Tables, prefix: str = "Per_") -> Tables:
    """Return tables under the names of ExportToDatabase."""
    result = {}
    for table, (header, *rows) in tables.items():
        renames = {"ImageNumber": "ImageNumber", "ObjectNumber": f"{table}_Number_Object_Number"}
        result[f"{prefix}{table}"] = [[renames.get(name, f"{table}_{name}") for name in header], *rows]
    return result


def collected(*tables: tuple[str, Tables]) -> Tables:
    """Return tables under the names of cytominer-database, with a TableNumber for each group of sites."""
    result: Tables = {}
    for number, group in tables:
        for table, (header, *rows) in group.items():
            keys = ("ImageNumber", "ObjectNumber")
            names = ["TableNumber", *(name if name in keys else f"{table}_{name}" for name in header)]
            result.setdefault(table, [names]).extend([number, *row] for row in rows)
    return result


def database(
    tables: Tables, declare: Declare = usual, *statements: str, values: Mapping[str, object] | None = None
) -> bytes:
    """Return a database of the tables, after some more statements; `values` replace texts."""
    with closing(sqlite3.connect(":memory:")) as connection:
        fill(connection, tables, declare, values or {})
        for statement in statements:
            connection.execute(statement)
        connection.commit()
        return connection.serialize()


def fill(connection: sqlite3.Connection, tables: Tables, declare: Declare, values: Mapping[str, object]) -> None:
    for table, (header, *rows) in tables.items():
        columns = ", ".join(f'"{name}" {declare(name)}' for name in header)
        connection.execute(f'CREATE TABLE "{table}" ({columns})')
        places = ", ".join("?" * len(header))
        lines = [[values.get(value, value) for value in row] for row in rows]
        connection.executemany(f'INSERT INTO "{table}" VALUES ({places})', lines)


def file(content: bytes, name: str = "P1.sqlite") -> Files:
    return {f"in/{name}": content}


PER = exported(TWO)
MY = exported(TWO, "MyExpt_Per_")
NAMES = params(
    Case("base_db", file(database(PER)), RIGHT),
    Case("db_prefix", file(database(MY), "DefaultDB.db"), RIGHT),
    Case("db_uppercase_suffix", file(database(PER), "P1.DB"), RIGHT),
    Case("db_no_suffix_known", file(database(PER), "P1.sqlitedb"), error="tables in .sqlite files"),
    Case(
        "db_and_properties",
        file(database(MY), "DefaultDB.db")
        | {
            f"in/{name}": b"db_type = sqlite\n"
            for name in ("DefaultDB.properties", "DefaultDB.workspace", "training.txt")
        },
        RIGHT,
    ),
    Case("db_and_csv_together", file(database(PER), "DefaultDB.db") | csv(TWO), error="ambiguous layout"),
    Case(
        "db_several_parts",
        file(database(exported(site(1))), "DefaultDB_1_1.db")
        | file(database(exported(site(2, image=2))), "DefaultDB_2_2.db"),
        RIGHT,
    ),
    Case(
        "db_batch_parts_repeat_images",
        file(database(exported(site(1))), "plate1_A01.db") | file(database(exported(site(2))), "plate1_A02.db"),
        RIGHT,
    ),
    Case(
        "db_mysql_csv_no_header",
        {"in/SQL_1_2_Image.CSV": b"1,3,a.tif\n", "in/SQL_1_2_Object.CSV": b"1,1,2.5\n"},
        error="header.*MySQL|MySQL.*header",
    ),
)


@pytest.mark.parametrize("case", NAMES)
def test_a_database_is_read_under_its_usual_names(tmp_path: Path, case: Case) -> None:
    check(case, tmp_path)


DOUBLE = {f"Cells_{AREA}": "double"}
REPAIRED = ("numbers in text",)


def by_select() -> bytes:
    """Return tables made by CREATE TABLE AS SELECT from computed columns, which have no type."""
    statements = []
    for table, (header, *_) in PER.items():
        names = ", ".join(f'"{name}" + 0 AS "{name}"' if AREA in name else f'"{name}"' for name in header)
        statements += [
            f"CREATE TABLE c AS SELECT {names} FROM {table}",
            f"DROP TABLE {table}",
            f"ALTER TABLE c RENAME TO {table}",
        ]
    return database(PER, usual, *statements)


def indexed(rows: Rows) -> Rows:
    return [["index", *rows[0]], *([str(number), *row] for number, row in enumerate(rows[1:]))]


def areas_of_cells(*values: str) -> Tables:
    return exported(changed(CELLS, column(AREA, *values, *("0.5",) * 6))(TWO))


DECLARATIONS = params(
    *(
        Case(f"db_decl_{name}", file(database(PER, declared(kind))), RIGHT, types=DOUBLE, reported=reported)
        for name, kind, reported in (
            ("real", "REAL", ()),
            ("float8", "FLOAT8", ()),
            ("double_precision", "DOUBLE PRECISION", ()),
            ("numeric", "NUMERIC", ()),
            ("decimal", "DECIMAL(10,5)", ()),
            ("integer", "INTEGER", ()),
            ("text", "TEXT", REPAIRED),
            ("varchar", "VARCHAR(255)", REPAIRED),
            ("longtext", "longtext", REPAIRED),
        )
    ),
    *(
        Case(
            f"db_decl_{name}",
            file(
                database(
                    PER, declared(kind), *(f"UPDATE Per_{t} SET {t}_{AREA} = {t}_{AREA} + 0" for t in COMPARTMENTS)
                )
            ),
            RIGHT,
            types=DOUBLE,
        )
        for name, kind in (("none", ""), ("mediumblob", "MEDIUMBLOB"))
    ),
    Case("db_create_table_as", file(by_select()), RIGHT, types=DOUBLE),
    Case(
        "db_browser_all_text",
        file(database(PER, lambda _: "TEXT"), "P1.db"),
        RIGHT,
        types=DOUBLE | {"Metadata_ImageNumber": "int64"},
        reported=REPAIRED,
    ),
    Case("db_text_keys_only", file(database(PER, declared("FLOAT", keys="TEXT"))), RIGHT),
    Case(
        "db_one_text_column",
        file(database(PER, lambda name: "TEXT" if name == f"Cells_{AREA}" else usual(name))),
        RIGHT,
        types=DOUBLE,
        reported=REPAIRED,
    ),
    Case(
        "db_empty_string_null",
        file(database(areas_of_cells("", "", "1013.5"), declared("REAL"))),
        [row | {f"Cells_{AREA}": (None, None, 1013.5, 0.5, 0.5, 0.5)[number]} for number, row in enumerate(RIGHT)],
    ),
    Case(
        "db_pandas_index",
        file(
            database(
                {table: indexed(rows) for table, rows in PER.items()},
                lambda name: usual(name).replace("INTEGER", "BIGINT"),
            )
        ),
        RIGHT,
        warned=("index",),
        absent="(Cells|Nuclei|Cytoplasm)_index",
    ),
)


@pytest.mark.slow
@pytest.mark.parametrize("case", DECLARATIONS)
def test_a_measurement_is_a_number_however_it_is_declared(tmp_path: Path, case: Case) -> None:
    check(case, tmp_path)


def single_object_table(prefix: str, image: Tables) -> Tables:
    """Return the image table, and all compartments in one table, side by side."""
    tables = exported({IMAGE: image[IMAGE]}, prefix)
    head = ["ImageNumber", "ObjectNumber"]
    lines = [row[:2] for row in image[CELLS][1:]]
    for table in COMPARTMENTS:
        header, *rows = image[table]
        head += [f"{table}_Number_Object_Number", *(f"{table}_{name}" for name in header[2:])]
        lines = [[*line, row[1], *row[2:]] for line, row in zip(lines, rows, strict=True)]
    return {**tables, f"{prefix}Object": [head, *lines]}


def wrong_areas(tables: Tables) -> Tables:
    return {
        table: column(f"{table}_{AREA}", "-1.0")(rows) if table in COMPARTMENTS else rows
        for table, rows in tables.items()
    }


EXTRAS = (
    "CREATE TABLE Experiment (experiment_id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT)",
    "CREATE TABLE Experiment_Properties (experiment_id INTEGER, object_name TEXT, field TEXT, value TEXT)",
    "CREATE TABLE Per_Experiment (Experiment_CellProfiler_Version TEXT, Experiment_Pipeline TEXT)",
    "INSERT INTO Per_Experiment VALUES ('4.2', 'x')",
    "CREATE TABLE Per_RelationshipTypes (relationship_type_id INTEGER PRIMARY KEY, relationship TEXT)",
    "CREATE TABLE Per_Relationships (relationship_type_id INTEGER, image_number1 INTEGER, object_number1 INTEGER)",
    "INSERT INTO Per_Relationships VALUES (1, 1, 1)",
    "CREATE VIEW Per_RelationshipsView AS "
    "SELECT * FROM Per_Relationships JOIN Per_RelationshipTypes USING (relationship_type_id)",
    "CREATE TABLE Per_Well (Image_Metadata_Plate TEXT, Image_Metadata_Well TEXT, Cells_AreaShape_Area FLOAT)",
)
PLAIN = exported({name: TWO[name] for name in (IMAGE, *COMPARTMENTS)}, "")

SETS = params(
    Case(
        "db_two_prefixes",
        file(database(exported(site(1), "RunA_Per_") | exported(site(2, image=3), "RunB_Per_")), "DefaultDB.db"),
        RIGHT,
    ),
    Case(
        "db_plain_and_per_tables",
        file(database(PER | wrong_areas(PLAIN))),
        error="two sets of tables hold the same image sets.*Cells.*--table-prefix",
    ),
    Case("db_extras", file(database(PER, usual, *EXTRAS)), RIGHT, reported=("Per_RelationshipsView",)),
    Case(
        "db_view_for_one_compartment",
        file(
            database(
                PER, usual, "ALTER TABLE Per_Nuclei RENAME TO n_all", "CREATE VIEW Per_Nuclei AS SELECT * FROM n_all"
            )
        ),
        RIGHT,
        reported=("read through the view Per_Nuclei",),
    ),
    Case(
        "db_tables_and_object_view",
        file(
            database(PER, usual, "CREATE VIEW Per_Object AS SELECT * FROM Per_Image JOIN Per_Cells USING (ImageNumber)")
        ),
        RIGHT,
        reported=("Per_Object",),
    ),
    Case(
        "db_tables_and_object_table",
        file(database(exported(TWO, "analysis_Per_") | single_object_table("analysis_Per_", TWO))),
        RIGHT,
        reported=("analysis_Per_Object",),
        absent="Object_.*",
    ),
    Case("db_single_object_table", file(database(single_object_table("MyExpt_Per_", TWO))), RIGHT),
)


@pytest.mark.parametrize("case", SETS)
def test_every_set_of_tables_is_read_or_refused_and_others_are_named(tmp_path: Path, case: Case) -> None:
    check(case, tmp_path)


def numbered(first: object, second: object, kind: str) -> bytes:
    """Return a database of two sites that both have image number 1, and a TableNumber each."""
    return database(
        collected(("first", site(1)), ("second", site(2))),
        lambda name: kind if name == "TableNumber" else usual(name),
        values={"first": first, "second": second},
    )


def several_images() -> bytes:
    """Return a database in which each TableNumber has the image numbers 1 and 2."""
    return database(
        collected(("1", joined(site(1), site(2, image=2))), ("2", joined(site(3), site(4, image=2)))), usual
    )


TABLE_NUMBERS = params(
    Case("db_source2_style", file(database(collected(("7", TWO)))), RIGHT),
    Case("db_source3_style", file(several_images()), expected(1, 2, 3, 4)),
    Case(
        "db_tablenumber_hex",
        file(numbered("ff1aa53f9cc7109f53e8c6317251aa8c", "ff1aa53f9cc7109f53e8c6317251aa8d", "TEXT")),
        RIGHT,
    ),
    Case("db_tablenumber_digits_hex", file(numbered("00000000000000000000000000001e10", "10000000000", "TEXT")), RIGHT),
    Case("db_tablenumber_bigint", file(numbered(2**53 + 1, 2**53, "BIGINT")), RIGHT),
    Case("db_tablenumber_uint64_float", file(numbered(1.5e19, 1.6e19, "BIGINT")), error="TableNumber"),
)


@pytest.mark.parametrize("case", TABLE_NUMBERS)
def test_table_numbers_of_any_kind_tell_exports_apart(tmp_path: Path, case: Case) -> None:
    check(case, tmp_path)


def damaged() -> bytes:
    content = bytearray(database(PER))
    content[4096:12288] = b"\xa5" * 8192
    return bytes(content)


def header_as_row(tables: Tables) -> Tables:
    return {table: [rows[0], *rows] for table, rows in tables.items()}


def logged(*, with_log: bool) -> Files:
    """Return a database whose last row is in the write-ahead log alone, with or without the content of that log."""
    more = ["2", "4", str(area(CYTOPLASM, 2, 4)), "3", "3"]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "P1.sqlite"
        with closing(sqlite3.connect(path)) as connection:
            fill(connection, PER, usual, {})
            connection.commit()
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA wal_autocheckpoint = 0")
            connection.execute(f"INSERT INTO Per_Cytoplasm VALUES ({', '.join('?' * len(more))})", more)
            connection.commit()
            copies = {
                name: Path(shutil.copyfile(Path(folder) / name, Path(folder) / f"copy of {name}"))
                for name in ("P1.sqlite", "P1.sqlite-wal")
            }
        log = copies["P1.sqlite-wal"].read_bytes() if with_log else b""
        return {"in/P1.sqlite": copies["P1.sqlite"].read_bytes(), "in/P1.sqlite-wal": log}


IN_LOG = [*RIGHT, RIGHT[-1] | {f"Cytoplasm_{AREA}": area(CYTOPLASM, 2, 4)}]
THUMBNAIL = "ALTER TABLE Per_Image ADD COLUMN Image_Thumbnail_DNA LONGBLOB"
DRAWN = "UPDATE Per_Image SET Image_Thumbnail_DNA = x'89504e470d0a0001'"
NO_NAMES = changed(IMAGE, dropped("Metadata_Plate", "Metadata_Well", "Metadata_Site"))
TIMES = changed(IMAGE, column("Metadata_Timepoint", "10", "20"), column("Metadata_Site", "1"))
EMPTY_IMAGE = "INSERT INTO Per_Image SELECT 3, 0, 0, 0, 'c.tif', 'P1', 'A01', 3"
NULL_ROWS = tuple(f"INSERT INTO {table} DEFAULT VALUES" for table in PER)

CONTENTS = params(
    Case("db_zero_bytes", file(b""), error="empty file"),
    Case("db_malformed", file(damaged()), error="sqlite|malformed|cannot be read"),
    Case("db_header_as_row", file(database(header_as_row(PER))), error="ImageNumber"),
    Case("db_null_imagenumber_row", file(database(PER, usual, *NULL_ROWS)), error="without"),
    Case("db_null_rows_for_empty_image", file(database(PER, usual, EMPTY_IMAGE)), RIGHT),
    Case("db_wal", logged(with_log=True), IN_LOG, warned=("does not count.*cytoplasm|cells",)),
    Case("db_wal_missing", logged(with_log=False), RIGHT),
    Case("db_thumbnails", file(database(PER, usual, THUMBNAIL, DRAWN)), RIGHT, absent=".*Thumbnail.*"),
    Case(
        "db_thumbnails_all_image_columns",
        file(database(PER, usual, THUMBNAIL, DRAWN)),
        RIGHT,
        {"image_columns": "Image_.*"},
    ),
    Case(
        "db_timelapse_metadata",
        file(database(exported(TIMES(TWO)))),
        [row | {"Metadata_Site": 1, "Metadata_Timepoint": 10 * int(str(row["Metadata_Site"]))} for row in RIGHT],
    ),
    Case(
        "db_cp_missing_metadata",
        file(database(exported(NO_NAMES(TWO)))),
        without(RIGHT, "Metadata_Plate", "Metadata_Well", "Metadata_Site"),
        absent="Metadata_(Plate|Well|Site)",
    ),
)


@pytest.mark.slow
@pytest.mark.parametrize("case", CONTENTS)
def test_contents_of_a_database_are_whole_or_refused(tmp_path: Path, case: Case) -> None:
    check(case, tmp_path)
