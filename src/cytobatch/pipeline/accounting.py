"""The accounting rule: a run publishes only if its ledger names all that it found, and if no object is missing.

What the listing found and what the ledger names are compared for files and for tables. For each table the objects that
were read are the rows that were written and the losses that the report names. A difference is a defect of cytobatch.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from cytobatch.config.plural import plural
from cytobatch.conversion.ledger import RunLedger
from cytobatch.conversion.object_flow import ObjectFlow
from cytobatch.errors import InternalError
from cytobatch.planning.inventory import Inventory
from cytobatch.report.model import LedgerEntry, Outcome
from cytobatch.survey.model import Survey

_MAX_SHOWN = 10


def check_accounts(survey: Survey, ledger: RunLedger) -> None:
    """Compare what was found with what the ledger names. Raises InternalError, with the first differences."""
    differences = list(_differences(survey, ledger))
    if not differences:
        return
    shown = differences[:_MAX_SHOWN]
    more = len(differences) - len(shown)
    raise InternalError(
        "the ledger does not account for the source",
        where=survey.plan.job.source,
        why="; ".join([*shown, f"and {more} more"] if more else shown),
        remedy="nothing is published, because it may be incomplete; report this text as a defect of cytobatch",
    )


def _differences(survey: Survey, ledger: RunLedger) -> Iterator[str]:
    yield from file_differences(survey.plan.inventory, ledger.entries)
    yield from table_differences(survey.listed, ledger.entries)
    yield from object_differences(ledger.entries, ledger.flows, ledger.losses)
    due = rows_due(survey, ledger.flows)
    done = ledger.rows + ledger.rows_dropped
    if due is not None and due != done:
        dropped = f"{ledger.rows_dropped} were dropped for nulls"
        yield f"{plural(due, 'row')} had to be written, {ledger.rows} were, and {dropped}"


def file_differences(inventory: Inventory, entries: Sequence[LedgerEntry]) -> Iterator[str]:
    """Yield the files of the listing without a ledger entry, paths of entries not in the listing, and repeated paths.

    An entry of a missing table has the path of its export.
    """
    counts = Counter(file.path for file in inventory.files)
    named, exports = {entry.path for entry in entries}, {entry.export for entry in entries}
    for path, count in counts.items():
        if count > 1:
            yield f"file {path}: {count} files of the listing have this path"
        if path not in named:
            yield f"file {path}: it is in the listing, and not in the ledger"
    for path in sorted(named - counts.keys() - exports):
        yield f"file {path}: it is in the ledger, and not in the listing"


def table_differences(listed: Mapping[str, frozenset[str]], entries: Iterable[LedgerEntry]) -> Iterator[str]:
    """Yield the tables that were found and have no ledger entry, and the tables of entries that were not found.

    A failed entry without a table is one of the whole file. A failed table may be one that is missing from its file.
    """
    outcomes: dict[tuple[str, str | None], set[Outcome]] = defaultdict(set)
    for entry in entries:
        outcomes[entry.path, entry.table].add(entry.outcome)
    for path, tables in listed.items():
        for table in sorted(tables):
            if (path, table) not in outcomes and Outcome.FAILED not in outcomes.get((path, None), ()):
                yield f"table {table} of {path}: it was found, and is not in the ledger"
    for (path, name), of_table in outcomes.items():
        if name is not None and of_table != {Outcome.FAILED} and name not in listed.get(path, ()):
            yield f"table {name} of {path}: it is in the ledger, and was not found"


def object_differences(
    entries: Iterable[LedgerEntry], flows: Iterable[ObjectFlow], losses: Mapping[tuple[str, str], int]
) -> Iterator[str]:
    """Yield the tables of which objects were read that were neither written nor are a named loss.

    `losses` are numbers of objects by the path of their export and the name of their table. A file may hold several
    tables of an export under one name.
    """
    named: Counter[tuple[str | None, str, str | None]] = Counter()
    for entry in entries:
        named[entry.export, entry.path, entry.table] += entry.rows or 0
    for flow in flows:
        lost = losses.get((flow.export, flow.table), 0)
        if flow.read != flow.written + lost:
            counts = f"{plural(flow.read, 'object')} read, {flow.written} written, {lost} named as lost or aggregated"
            yield f"table {flow.shown_name} of {flow.path}: {counts}"
        named[flow.export, flow.path, flow.shown_name] -= flow.read
    for (_, path, table), difference in named.items():
        if difference:
            yield f"table {table} of {path}: the ledger has {difference:+,d} objects more than were read"


def rows_due(survey: Survey, flows: Iterable[ObjectFlow]) -> int | None:
    """Return the number of output rows that follows from the flows; None if a user's own SQL decides it.

    Joined rows have one row for each object of the base compartment.
    """
    job = survey.plan.job
    if survey.join is not None:
        return sum(flow.written for flow in flows if flow.table == survey.join.base)
    if survey.single_table is not None or not job.join:
        return sum(flow.written for flow in flows)
    return None
