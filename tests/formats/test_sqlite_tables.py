"""SQLite files as labs have them: sets of tables, views, columns without declared numbers, the single object table."""

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cytobatch.config.option_types import SqliteReader
from cytobatch.errors import InputDataError, LayoutError
from cytobatch.formats.cellprofiler_sqlite.names import fits_prefix, table_names
from cytobatch.report.model import Outcome, RunReport
from tests.formats.conftest import ProfileOf
from tests.support.examples import examples
from tests.support.plates import Tables, convert, cytominer_tables, per_tables, site_tables, with_column, write_sqlite

pytestmark = pytest.mark.slow

AREAS = ["Cells_AreaShape_Area", "Cytoplasm_AreaShape_Area", "Nuclei_AreaShape_Area"]
READERS = [reader.value for reader in SqliteReader]
PREFIXES = st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1, max_size=8)


def prefixed(tables: Tables, prefix: str) -> Tables:
    return {f"{prefix}{name}": table for name, table in tables.items()}


def without_per(tables: Tables) -> Tables:
    return {name.removeprefix("Per_"): table for name, table in tables.items()}


def statements(path: Path, *texts: str) -> Path:
    with closing(sqlite3.connect(path)) as connection:
        for text in texts:
            connection.execute(text)
        connection.commit()
    return path


def redeclared(path: Path, table: str, types: dict[str, str]) -> None:
    """Write a table anew with other declarations of columns; SQLite converts the values to their affinity."""
    with closing(sqlite3.connect(path)) as connection:
        columns = connection.execute(f"PRAGMA table_info('{table}')").fetchall()
        declared = ", ".join(f'"{name}" {types.get(name, kind)}' for _, name, kind, *_ in columns)
        connection.execute(f'ALTER TABLE "{table}" RENAME TO old')
        connection.execute(f'CREATE TABLE "{table}" ({declared})')
        connection.execute(f'INSERT INTO "{table}" SELECT * FROM old')
        connection.execute("DROP TABLE old")
        connection.commit()


def areas(table: pa.Table) -> list[tuple[Any, ...]]:
    return sorted(zip(*(table[name].to_pylist() for name in AREAS), strict=True))


def expected(offsets: Iterable[float], objects: int = 3) -> list[tuple[float, float, float]]:
    return sorted((o + n, o + 10 * n, o + 100 * n) for o in offsets for n in range(1, objects + 1))


def ignored(report: RunReport) -> dict[str, str]:
    entries = [entry for entry in report.ledger if entry.outcome is Outcome.IGNORED and entry.table]
    return {str(entry.table): entry.reason or "" for entry in entries}


def site(offset: float = 0.0, *, image: int = 1, well: str = "A1") -> Tables:
    return site_tables(3, image=image, offset=offset, well=well)


# Sets of tables


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (prefixed(per_tables(site(0)), "RunA_"), prefixed(per_tables(site(1000, well="B2")), "RunB_")),
        (per_tables(site(0)), without_per(per_tables(site(1000, well="B2")))),
        (per_tables(site(0)), prefixed(per_tables(site(1000, well="B2")), "Second_Run_")),
        (prefixed(cytominer_tables(site(0), 1), "RunA_"), prefixed(cytominer_tables(site(1000, well="B2"), 2), "RunB")),
        (prefixed(per_tables(site(0)), "A_"), prefixed(per_tables(site(1000, well="B2", image=7)), "B_")),
    ],
    ids=["prefixes", "per and plain", "per with and without prefix", "plain prefixes", "other image numbers"],
)
@pytest.mark.parametrize("reader", READERS)
def test_each_set_of_tables_is_an_export(one: Tables, other: Tables, reader: str, tmp_path: Path) -> None:
    source = write_sqlite(tmp_path / "in" / "p.sqlite", one, other)
    table, report = convert(source, tmp_path, sqlite_reader=reader)
    assert areas(table) == expected((0, 1000))
    assert len({entry.export for entry in report.ledger if entry.outcome is Outcome.CONVERTED}) == 2
    assert set(one) | set(other) <= {entry.table for entry in report.ledger}


@pytest.mark.parametrize(
    ("one", "other", "prefixes"),
    [
        (prefixed(per_tables(site(0)), "RunA_"), prefixed(per_tables(site(9)), "RunB_"), ("RunA_Per_", "RunB_Per_")),
        (per_tables(site(0)), cytominer_tables(site(9), 1), ("Per_", "")),
        (per_tables(site(0)), {"Cells": cytominer_tables(site(9), 1)["Cells"]}, ("Per_", "")),
    ],
    ids=["prefixes", "per and plain", "cells beside per_cells"],
)
def test_two_sets_of_the_same_images_are_refused_and_one_can_be_taken(
    one: Tables, other: Tables, prefixes: Sequence[str], tmp_path: Path
) -> None:
    source = write_sqlite(tmp_path / "in" / "p.sqlite", one, other)
    with pytest.raises(LayoutError) as caught:
        convert(source, tmp_path)
    assert all(name in caught.value.why for name in (*one, *other))
    assert all(f"--table-prefix {prefix or repr('')}" in caught.value.remedy for prefix in prefixes)
    table, report = convert(source, tmp_path, table_prefix=prefixes[0])
    assert areas(table) == expected((0,))
    assert set(ignored(report)) == set(other)


def test_a_second_segmentation_takes_the_only_image_table(tmp_path: Path) -> None:
    first, second = per_tables(site(0)), per_tables(site(1000))
    second.pop("Per_Image")
    source = write_sqlite(tmp_path / "in" / "p.sqlite", first, prefixed(second, "Better_"))
    table, _ = convert(source, tmp_path, table_prefix="Better")
    assert areas(table) == expected((1000,))
    assert set(table["Metadata_Well"].to_pylist()) == {"A01"}


def test_a_prefix_of_no_table_is_refused(tmp_path: Path) -> None:
    source = write_sqlite(tmp_path / "in" / "p.sqlite", per_tables(site()))
    with pytest.raises(InputDataError, match="RunC"):
        convert(source, tmp_path, table_prefix="RunC")


def test_tables_of_several_prefixes_without_a_common_name_are_one_export(tmp_path: Path) -> None:
    tables = per_tables(site())
    tables["MyExpt_Per_Image"] = tables.pop("Per_Image")
    table, _ = convert(write_sqlite(tmp_path / "in" / "p.sqlite", tables), tmp_path)
    assert areas(table) == expected((0,))


def test_a_set_that_lacks_a_table_fails_alone(tmp_path: Path) -> None:
    one, other = prefixed(per_tables(site(0)), "RunA_"), prefixed(per_tables(site(1000, well="B2")), "RunB_")
    other.pop("RunB_Per_Nuclei")
    source = write_sqlite(tmp_path / "in" / "p.sqlite", one, other)
    table, report = convert(source, tmp_path, max_failed_exports=1)
    assert areas(table) == expected((0,))
    assert [entry.export for entry in report.ledger if entry.outcome is Outcome.FAILED] == ["p.sqlite/RunB_Per"]


@given(PREFIXES, st.booleans())
@settings(max_examples=examples(100))
def test_every_prefix_is_found(prefix: str, per: bool) -> None:
    middle = "_Per_" if per else ""
    names = [f"{prefix}{middle}{name}" for name in ("Image", "Cells", "Nuclei", "Cytoplasm")]
    found = table_names(names, {})
    assert [name.name for name in found] == ["image", "cells", "nuclei", "cytoplasm"]
    assert {name.prefix for name in found} == {f"{prefix}{middle}"}
    assert fits_prefix(found[0].set_key, f"{prefix}{middle}")


# Views


def database_of(tables: Tables) -> Callable[[Path], Path]:
    """Return a function that writes tables into a database in a folder."""
    return lambda folder: write_sqlite(folder / "a.sqlite", tables)


@pytest.mark.slow
@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("name", ["Image", "Cells", "Nuclei", "Cytoplasm"])
@pytest.mark.parametrize("style", ["per", "prefix", "plain"])
def test_a_view_is_read_like_a_table(name: str, style: str, reader: str, profile_of: ProfileOf, tmp_path: Path) -> None:
    tables = cytominer_tables(site(), 1) if style == "plain" else per_tables(site())
    tables = prefixed(tables, "Run_") if style == "prefix" else tables
    whole = profile_of(style, database_of(tables))
    view = next(each for each in tables if each.endswith(name))
    tables["stored_elsewhere"] = tables.pop(view)
    source = write_sqlite(tmp_path / "view" / "a.sqlite", tables)
    statements(source, f'CREATE VIEW "{view}" AS SELECT * FROM "stored_elsewhere"')
    table, report = convert(source, tmp_path, sqlite_reader=reader)
    assert table.equals(whole)
    assert view in {entry.table for entry in report.ledger if entry.outcome is Outcome.CONVERTED}
    assert "view" in ignored(report)["stored_elsewhere"]


def test_a_view_that_computes_its_columns_is_read(tmp_path: Path) -> None:
    tables = per_tables(site())
    tables["raw"] = tables.pop("Per_Nuclei")
    source = write_sqlite(tmp_path / "in" / "a.sqlite", tables)
    area = "Nuclei_AreaShape_Area"
    columns = f"ImageNumber + 0 AS ImageNumber, Nuclei_Number_Object_Number, {area} * 2 AS {area}"
    statements(source, f"CREATE VIEW Per_Nuclei AS SELECT {columns} FROM raw")
    table, _ = convert(source, tmp_path)
    assert table[area].to_pylist() == [200.0, 400.0, 600.0]


@pytest.mark.parametrize(
    ("view", "text"),
    [
        ("Per_Object", "SELECT * FROM Per_Cells"),
        ("Cells", "SELECT * FROM Per_Cells"),
        ("big_cells", "SELECT * FROM Per_Cells WHERE Cells_AreaShape_Area > 1"),
        ("Per_RelationshipsView", "SELECT 1 AS image_number1"),
        ("broken", "SELECT * FROM no_such_table"),
        ("Per_Broken", "SELECT * FROM no_such_table"),
    ],
)
def test_other_views_are_ignored_and_named(view: str, text: str, tmp_path: Path) -> None:
    source = write_sqlite(tmp_path / "in" / "a.sqlite", per_tables(site()))
    statements(source, f"CREATE VIEW {view} AS {text}")
    table, report = convert(source, tmp_path)
    assert areas(table) == expected((0,))
    assert list(ignored(report)) == [view]


def test_a_table_without_rowids_is_read(tmp_path: Path) -> None:
    source = write_sqlite(tmp_path / "in" / "a.sqlite", per_tables(site()))
    columns = "ImageNumber INTEGER, Nuclei_Number_Object_Number INTEGER, Nuclei_AreaShape_Area FLOAT"
    key = "PRIMARY KEY (ImageNumber, Nuclei_Number_Object_Number)"
    statements(
        source,
        "ALTER TABLE Per_Nuclei RENAME TO old",
        f"CREATE TABLE Per_Nuclei ({columns}, {key}) WITHOUT ROWID",
        "INSERT INTO Per_Nuclei SELECT ImageNumber, Nuclei_Number_Object_Number, Nuclei_AreaShape_Area FROM old",
        "DROP TABLE old",
    )
    assert areas(convert(source, tmp_path)[0]) == expected((0,))


# Declarations


TEXT_TYPES = ("TEXT", "VARCHAR(20)", "CHAR(9)", "CLOB", "LONGTEXT")
OTHER_TYPES = ("BLOB", "MEDIUMBLOB", "", "ANY", "NUM", "NUMERIC", "DECIMAL(10,5)", "DATETIME", "BOOLEAN", "STRING")


@pytest.mark.slow
@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("declared", [*TEXT_TYPES, *OTHER_TYPES])
def test_measurements_are_numbers_whatever_their_column_is_declared_as(
    declared: str, reader: str, tmp_path: Path
) -> None:
    source = write_sqlite(tmp_path / "in" / "a.sqlite", per_tables(site(0.25)))
    for name in ("Cells", "Nuclei", "Cytoplasm"):
        redeclared(source, f"Per_{name}", {f"{name}_AreaShape_Area": declared})
    table, report = convert(source, tmp_path, sqlite_reader=reader)
    assert areas(table) == expected((0.25,))
    assert all(table.schema.field(name).type == pa.float64() for name in AREAS)
    counts = {repair.column: repair.count for repair in report.repairs}
    assert counts == (dict.fromkeys(AREAS, 3) | {AREAS[2]: 4} if declared in TEXT_TYPES else {})


@pytest.mark.slow
@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("declared", ["TEXT", "BLOB", ""])
def test_a_file_with_all_columns_declared_alike_is_read(
    declared: str, reader: str, profile_of: ProfileOf, tmp_path: Path
) -> None:
    tables = per_tables(site(0.25))
    whole = profile_of("per, with fractions", database_of(tables))
    source = write_sqlite(tmp_path / "other" / "a.sqlite", tables)
    for name, table in tables.items():
        redeclared(source, name, dict.fromkeys(table.column_names, declared))
    table, _ = convert(source, tmp_path, sqlite_reader=reader)
    names = [name for name in whole.column_names if not name.startswith("Metadata_Count")]
    assert table.select(names).to_pylist() == whole.select(names).to_pylist()
    features = [name for name in names if pa.types.is_floating(whole.schema.field(name).type)]
    assert all(table.schema.field(name).type == pa.float64() for name in features)


@pytest.mark.parametrize("reader", READERS)
def test_missing_values_in_a_text_column_of_numbers_are_null_and_counted(reader: str, tmp_path: Path) -> None:
    tables = per_tables(site())
    values = pa.array(["nan", "", "1e3"])
    tables["Per_Cells"] = with_column(tables["Per_Cells"], "Cells_AreaShape_Area", values)
    source = write_sqlite(tmp_path / "in" / "a.sqlite", tables)
    table, report = convert(source, tmp_path, sqlite_reader=reader)
    assert table["Cells_AreaShape_Area"].to_pylist() == [None, None, 1000.0]
    assert sorted((r.text, r.became, r.count) for r in report.repairs) == [
        ("", "null", 1),
        ("nan", "null", 1),
        ("numbers in text", "numbers", 1),
    ]


@pytest.mark.parametrize("reader", READERS)
def test_text_among_numbers_in_a_text_column_fails_the_table(reader: str, tmp_path: Path) -> None:
    tables = per_tables(site())
    tables["Per_Cells"] = with_column(tables["Per_Cells"], "Cells_AreaShape_Area", pa.array(["1", "2", "wide"]))
    source = write_sqlite(tmp_path / "in" / "a.sqlite", tables)
    with pytest.raises(InputDataError, match="wide"):
        convert(source, tmp_path, sqlite_reader=reader)
    table, _ = convert(source, tmp_path, sqlite_reader=reader, column_types={"Cells_AreaShape_Area": "number"})
    assert table["Cells_AreaShape_Area"].to_pylist() == [1.0, 2.0, None]
    table, _ = convert(source, tmp_path, sqlite_reader=reader, column_types={"Cells_AreaShape_Area": "text"})
    assert table["Metadata_Cells_AreaShape_Area"].to_pylist() == ["1", "2", "wide"]


@pytest.mark.slow
@pytest.mark.parametrize("declared", ["INTEGER", "FLOAT", "NUM", "BOOLEAN", "TEXT", "BLOB", ""])
@pytest.mark.parametrize("reader", READERS)
def test_wells_and_plates_are_kept_whatever_their_column_is_declared_as(
    declared: str, reader: str, tmp_path: Path
) -> None:
    source = write_sqlite(tmp_path / "in" / "a.sqlite", per_tables(site()))
    names = ("Image_Metadata_Well", "Image_Metadata_Plate", "Image_FileName_OrigDNA")
    redeclared(source, "Per_Image", dict.fromkeys(names, declared))
    table, report = convert(source, tmp_path, sqlite_reader=reader)
    assert set(table["Metadata_Well"].to_pylist()) == {"A01"}
    assert set(table["Metadata_Plate"].to_pylist()) == {"P1"}
    assert set(table["Image_FileName_OrigDNA"].to_pylist()) == {"dna.tiff"}
    assert report.repairs == []


def test_a_column_of_text_stays_text_where_one_file_has_no_value(tmp_path: Path) -> None:
    for number, values in enumerate((["round", "wide", "round"], [None] * 3)):
        tables = per_tables(site_tables(3, image=number, well=f"A{number + 1}"))
        column = pa.array(values, pa.string())
        tables["Per_Cells"] = tables["Per_Cells"].append_column("Cells_Shape", column)
        write_sqlite(tmp_path / "in" / f"{number}.sqlite", tables)
    table, _ = convert(tmp_path / "in", tmp_path)
    assert table["Metadata_Cells_Shape"].to_pylist() == ["round", "wide", "round", None, None, None]


def test_a_compartment_without_a_number_left_is_refused(tmp_path: Path) -> None:
    tables = per_tables(site())
    tables["Per_Cells"] = with_column(tables["Per_Cells"], "Cells_AreaShape_Area", pa.array(["a", "b", "c"]))
    source = write_sqlite(tmp_path / "in" / "a.sqlite", tables)
    with pytest.raises(LayoutError, match="no measurement of cells is a number"):
        convert(source, tmp_path)
    table, _ = convert(source, tmp_path, column_types={"cells.Cells_AreaShape_Area": "text"})
    assert table["Metadata_Cells_AreaShape_Area"].to_pylist() == ["a", "b", "c"]


# The single object table


def single_object_table(tables: Tables, *, padded: bool) -> Tables:
    """Return the tables with Per_Object in place of Per_Cells and so on; compartments are padded with nulls."""
    compartments = [name for name in tables if name != "Per_Image"]
    rows = max(tables[name].num_rows for name in compartments)
    size = rows if padded else min(tables[name].num_rows for name in compartments)
    columns: dict[str, Any] = {"ImageNumber": [1] * size, "ObjectNumber": list(range(1, size + 1))}
    for name in compartments:
        for column in tables[name].column_names:
            if column != "ImageNumber":
                values = tables[name][column].to_pylist()
                columns[column] = (values + [None] * rows)[:size]
    return {"Per_Image": tables["Per_Image"], "Per_Object": pa.table(columns)}


@pytest.mark.slow
@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("preset", ["auto", "cellprofiler_sqlite"])
def test_the_single_object_table_gives_the_columns_of_its_compartments(
    preset: str, padded: bool, reader: str, profile_of: ProfileOf, tmp_path: Path
) -> None:
    tables = per_tables(site())
    whole = profile_of("per", database_of(tables), preset=preset)
    combined = prefixed(single_object_table(tables, padded=padded), "MyExpt_")
    source = write_sqlite(tmp_path / "one" / "a.sqlite", combined)
    table, report = convert(source, tmp_path, preset=preset, sqlite_reader=reader)
    assert table.equals(whole)
    assert report.repairs == []


def test_the_single_object_table_beside_compartments_is_ignored(tmp_path: Path) -> None:
    tables = per_tables(site())
    source = write_sqlite(tmp_path / "in" / "a.sqlite", tables | single_object_table(tables, padded=True))
    table, report = convert(source, tmp_path)
    assert areas(table) == expected((0,))
    assert list(ignored(report)) == ["Per_Object"]
    assert not [name for name in table.column_names if "Object_" in name and "Number" not in name]


def test_columns_of_no_compartment_are_kept_with_the_base(tmp_path: Path) -> None:
    tables = single_object_table(per_tables(site()), padded=False)
    tables["Per_Object"] = tables["Per_Object"].append_column("Own_Score", pa.array([0.5, 1.5, 2.5]))
    table, _ = convert(write_sqlite(tmp_path / "in" / "a.sqlite", tables), tmp_path)
    assert table["Cytoplasm_Own_Score"].to_pylist() == [0.5, 1.5, 2.5]


# Numbers of rows


@pytest.mark.parametrize("name", ["index", "level_0", "Unnamed: 0", ""])
def test_columns_that_number_rows_are_left_out_and_named(name: str, tmp_path: Path) -> None:
    tables = {
        key: table.add_column(0, name, pa.array(range(table.num_rows), pa.int64()))
        for key, table in per_tables(site()).items()
    }
    whole, _ = convert(write_sqlite(tmp_path / "in" / "a.sqlite", per_tables(site())), tmp_path)
    table, report = convert(write_sqlite(tmp_path / "in2" / "a.sqlite", tables), tmp_path)
    assert table.equals(whole)
    assert {warning.table for warning in report.warnings} >= {"cells", "nuclei", "cytoplasm"}


@pytest.mark.slow
@given(
    st.lists(st.sampled_from([*TEXT_TYPES, *OTHER_TYPES, "FLOAT", "INTEGER"]), min_size=3, max_size=3), st.booleans()
)
@settings(max_examples=examples(20))
def test_no_declaration_changes_a_value(
    tmp_path_factory: pytest.TempPathFactory, declared: list[str], as_view: bool
) -> None:
    folder = tmp_path_factory.mktemp("declared")
    source = write_sqlite(folder / "in" / "a.sqlite", per_tables(site(0.5)))
    for name, kind in zip(("Cells", "Nuclei", "Cytoplasm"), declared, strict=True):
        redeclared(source, f"Per_{name}", {f"{name}_AreaShape_Area": kind})
    if as_view:
        statements(source, "ALTER TABLE Per_Cells RENAME TO raw", "CREATE VIEW Per_Cells AS SELECT * FROM raw")
    assert areas(convert(source, folder)[0]) == expected((0.5,))
