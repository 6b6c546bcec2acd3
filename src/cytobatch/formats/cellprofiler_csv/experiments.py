"""The files in which ExportToSpreadsheet records pipeline, version and time: `Experiment.csv`, with any prefix."""

from cytobatch.errors import InvalidTableError
from cytobatch.formats.base import ConversionPlan
from cytobatch.formats.csv_names import TableFile, table_files
from cytobatch.formats.csv_suffixes import EXPERIMENT
from cytobatch.formats.experiments import Experiment
from cytobatch.formats.hidden_files import without_hidden
from cytobatch.readers.csv.pairs import read_pairs
from cytobatch.readers.inputs import Inputs


def experiment_files(plan: ConversionPlan) -> list[TableFile]:
    """Return the files by their names, which are none of the plan's tables; nothing if the job does not keep them."""
    if not plan.job.experiment:
        return []
    tables = {file.path for export in plan.exports for file in export.files}
    files = table_files(without_hidden(plan.inventory))
    return [each for path, each in files.items() if each.stem == EXPERIMENT and path not in tables]


def read_experiments(plan: ConversionPlan, inputs: Inputs) -> tuple[Experiment, ...]:
    """Read the files. Equal texts of many files are in memory once. Raises StorageError."""
    exports = _exports_by_set(plan)
    texts: dict[str, str] = {}
    found = []
    for each in experiment_files(plan):
        path, folder = each.file.path, each.file.folder
        export = exports.get((folder, each.prefix.lower()), folder)
        try:
            pairs = read_pairs(inputs.whole(path))
        except InvalidTableError as error:
            found.append(Experiment(export, path, None, defect=error.reason))
        else:
            run = tuple((texts.setdefault(key, key), texts.setdefault(value, value)) for key, value in pairs)
            found.append(Experiment(export, path, None, (run,)))
        inputs.release(path)
    return tuple(found)


def _exports_by_set(plan: ConversionPlan) -> dict[tuple[str, str], str]:
    """Return the path of each export by its folder and by the lower-case prefix of its files."""
    files = table_files(without_hidden(plan.inventory))
    named = [(export.path, files[file.path]) for export in plan.exports for file in export.files if file.path in files]
    return {(each.file.folder, each.prefix.lower()): path for path, each in named}
