"""Any name of a column, table, file, folder or plate is kept, and its values stay with it."""

import csv
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from cytobatch.config.expand import plate_jobs
from cytobatch.config.options import PlateJob, PlateOptions
from cytobatch.pipeline.plate import run_plate
from cytobatch.planning.columns import is_row_number
from tests.support.examples import examples
from tests.support.plates import (
    Tables,
    convert,
    convert_to_folder,
    incarta_table,
    npz_members,
    per_tables,
    site_tables,
    write_incarta,
    write_npz,
    write_site,
    write_sqlite,
)

MANY = settings(max_examples=examples(4), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
FEWER = settings(MANY, max_examples=examples(2))

UNUSUAL = (
    "it's",
    'a "b"',
    "back`tick",
    "e\u0301",
    "\u00e9",
    "\u00c9",
    "\U0001f469\u200d\U0001f52c",
    "\u202eRTL",
    "\u05d0",
    "x;--",
    "; DROP TABLE cells;--",
    "{}",
    "{plate}",
    "%41",
    "%s",
    "100%",
    "a\\b",
    "\\",
    " lead",
    "trail ",
    "in ner",
    "Area",
    "area",
    "AREA",
    "select",
    "SELECT",
    "order",
    "group",
    "rowid",
    "ROWID",
    "oid",
    "_rowid_",
    "e",
    "i",
    "o",
    "r",
    "t",
    "k",
    "p_cells",
    "c0",
    "c1",
    "rows",
    "well",
    "#image",
    "#export",
    "#image keys",
    "keys_cells",
    "Metadata_x",
    "Metadata_Plates",
    "metadata_",
    "Metadata_TableNumber",
    "a.b",
    "a",
    "a.b.c",
    "a,b",
    "a/b",
    "[0]",
    "$1",
    "?",
    ":x",
    "NULL",
    "nan",
    "1",
    "0.5",
    "count(*)",
    "*",
    "x" * 3000,
    "\u00df" * 500,
    "parent_nuclei",
    "objectnumber",
    "imagenumber",
    "tablenumber",
)
# Parts of names that make a column a key, a count or a path. Their values are no free numbers; other tests cover them.
_RESERVED = (
    "ImageNumber",
    "ObjectNumber",
    "Object_Number",
    "Parent_",
    "Children_",
    "Count_",
    "Neighbors_",
    "Name_",
    "URL_",
    "MD5Digest_",
)
LABELS = ("Image", "Cells", "Cytoplasm", "Nuclei")


def is_free(name: str) -> bool:
    """Return True if a column of the name is a measurement: it has a name, and does not number the rows."""
    if not name.strip() or is_row_number(name):
        return False
    return not (name.startswith(LABELS) or any(word in name for word in _RESERVED))


FREE = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0\r\n"), max_size=12).filter(is_free)
NAMES = st.lists(st.one_of(st.sampled_from(UNUSUAL), FREE), min_size=1, max_size=8, unique=True)
ALL = list(UNUSUAL)


def folded(name: str) -> str:
    """Return a name as SQLite compares it: only ASCII letters lose their case."""
    return "".join(letter.lower() if letter.isascii() else letter for letter in name)


def for_sqlite(names: list[str]) -> list[str]:
    taken = {"imagenumber", "objectnumber", "tablenumber", "parent_nuclei", "parent_cells"}
    return [taken.add(folded(n)) or n for n in names if n and folded(n) not in taken]  # type: ignore[func-returns-value]


def value(site: int, table: str, column_number: int, row: int) -> int:
    """Return a number that no other site, table, column or row has."""
    return ((site * 10 + LABELS.index(table)) * 100 + column_number) * 10 + row


def widened(names: list[str], site: int) -> Tables:
    tables = site_tables(2, offset=1000.0 * site)
    for label, table in tables.items():
        wide = table
        for column_number, name in enumerate(names):
            numbers = [value(site, label, column_number, row) for row in range(table.num_rows)]
            wide = wide.append_column(name, pa.array(numbers, pa.int64()))
        tables[label] = wide
    return tables


def write_quoted(path: Path, table: pa.Table) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(table.column_names)
        writer.writerows(zip(*(column.to_pylist() for column in table.columns), strict=True))


def write_csv_sites(root: Path, names: list[str]) -> None:
    for site in (1, 2):
        for label, table in widened(names, site).items():
            write_quoted(root / f"P1-A01-{site}" / f"{label}.csv", table)


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def write_database(path: Path, tables: Tables) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as connection:
        for name, table in tables.items():
            kinds = [
                "BIGINT" if pa.types.is_integer(f.type) else "" if pa.types.is_string(f.type) else "FLOAT"
                for f in table.schema
            ]
            columns = ", ".join(f"{quoted(c)} {kind}" for c, kind in zip(table.column_names, kinds, strict=True))
            connection.execute(f"CREATE TABLE {quoted(name)} ({columns})")
            rows = zip(*(column.to_pylist() for column in table.columns), strict=True)
            connection.executemany(f"INSERT INTO {quoted(name)} VALUES ({','.join('?' * len(kinds))})", rows)
        connection.commit()


def write_per_files(root: Path, names: list[str]) -> None:
    for site in (1, 2):
        tables = {
            f"Per_{label}": table.rename_columns(
                [f"{label}_Number_Object_Number" if name == "ObjectNumber" else name for name in table.column_names]
            )
            for label, table in widened(for_sqlite(names), site).items()
        }
        write_database(root / f"{site}.sqlite", tables)


def write_cytominer_file(root: Path, names: list[str]) -> None:
    both = [widened(for_sqlite(names), site) for site in (1, 2)]
    tables = {}
    for label in both[0]:
        parts = [t[label].add_column(0, "TableNumber", pa.array([n] * t[label].num_rows)) for n, t in enumerate(both)]
        tables[label] = pa.concat_tables(parts)
    write_database(root / "plate.sqlite", tables)


def profile_name(label: str, name: str, *, naming: bool = True) -> str:
    """Return the name that the README defines: the table's in front, and Metadata_ if a column measures nothing."""
    own = f"{label}_{name}"
    return f"Metadata_{own}" if naming and label != "Image" and "Metadata_" in name else own


def column_of(table: pa.Table, name: str) -> list[object]:
    assert table.column_names.count(name) == 1, (name, table.column_names)
    return sorted(int(item) for item in table[name].to_pylist() if item is not None)


def expected(table: str, column_number: int, rows: int = 2) -> list[int]:
    return sorted(value(site, table, column_number, row) for site in (1, 2) for row in range(rows))


Writer = Callable[[Path, list[str]], None]
WRITERS: dict[str, Writer] = {"csv": write_csv_sites, "per": write_per_files, "cytominer": write_cytominer_file}


def kept_names(kind: str, names: list[str]) -> list[str]:
    return names if kind == "csv" else for_sqlite(names)


def plate_of(kind: str, names: list[str], root: Path) -> Path:
    WRITERS[kind](root / "in", names)
    return root / "in"


def check_profile(table: pa.Table, names: list[str], labels: tuple[str, ...] = LABELS[1:], **options: bool) -> None:
    for column_number, name in enumerate(names):
        for label in labels:
            assert column_of(table, profile_name(label, name, **options)) == expected(label, column_number)


@pytest.mark.slow
@pytest.mark.parametrize("kind", WRITERS)
@MANY
@example(names=ALL)
@given(names=NAMES)
def test_a_column_of_any_name_is_in_the_profile(
    tmp_path_factory: pytest.TempPathFactory, kind: str, names: list[str]
) -> None:
    root = tmp_path_factory.mktemp("names")
    table, report = convert(plate_of(kind, names, root), root, image_columns="(?s)Image_.*")
    assert table.num_rows == report.counts.rows == 4
    check_profile(table, kept_names(kind, names))
    for column_number, name in enumerate(kept_names(kind, names)):
        image = sorted(value(site, "Image", column_number, 0) for site in (1, 2) for _ in range(2))
        assert column_of(table, profile_name("Image", name)) == image


@pytest.mark.slow
@pytest.mark.parametrize("kind", WRITERS)
@FEWER
@example(names=ALL)
@given(names=NAMES)
def test_tables_and_files_of_their_own_have_columns_of_any_name(
    tmp_path_factory: pytest.TempPathFactory, kind: str, names: list[str]
) -> None:
    root = tmp_path_factory.mktemp("names")
    source, kept = plate_of(kind, names, root), kept_names(kind, names)
    tables, _ = convert_to_folder(source, root / "tables", join=False)
    for label in LABELS:
        for column_number, name in enumerate(kept):
            rows = {"Image": 1, "Nuclei": 3}.get(label, 2)
            values = column_of(tables[f"{label.lower()}.parquet"], profile_name(label, name))
            assert values == expected(label, column_number, rows)
    exports, _ = convert_to_folder(source, root / "exports", concat=False)
    check_profile(pa.concat_tables(exports.values()), kept)


@pytest.mark.slow
@pytest.mark.parametrize("kind", WRITERS)
@FEWER
@example(names=ALL)
@given(names=NAMES)
def test_a_users_sql_reads_columns_of_any_name(
    tmp_path_factory: pytest.TempPathFactory, kind: str, names: list[str]
) -> None:
    root = tmp_path_factory.mktemp("names")
    source, kept = plate_of(kind, names, root), kept_names(kind, names)
    table, _ = convert(source, root, joins="SELECT * FROM cells")
    assert table.num_rows == 4
    by_name = {
        name: sorted(int(v) for v in table[name].to_pylist())
        for name in table.column_names
        if pa.types.is_integer(table[name].type) or pa.types.is_floating(table[name].type)
    }
    for column_number, name in enumerate(kept):
        own = profile_name("Cells", name, naming=False)
        # SQL takes names that differ in case alone for the same; DuckDB numbers them.
        alike = [other for other in by_name if folded(other).startswith(folded(own))]
        assert sum(by_name[other] == expected("Cells", column_number) for other in alike) == 1
        if sum(folded(other) == folded(name) for other in kept) == 1:
            assert by_name[own] == expected("Cells", column_number)


@pytest.mark.slow
@pytest.mark.parametrize("kind", WRITERS)
@FEWER
@example(names=ALL)
@given(names=NAMES)
def test_options_over_columns_of_any_name(
    tmp_path_factory: pytest.TempPathFactory, kind: str, names: list[str]
) -> None:
    root = tmp_path_factory.mktemp("names")
    source, kept = plate_of(kind, names, root), kept_names(kind, names)
    tables, _ = convert_to_folder(source, root / "w", well_profiles="median", data_type_cast_map={"float": "float32"})
    check_profile(tables["single_cells.parquet"], kept)
    wells = tables["profiles.parquet"]
    for column_number, name in enumerate(kept):
        for label in LABELS[1:]:
            if "Metadata_" not in name:
                numbers = expected(label, column_number)
                middle = (numbers[1] + numbers[2]) / 2
                assert wells[profile_name(label, name)].to_pylist() == [pytest.approx(middle)]
    column_types = dict.fromkeys(kept[:1], "text") | {f"cells.{name}": "integer" for name in kept[1:]}
    typed, _ = convert(source, root / "t", column_types=column_types, column_names="cytotable")
    check_profile(typed, kept, naming=False)
    for name in kept:
        kind_of = typed[profile_name("Cells", name, naming=False)].type
        assert pa.types.is_string(kind_of) if name == kept[0] else pa.types.is_int64(kind_of)


@MANY
@example(names=ALL)
@given(names=NAMES)
def test_incarta_columns_of_any_name(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    root = tmp_path_factory.mktemp("names")
    for site in (1, 2):
        table = incarta_table(wells=("C - 3",), fields=1, objects=2)
        for column_number, name in enumerate(names):
            for column, label in ((name, "Cells"), (f"{name} wv1", "Nuclei")):
                table = table.append_column(
                    column, pa.array([value(site, label, column_number, row) for row in range(2)])
                )
        write_quoted(root / "in" / f"{site}.csv", table)
    tables, _ = convert_to_folder(root / "in", root / "out", well_profiles="median")
    for column_number, name in enumerate(names):
        # Exports are numbered under this name, so that a column of the source's own comes second.
        own = "Metadata_TableNumber_1" if name == "Metadata_TableNumber" else name
        assert column_of(tables["single_cells.parquet"], own) == expected("Cells", column_number)
        measured = expected("Nuclei", column_number)
        assert column_of(tables["single_cells.parquet"], f"{name} wv1") == measured
        assert tables["profiles.parquet"][f"{name} wv1"].to_pylist() == [(measured[1] + measured[2]) / 2]
    exports, _ = convert_to_folder(root / "in", root / "exports", concat=False)
    assert sum(table.num_rows for table in exports.values()) == 4


@pytest.mark.parametrize("name", ["Metadata_Plate", "Metadata_Well", "Metadata_Site"])
def test_incarta_columns_with_names_of_locations_are_kept_beside_them(tmp_path: Path, name: str) -> None:
    table = incarta_table(("C - 3",), 1, 2).append_column(name, pa.array(["own", "own"]))
    write_incarta(tmp_path / "in" / "x.csv", table)
    table, _ = convert(tmp_path / "in", tmp_path)
    assert table[f"{name}_1"].to_pylist() == ["own", "own"]
    assert table["Metadata_Well"].to_pylist() == ["C03", "C03"]


@MANY
@example(names=ALL, model="well")
@given(names=NAMES, model=st.one_of(st.sampled_from(UNUSUAL), FREE))
def test_npz_metadata_and_models_of_any_name(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], model: str
) -> None:
    root = tmp_path_factory.mktemp("names")
    for site in (1, 2):
        metadata = {name: value(site, "Cells", column_number, 0) for column_number, name in enumerate(names)}
        members = npz_members(2, 3, **{**metadata, "Metadata_Model": model, "Metadata_Site": site})
        write_npz(root / "in" / "P1" / f"A01_{site}.npz", members)
    tables, _ = convert_to_folder(root / "in", root / "out", well_profiles="mean")
    cells = tables["single_cells.parquet"]
    assert cells.num_rows == 4
    for column_number, name in enumerate(names):
        assert column_of(cells, name) == sorted(value(site, "Cells", column_number, 0) for site in (1, 2, 1, 2))
    features = [f"{model or 'DP'}_{number}" for number in (1, 2, 3)]
    assert [cells[name].to_pylist() for name in features] == [[n / 8, (n + 3) / 8] * 2 for n in range(3)]
    assert [tables["profiles.parquet"][name].to_pylist() for name in features] == [[(2 * n + 3) / 16] for n in range(3)]


@pytest.mark.parametrize("name", ["a\nb", "a\rb", "a\r\nb"])
def test_a_line_end_within_a_csv_columns_name_is_refused_by_name(tmp_path: Path, name: str) -> None:
    write_csv_sites(tmp_path / "in", ["plain"])
    for label, table in widened([name, "plain"], 3).items():
        write_quoted(tmp_path / "in" / "P1-A01-3" / f"{label}.csv", table)
    table, report = convert(tmp_path / "in", tmp_path, max_failed_exports=1)
    assert table.num_rows == 4
    assert {entry.export for entry in report.ledger if entry.outcome == "failed"} == {"P1-A01-3"}


@pytest.mark.slow
@pytest.mark.parametrize("values", [["x", "y", None], [0.5, 1.5, 2.5], [-5, None, 10**12]])
@pytest.mark.parametrize("name", ["rowid", "RowID", "oid", "_rowid_"])
def test_a_sqlite_column_called_as_rows_are_numbered_loses_no_row(
    tmp_path: Path, name: str, values: list[object]
) -> None:
    tables = per_tables(site_tables(3))
    tables["Per_Cells"] = tables["Per_Cells"].append_column(name, pa.array(values))
    path = write_sqlite(tmp_path / "in" / "p.sqlite", tables)
    table, _ = convert(path, tmp_path, column_names="cytotable")
    assert table[f"Cells_{name}"].to_pylist() == values
    assert table["Cells_AreaShape_Area"].to_pylist() == [1.0, 2.0, 3.0]


def test_a_column_like_a_parents_number_but_for_its_case_joins_nothing(tmp_path: Path) -> None:
    for site in range(1, 9):
        tables = site_tables(2)
        for label in ("Cells", "Cytoplasm"):
            tables[label] = tables[label].append_column("parent_Nuclei", pa.array([70.0, 80.0]))
        write_site(tmp_path / "in" / f"P1-A01-{site}", tables)
    table, _ = convert(tmp_path / "in", tmp_path)
    assert table["Nuclei_AreaShape_Area"].to_pylist() == [100.0, 200.0] * 8
    assert table["Cytoplasm_parent_Nuclei"].to_pylist() == [70.0, 80.0] * 8


@pytest.mark.slow
@pytest.mark.parametrize("name", ["../../up", "/up", "a/b", "..", "x" * 200, 'a "b"', "\u00df;--"])
def test_a_sqlite_table_of_any_name_stays_in_the_destination(tmp_path: Path, name: str) -> None:
    tables = per_tables(site_tables(2))
    extra = pa.table({"ImageNumber": [1], "ObjectNumber": [1], "Area": [7.0]})
    write_database(tmp_path / "in" / "p.sqlite", {**tables, f"Per_{name}": extra})
    for concat in (True, False):
        out = tmp_path / "out" / "deep" / str(concat)
        tables_out, _ = convert_to_folder(tmp_path / "in", out, join=False, concat=concat)
        assert len(tables_out) == 5
        assert any(table.num_rows == 1 and table.columns[-1].to_pylist() == [7.0] for table in tables_out.values())
    assert {path.name for path in tmp_path.iterdir()} == {"in", "out"}


# Files, folders and plates

UNUSUAL_FILES = (
    "it's",
    'a "b"',
    "b`t",
    "e\u0301",
    "\U0001f469\u200d\U0001f52c",
    "\u202eRTL",
    "x;--",
    "{}",
    "{plate}",
    "%41",
    "%s",
    "a\\b",
    " lead",
    "trail ",
    "#",
    "a#b",
    "a?b",
    "?x=1",
    "+",
    "a+b",
    "[0]",
    "*",
    "h.id",
    "~",
    "-",
    "--x",
    "\u00df" * 100,
    "x" * 200,
    "a\nb",
    "$HOME",
    "&",
    "|",
    "<>",
    ":",
    "a:b",
    "s3:",
    "=",
    "@",
    "a,b",
    "\u0663",
    "\x7f",
)
FILES = st.one_of(
    st.sampled_from(UNUSUAL_FILES),
    st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0/"), min_size=1, max_size=20),
).filter(lambda name: len(name.encode()) <= 200 and not name.startswith((".", "~$")) and not name.endswith(".parquet"))
"""Names of files that are not hidden."""
LAYOUTS = ("csv", "sqlite", "npz", "incarta")


def write_named(root: Path, layout: str, name: str, site: int) -> None:
    """Write two objects with values of the site's own, under the name."""
    tables = site_tables(2, offset=1000.0 * site)
    if layout == "csv":
        write_site(root / name, tables)
    elif layout == "sqlite":
        write_sqlite(root / f"{name}.sqlite", per_tables(tables))
    elif layout == "npz":
        write_npz(root / "P1" / f"{name}.npz", npz_members(2, 1, Metadata_Site=site))
    else:
        table = incarta_table(wells=("C - 3",), fields=1, objects=2)
        write_incarta(root / f"{name}.csv", table.append_column("Site wv1", pa.array([site, site])))


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
@FEWER
@given(name=FILES, other=FILES, above=FILES)
@example(name="x" * 200, other="\u00df" * 100, above="%41 #?")
@example(name="a b", other="a?b", above="{plate}")
def test_files_and_folders_of_any_name(
    tmp_path_factory: pytest.TempPathFactory, layout: str, name: str, other: str, above: str
) -> None:
    root = tmp_path_factory.mktemp("files")
    source, target = root / "in" / above, root / "out" / above
    names = list(dict.fromkeys([name, other]))
    for site, own in enumerate(names, 1):
        write_named(source, layout, own, site)
    table, report = convert(source, target / "x.parquet")
    assert table.num_rows == report.counts.rows == 2 * len(names)
    converted = {entry.path for entry in report.ledger if entry.outcome == "converted"}
    assert converted == {str(path.relative_to(source)) for path in source.rglob("*") if path.is_file()}
    exports, parted = convert_to_folder(source, target / "parts", concat=False)
    assert len(exports) == len(names)
    assert sum(part.num_rows for part in exports.values()) == table.num_rows
    assert {Path(file.path) for file in parted.outputs} == {
        target / "parts" / name for name in (*exports, "columns.json")
    }


@FEWER
@given(plate=FILES.filter(lambda name: not set(name) & set("*?[")))
@example(plate="{batch}")
def test_a_plate_of_any_name(tmp_path_factory: pytest.TempPathFactory, plate: str) -> None:
    root = tmp_path_factory.mktemp("plate")
    tables = site_tables(2)
    tables["Image"] = tables["Image"].drop_columns(["Metadata_Plate"])
    write_site(root / "in" / plate / "some", tables)
    options = PlateOptions(plate=plate, source=f"{root}/in/{{plate}}", destination=f"{root}/out/{{plate}}/p.parquet")
    (job,) = plate_jobs(None, options, None, "test", lambda *_: [])
    report = run_plate(job)
    assert report.plate == plate
    table = pq.read_table(root / "out" / plate / "p.parquet")
    assert table["Metadata_Plate"].to_pylist() == [plate] * 2


S3_NAMES = ["it's \u00e9e\u0301;--", "a#b?c", "%41+ b", "h.id", "x" * 200]


@pytest.mark.parametrize("name", S3_NAMES)
def test_keys_of_any_name_in_a_bucket(
    tmp_path: Path, s3: Any, bucket: str, upload: Callable[[Path, str], str], name: str
) -> None:
    layouts = {layout: tmp_path / layout for layout in LAYOUTS}
    for layout, folder in layouts.items():
        write_named(folder, layout, name, 1)
        source = upload(folder, f"{name}/{layout}")
        target = f"s3://{bucket}/out/{name}/{layout}"
        report = run_plate(PlateJob(source=source, destination=target, concat=False))
        assert report.counts.rows == 2
        output, _columns = report.outputs
        key = output.path.removeprefix(f"s3://{bucket}/")
        s3.download_file(bucket, key, str(tmp_path / "back.parquet"))
        assert pq.read_table(tmp_path / "back.parquet").num_rows == 2
        assert s3.get_object(Bucket=bucket, Key=f"out/{name}/{layout}/run-report.json")["Body"].read()
