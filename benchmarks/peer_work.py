"""One measured piece of work of a peer. It does not import cytobatch, because CytoTable has its own environment.

    peer_work.py cytotable|pandas|duckdb PLATE OUT [CHUNK_SIZE]
    peer_work.py extensions

Imports are not timed. The figures are printed as one line of JSON.
"""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stopwatch import Stopwatch

Work = Callable[[], None]

_COMPARTMENTS = ("Cells", "Nuclei")


def cytotable(plate: str, out: str, chunk_size: int | None) -> Work:
    """Return CytoTable's conversion as in its manual; without a chunk size, with that of its preset."""
    convert = importlib.import_module("cytotable").convert
    options = {"chunk_size": chunk_size} if chunk_size else {}

    def work() -> None:
        convert(source_path=plate, dest_path=out, source_datatype="csv", preset="cellprofiler_csv", **options)

    return work


def pandas(plate: str, out: str, _chunk_size: int | None) -> Work:
    """Return read_csv of each file, concat of each table, merge by keys, to_parquet."""
    pd: Any = importlib.import_module("pandas")

    def table(name: str) -> Any:
        paths = sorted(Path(plate).glob(f"*/{name}.csv"))
        rows = pd.concat([pd.read_csv(path) for path in paths], ignore_index=True)
        return rows.rename(columns={column: f"{name}_{column}" for column in rows if column != "ImageNumber"})

    def work() -> None:
        profile = table("Cytoplasm").merge(table("Image"), on="ImageNumber", how="left")
        for name in _COMPARTMENTS:
            left, right = ["ImageNumber", f"Cytoplasm_Parent_{name}"], ["ImageNumber", f"{name}_ObjectNumber"]
            profile = profile.merge(table(name), left_on=left, right_on=right, how="left")
        profile.to_parquet(out, compression="zstd", index=False)

    return work


def duckdb(plate: str, out: str, _chunk_size: int | None) -> Work:
    """Return one statement that reads globs, joins tables and writes Parquet. Repeated column names get a number."""
    connection = importlib.import_module("duckdb").connect()

    def table(name: str) -> str:
        return f"read_csv('{plate}/*/{name}.csv')"

    statement = f"""COPY (
        SELECT * FROM {table("Cytoplasm")} AS cytoplasm
        LEFT JOIN {table("Image")} AS image USING (ImageNumber)
        LEFT JOIN {table("Cells")} AS cells
          ON cells.ImageNumber = cytoplasm.ImageNumber AND cells.ObjectNumber = cytoplasm.Parent_Cells
        LEFT JOIN {table("Nuclei")} AS nuclei
          ON nuclei.ImageNumber = cytoplasm.ImageNumber AND nuclei.ObjectNumber = cytoplasm.Parent_Nuclei
    ) TO '{out}' (FORMAT parquet, COMPRESSION zstd)"""

    def work() -> None:
        connection.execute(statement)

    return work


def install_extensions() -> None:
    """Install DuckDB's extensions from wheels, because CytoTable would download them while it runs."""
    connection = importlib.import_module("duckdb").connect()
    for path in sorted(Path(sys.prefix).rglob("*.duckdb_extension")):
        connection.execute(f"INSTALL '{path}'")


def main() -> None:
    name, *arguments = sys.argv[1:]
    if name == "extensions":
        install_extensions()
        return
    plate, out, *rest = arguments
    # CytoTable refuses to replace the file of an earlier run.
    Path(out).unlink(missing_ok=True)
    peers = {"cytotable": cytotable, "pandas": pandas, "duckdb": duckdb}
    work, watch = peers[name](plate, out, int(rest[0]) if rest else None), Stopwatch()
    with watch.running():
        work()
    watch.print_figures()


if __name__ == "__main__":
    main()
