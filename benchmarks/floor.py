"""The floor of a conversion: read all of a plate once with its schema known, and write the same Parquet.

The readers are pyarrow's CSV reader with all cores, and DuckDB's `sqlite_scan`. The writer is cytobatch's, with all
cores too, so that the bytes are the same.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import duckdb
import duckdb_extension_sqlite_scanner
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from cytobatch.engine.executor import Executor
from cytobatch.output.parquet.encoder import Encoder
from cytobatch.output.parquet.writer import ParquetFileWriter
from cytobatch.synthetic import COMPARTMENTS
from stopwatch import Stopwatch
from typed import convert_options, header

_TABLES = ("Image", *COMPARTMENTS)
_BLOCK = 4 * 2**20
_BATCH_ROWS = 4096

Read = Callable[[], None]


def csv_reading(plate: Path) -> Read:
    """Return the work that reads each file once.

    Many files are read side by side, one core each, which is up to twice as fast as one after the other with all cores.
    A few large files are read one after the other with all cores.
    """
    paths = [path for name in _TABLES for path in sorted(plate.rglob(f"{name}.csv"))]
    options = {name: convert_options(header(next(plate.rglob(f"{name}.csv")))) for name in _TABLES}
    cores = os.cpu_count() or 1
    side_by_side = len(paths) > len(_TABLES)

    def one(path: Path) -> None:
        how = pacsv.ReadOptions(use_threads=not side_by_side, block_size=_BLOCK)
        pacsv.read_csv(path, read_options=how, convert_options=options[path.stem])

    def read() -> None:
        with ThreadPoolExecutor(cores if side_by_side else 1) as pool:
            for _ in pool.map(one, paths):
                pass

    return read


def sqlite_reading(plate: Path) -> Read:
    """Return the work that scans each table once to Arrow."""
    path = str(next(plate.glob("*.sqlite"))).replace("'", "''")
    extensions = Path(duckdb_extension_sqlite_scanner.__file__).parent / "extensions"
    connection = duckdb.connect(config={"autoinstall_known_extensions": "false"})
    connection.load_extension(str(next(extensions.rglob("*.duckdb_extension"))))

    def read() -> None:
        for name in _TABLES:
            scan = connection.execute(f"SELECT * FROM sqlite_scan('{path}', '{name}')")
            for _ in scan.to_arrow_reader(_BATCH_ROWS):
                pass

    return read


def write_again(profile: Path, target: Path, watch: Stopwatch) -> None:
    """Write the profile of a conversion again, row group by row group from memory; only the writing is timed.

    A row group is read back while the stopwatch is stopped, so that 400 sites do not need the memory of their whole
    profile.
    """
    source = pq.ParquetFile(profile)
    with Executor(os.cpu_count() or 1) as workers, ExitStack() as stack:
        with watch.running():
            encoder = Encoder(source.schema_arrow, workers)
            file = stack.enter_context(ParquetFileWriter(target, encoder, {}))
        for number in range(source.num_row_groups):
            group = source.read_row_group(number)
            with watch.running():
                file.write(group)
        with watch.running():
            stack.close()
