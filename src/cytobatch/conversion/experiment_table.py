"""What the analyses record about themselves, as a table: a row for each export, run and key; and what the report has.

Pipelines are long, and those of a plate's sites are mostly equal: each text is in memory and in the file once.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence

import pyarrow as pa

from cytobatch.config.options import EXPERIMENT
from cytobatch.config.plural import plural
from cytobatch.conversion.conversion_run import ConversionRun
from cytobatch.conversion.pipeline_text import first_difference, settings_of
from cytobatch.formats.experiments import Experiment
from cytobatch.report.model import Outcome, SoftwareVersion

_VERSION = re.compile(r"(?!Metadata_)([A-Za-z]+)_Version")
_PIPELINE = "Pipeline_Pipeline"
_SHOWN = 3
_SCHEMA = pa.schema(
    [
        ("export", pa.string()),
        ("path", pa.string()),
        ("run", pa.int64()),
        ("key", pa.string()),
        ("value", pa.dictionary(pa.int32(), pa.string())),
    ]
)


def write_experiments(run: ConversionRun) -> None:
    """Write the experiment table of all exports that have not failed, and enter into the ledger what was found.

    Nothing is written if there is nothing to write. A table that cannot be read is a warning.
    """
    experiments = run.survey.experiments
    failed = run.ledger.failed_exports
    outcomes = {(each.path, each.table): _outcome(each, failed) for each in experiments}
    run.ledger.set_outcomes(outcomes)
    defects = [each for each in experiments if each.defect]
    if defects:
        first = defects[0]
        shown = f"{first.path} ({first.table})" if first.table else first.path
        run.ledger.warn(
            f"{plural(len(defects), 'record')} of an analysis cannot be read, such as {shown}: {first.defect}"
        )
    kept = [each for each in experiments if outcomes[each.path, each.table][0] is Outcome.CONVERTED]
    if kept:
        run.ledger.software += software_of(kept)
        for what in differences(kept):
            run.ledger.warn(what)
        run.writer.store_record(EXPERIMENT, experiment_table(kept))


def _outcome(experiment: Experiment, failed: Collection[str]) -> tuple[Outcome, str | None]:
    """Return the outcome of a table, and the reason if it is not converted."""
    if experiment.defect:
        return Outcome.IGNORED, f"a record of an analysis that cannot be read: {experiment.defect}"
    if experiment.export in failed:
        return Outcome.LEFT_OUT, "another table of its export failed"
    return Outcome.CONVERTED, None


def experiment_table(experiments: Sequence[Experiment]) -> pa.Table:
    """Return a row for each export, run and key: export, path, run (from 1), key and value, in their order.

    Returns
    -------
    pa.Table
        Text but for `run`, `int64`. `value` is dictionary-encoded, because the same text stands in many rows.
    """
    rows = [
        (each.export, each.path, number, key, value)
        for each in experiments
        for number, pairs in enumerate(each.runs, start=1)
        for key, value in pairs
    ]
    exports, paths, runs, keys, values = zip(*rows, strict=True) if rows else ((), (), (), (), ())
    numbers: dict[str, int] = {}
    indices = [None if value is None else numbers.setdefault(value, len(numbers)) for value in values]
    encoded = pa.DictionaryArray.from_arrays(pa.array(indices, pa.int32()), pa.array(list(numbers), pa.string()))
    return pa.table([pa.array(exports), pa.array(paths), pa.array(runs), pa.array(keys), encoded], schema=_SCHEMA)


def software_of(experiments: Sequence[Experiment]) -> list[SoftwareVersion]:
    """Return the programs and versions by which the exports were measured, sorted, with the number of exports."""
    counts = Counter(
        (match[1], value)
        for export, pairs in _by_export(experiments).items()
        for key, value in sorted(pairs)
        if (match := _VERSION.fullmatch(key))
    )
    return [SoftwareVersion(name=name, version=version, exports=n) for (name, version), n in sorted(counts.items())]


def differences(experiments: Sequence[Experiment]) -> Iterator[str]:
    """Yield a text for each program of which exports were measured by several versions, and for several pipelines."""
    exports: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    settings: dict[str, str] = {}
    for export, pairs in _by_export(experiments).items():
        for key, value in sorted(pairs):
            if match := _VERSION.fullmatch(key):
                exports[match[1]][value].append(export)
            elif key == _PIPELINE:
                same = settings[value] = settings.get(value) or settings_of(value)
                # An export may have several runs of one pipeline.
                if exports[_PIPELINE][same][-1:] != [export]:
                    exports[_PIPELINE][same].append(export)
    pipelines = exports.pop(_PIPELINE, {})
    for name, versions in sorted(exports.items()):
        if len(versions) > 1:
            shown = "; ".join(f"{version} in {_exports(paths)}" for version, paths in _frequent(versions))
            yield f"exports were measured by {len(versions)} versions of {name}: {shown}"
    if len(pipelines) > 1:
        shown = "; ".join(f"one in {_exports(paths)}" for _, paths in _frequent(pipelines))
        (most, _), (other, _), *_ = _frequent(pipelines)
        yield (
            f"exports were measured by {len(pipelines)} different pipelines: {shown}; "
            f"the first difference is {first_difference(most, other)}"
        )


def _by_export(experiments: Sequence[Experiment]) -> dict[str, set[tuple[str, str]]]:
    """Return the distinct keys and values of each export."""
    found: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for each in experiments:
        found[each.export].update((key, value) for pairs in each.runs for key, value in pairs if value is not None)
    return found


def _frequent(groups: Mapping[str, list[str]]) -> list[tuple[str, list[str]]]:
    """Return the most frequent groups first; groups of equal size in the order of the exports."""
    return sorted(groups.items(), key=lambda item: -len(item[1]))[:_SHOWN]


def _exports(paths: Sequence[str]) -> str:
    return f"{plural(len(paths), 'export')}, such as {paths[0]}"
