"""Tables that a joined profile does not need: other segmentations of a plate, and compartments that nothing links.

Where the usual compartments are linked to each other, they are the profile. The other tables are left out with a
warning, valid or not, and the warning has the option that takes them.
"""

import re
import shlex
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from cytobatch.config.presets.catalog import PresetName
from cytobatch.errors import LayoutError
from cytobatch.formats.base import ConversionPlan, ExportScan, PlateScan
from cytobatch.planning.columns import IMAGE_NUMBER
from cytobatch.planning.joins import BASE_ORDER, CompartmentKeys, JoinPlan, find_keys, plan_joins
from cytobatch.report.model import LedgerEntry, Outcome, ReportWarning
from cytobatch.survey.model import TableSchema

_FEWEST_OF_A_CHAIN = 2
_FEWEST_OF_A_SEGMENTATION = 2
_VARIANT = re.compile(rf"(?:pre_?)?(?P<usual>{'|'.join(BASE_ORDER)})_(?P<suffix>.+)")
"""The names that pipelines give to other segmentations: `Cells_HighThresh`, `preNuclei_Cellpose3`."""
_OTHER_SEGMENTATION = "another segmentation than that of the profile"
_NOT_LINKED = "nothing links it to {base}"

Keys = Mapping[str, CompartmentKeys]
"""The keys of compartments by name."""


def leave_out_unneeded(plan: ConversionPlan, scan: PlateScan) -> tuple[PlateScan, tuple[ReportWarning, ...]]:
    """Return the scan without the tables that a joined profile does not need, and a warning for each of them.

    They stay where the job names its compartments, or where the usual compartments are not linked to each other.
    """
    job = plan.job
    if job.preset is not PresetName.AUTO or job.compartments or not job.join or job.joins is not None:
        return scan, ()
    keys = _keys(scan)
    reasons = _unneeded(keys)
    if not reasons:
        return scan, ()
    shown = {table.shown_name: name for export in scan.exports for name, table in export.tables.items()}
    shown |= {table: label.lower() for export in scan.exports for table, label in export.invalid_labels.items()}
    by_table = reasons | {table: reasons[name] for table, name in shown.items() if name in reasons}
    exports = tuple(_without(export, reasons, by_table) for export in scan.exports)
    warnings = tuple(
        ReportWarning(
            what=f"compartment left out of the profile: {reason}; "
            f"take it with --compartments {shlex.quote(','.join(_segmentation(name, keys)))}",
            table=name,
        )
        for name, reason in sorted(reasons.items())
    )
    return replace(scan, exports=exports), warnings


def _keys(scan: PlateScan) -> dict[str, CompartmentKeys]:
    """Return the keys of all compartments that are valid in an export, or whose columns at least are known."""
    columns: dict[str, dict[str, None]] = defaultdict(dict)
    labels: dict[str, str] = {}
    read: set[tuple[str, int]] = set()
    for export in scan.exports:
        for name, table in export.tables.items():
            # Thousands of tables have few schemas between them.
            if name not in scan.preset.metadata and (name, id(table.schema)) not in read:
                read.add((name, id(table.schema)))
                labels.setdefault(name, table.label)
                columns[name].update(dict.fromkeys(table.schema.names))
        labels |= {label.lower(): label for label in export.invalid_labels.values() if label.lower() not in labels}
        for name, invalid in export.invalid_columns.items():
            if name not in scan.preset.metadata:
                # A table may be invalid because it lacks this column; its others show what it is linked to.
                columns[name].update(dict.fromkeys((IMAGE_NUMBER, *invalid)))
    found = ((name, find_keys(name, labels.get(name, name), names, columns)) for name, names in columns.items())
    return {name: keys for name, keys in found if keys is not None}


def _unneeded(keys: Keys) -> dict[str, str]:
    """Return the compartments that the profile does not need, each with the reason."""
    usual = {name: keys[name] for name in BASE_ORDER if name in keys}
    if len(usual) < _FEWEST_OF_A_CHAIN:
        return {}
    others = _other_segmentations(keys) - _ancestors(usual, keys)
    joins = plan_joins({name: keys[name] for name in keys if name not in others}, ())
    if not set(usual) <= set(joins.compartments):
        return {}
    not_linked = _NOT_LINKED.format(base=joins.base)
    return dict.fromkeys(joins.unlinked, not_linked) | dict.fromkeys(others, _OTHER_SEGMENTATION)


def _other_segmentations(keys: Keys) -> set[str]:
    """Return the compartments of other segmentations: those of a suffix that several kinds have, and any cytoplasm."""
    variants = {name: match for name in keys if (match := _VARIANT.fullmatch(name))}
    kinds: dict[str, set[str]] = defaultdict(set)
    for match in variants.values():
        kinds[match["suffix"]].add(match["usual"])
    return {
        name
        for name, match in variants.items()
        if match["usual"] == BASE_ORDER[0] or len(kinds[match["suffix"]]) >= _FEWEST_OF_A_SEGMENTATION
    }


def _ancestors(names: Collection[str], keys: Keys) -> set[str]:
    """Return the parents of compartments, and the parents of these."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        parents = [name for name in keys[waiting.pop()].parents if name in keys and name not in found]
        found.update(parents)
        waiting += parents
    return found


def _segmentation(name: str, keys: Keys) -> Sequence[str]:
    """Return a compartment with what is made from it and what these are made from, so that all can be joined."""
    children = {other for other, each in keys.items() if name in each.parents and other not in BASE_ORDER}
    return sorted({name, *children, *_ancestors({name, *children}, keys)})


def _without(scan: ExportScan, reasons: Mapping[str, str], by_table: Mapping[str, str]) -> ExportScan:
    """Return the scan of an export without the unneeded tables, which are listed as ignored.

    `reasons` are by the names of tables, `by_table` also by their names at the source.
    """
    tables = {name: table for name, table in scan.tables.items() if name not in reasons}
    left_out = [
        LedgerEntry(
            path=table.source,
            outcome=Outcome.IGNORED,
            export=scan.export.path,
            table=table.shown_name,
            reason=f"left out of the profile: {reasons[name]}",
        )
        for name, table in scan.tables.items()
        if name in reasons
    ]
    needed = tuple(entry for entry in scan.defects if (entry.table or "") not in by_table)
    invalid = [_not_failed(entry, by_table) for entry in scan.defects if (entry.table or "") in by_table]
    return replace(scan, tables=tables, defects=needed, ignored=(*scan.ignored, *left_out, *invalid))


def _not_failed(defect: LedgerEntry, reasons: Mapping[str, str]) -> LedgerEntry:
    reason = f"left out of the profile: {reasons[defect.table or '']}; {defect.reason}"
    return defect.model_copy(update={"outcome": Outcome.IGNORED, "reason": reason})


def check_unlinked(source: str, joins: JoinPlan, tables: Mapping[str, TableSchema]) -> None:
    """Check that the compartments without a link have fewer columns than the profile. Raises LayoutError."""
    joined = sum(len(tables[name].features) for name in joins.compartments)
    left_out = sum(len(tables[name].features) for name in joins.unlinked)
    if left_out > joined:
        raise LayoutError(
            "most of the measurements would be left out",
            where=source,
            why=f"nothing links {', '.join(joins.unlinked)} to {joins.base}; they have {left_out} of the "
            f"{left_out + joined} columns with measurements",
            remedy="name the compartments to convert with 'compartments', give your own SQL in 'joins', or convert "
            "with join off",
        )
