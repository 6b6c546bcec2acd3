"""The sets of tables that the job's `table_prefix` takes, where files of several prefixes lie in one source."""

import shlex
from collections.abc import Sequence

from cytobatch.config.options import PlateJob
from cytobatch.errors import LayoutError
from cytobatch.formats.csv_names import TableFile
from cytobatch.report.lines import shortened

_OTHER_SET = "of another set of tables: table_prefix takes one"
_SHOWN = 10


def choose_prefix(job: PlateJob, files: Sequence[TableFile]) -> tuple[list[TableFile], dict[str, str]]:
    """Return the files with the prefix that the job takes, and the reason for each of the others by path.

    `RunA` stands for `RunA_`, too, and the empty text for files without a prefix. Raises LayoutError if no file has it.
    """
    if job.table_prefix is None:
        return list(files), {}
    wanted = job.table_prefix.lower()
    chosen = [each for each in files if each.prefix.lower() == wanted]
    chosen = chosen or [each for each in files if wanted and each.prefix.lower() == f"{wanted}_"]
    if not chosen:
        prefixes = list(dict.fromkeys(repr(each.prefix) for each in files))
        raise LayoutError(
            f"no tables with the prefix {job.table_prefix!r}",
            where=job.source,
            why=f"the prefixes are {shortened(prefixes, _SHOWN)}",
            remedy="give one of these with 'table_prefix', or leave it out",
        )
    paths = {each.file.path for each in chosen}
    return chosen, {each.file.path: _OTHER_SET for each in files if each.file.path not in paths}


def prefix_flag(stem: str, table: str) -> str:
    """Return the flag that takes the set of a table, from the stem of its file and the table's name."""
    return f"--table-prefix {shlex.quote(stem[: -len(table)])}"
