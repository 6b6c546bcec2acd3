"""The account that is kept while a plate is converted: what became of each table, and what was met on the way."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sized

from cytobatch.conversion.key_join import UnmatchedObjects
from cytobatch.conversion.nonfinite import NonFinite
from cytobatch.errors import InputDataError, TooManyFailedExportsError
from cytobatch.output.row_groups import RowGroup
from cytobatch.planning.columns import PLATE, SITE, WELL
from cytobatch.readers.numbers import Repair
from cytobatch.report.model import LedgerEntry, NonFiniteValues, Outcome, ReportWarning, ValueRepair
from cytobatch.survey.model import Survey, SurveyedExport, TableRepair, left_out_entries, with_file_facts

_FAILURES_SHOWN = 50
_EXPORTS_NAMED = 10

SiteKey = tuple[object, object, object]
"""A plate, a well and a site; what is not known is None."""


class RunLedger:
    """Collects ledger entries, repairs, warnings and counts. Starts with what the survey settled."""

    def __init__(self, survey: Survey) -> None:
        self._job = survey.plan.job
        self._files = {file.path: file for file in survey.plan.inventory.files}
        self._paths = {export.index: export.path for export in survey.plan.exports}
        self._counted = survey.counted
        self._exact_has_rows = survey.plan.format.traits.exact_has_rows
        self.entries: list[LedgerEntry] = list(survey.ledger)
        self._repairs: list[TableRepair] = list(survey.repairs)
        self._warnings: list[ReportWarning] = list(survey.warnings)
        self._unmatched: list[UnmatchedObjects] = []
        self._odd: dict[str, Counter[str]] = defaultdict(Counter)
        self.objects: Counter[str] = Counter()
        self.places: set[SiteKey] = set()
        self.rows = 0
        self.rows_dropped = 0

    @property
    def failed_exports(self) -> set[str]:
        """The paths of exports of which a table failed."""
        return {entry.export for entry in self.entries if entry.outcome is Outcome.FAILED and entry.export}

    @property
    def wells(self) -> int:
        """Wells of the rows that were written."""
        return len({(plate, well) for plate, well, _ in self.places if well is not None})

    @property
    def plates(self) -> int:
        """Plates of the rows that were written."""
        return len({plate for plate, _, _ in self.places if plate is not None})

    @property
    def sites(self) -> int:
        """Sites of the rows that were written."""
        return len({place for place in self.places if place[2] is not None})

    def check(self) -> None:
        """Raises TooManyFailedExportsError, naming them, once more exports failed than the job allows."""
        failed = len(self.failed_exports)
        if failed <= self._job.max_failed_exports:
            return
        raise TooManyFailedExportsError(
            f"{failed} of {len(self._paths)} export(s) failed",
            where=self._job.source,
            why=self.failures(),
            remedy=f"mend or remove them, or allow them with max_failed_exports (now {self._job.max_failed_exports})",
        )

    @property
    def finished_entries(self) -> list[LedgerEntry]:
        """The entries of tables that are in the output, or are sound and have no object."""
        return [entry for entry in self.entries if entry.outcome in (Outcome.CONVERTED, Outcome.EMPTY)]

    def check_something_is_left(self, what: Sized) -> None:
        """Raises InputDataError where nothing is left that could be converted, whatever the job allows to fail."""
        if not what:
            raise InputDataError(
                "nothing could be converted",
                where=self._job.source,
                why=self.failures(),
                remedy="mend the exports named",
            )

    def failures(self) -> str:
        """The failed tables, a line each, each with its reason."""
        failed = [entry for entry in self.entries if entry.outcome is Outcome.FAILED]
        lines = [f"{entry.path} ({entry.table or 'file'}): {entry.reason}" for entry in failed[:_FAILURES_SHOWN]]
        more = len(failed) - len(lines)
        return "\n       ".join([*lines, f"and {more} more"] if more else lines)

    def fail(self, export: SurveyedExport, name: str, reason: str, *, whole_export: bool) -> None:
        """A table failed; with `whole_export` the sound tables of its export are left out with it."""
        table = export.tables[name]
        entry = LedgerEntry(
            path=table.source, outcome=Outcome.FAILED, export=export.path, table=table.shown_name, reason=reason
        )
        self._add(entry)
        if whole_export:
            for other in left_out_entries(export.path, (t for key, t in export.tables.items() if key != name)):
                self._add(other)
        self.check()

    def converted(self, export: SurveyedExport, name: str, rows: int | None) -> None:
        """A table of an export was converted, with so many rows; None where they were not counted."""
        table = export.tables[name]
        if self._exact_has_rows and not table.has_rows:
            return
        self.objects[name] += rows or 0
        counted = self._counted.get(export.index, {}).get(name)
        if rows is not None and counted is not None and counted != rows:
            what = "objects that the image table counts and the table lacks"
            more = "objects that the table has and the image table does not count"
            self._unmatched.append(
                UnmatchedObjects(export.index, name, what if rows < counted else more, abs(counted - rows))
            )
        entry = LedgerEntry(
            path=table.source, outcome=Outcome.CONVERTED, export=export.path, table=table.shown_name, rows=rows
        )
        self._add(entry)

    def repaired(self, export: SurveyedExport, table: str, repairs: Iterable[Repair]) -> None:
        """Values of a table were taken for what they mean."""
        self._repairs += [TableRepair(export.path, table, repair) for repair in repairs]

    @property
    def repairs(self) -> list[ValueRepair]:
        """What was made of odd text, added up over exports for each column."""
        groups: dict[tuple[str, str, str, str], list[TableRepair]] = defaultdict(list)
        for item in self._repairs:
            groups[item.table, item.repair.column, item.repair.text, item.repair.became].append(item)
        return [
            ValueRepair(
                table=table,
                column=column,
                text=text,
                became=became,
                count=sum(item.repair.count for item in items),
                exports=len(items),
                first_exports=[item.export for item in items[:_EXPORTS_NAMED]],
            )
            for (table, column, text, became), items in groups.items()
        ]

    def odd_values(self, columns: Iterable[NonFinite]) -> None:
        """Adds up what in columns of floats is no finite number."""
        for found in columns:
            self._odd[found.column].update(nulls=found.nulls, nans=found.nans, infinities=found.infinities)

    @property
    def odd(self) -> list[NonFiniteValues]:
        """The columns of floats in the output that hold anything but finite numbers."""
        return [
            NonFiniteValues(column=name, nulls=found["nulls"], nans=found["nans"], infinities=found["infinities"])
            for name, found in self._odd.items()
        ]

    def warn(self, what: str, *, table: str | None = None) -> None:
        """Something that a reader of the profile should know."""
        self._warnings.append(ReportWarning(what=what, table=table))

    def add_unmatched(self, unmatched: Iterable[UnmatchedObjects]) -> None:
        """Objects that a join left aside."""
        self._unmatched += unmatched

    @property
    def warnings(self) -> list[ReportWarning]:
        """All warnings; what joins left aside is added up over exports."""
        groups: dict[tuple[str, str], list[UnmatchedObjects]] = defaultdict(list)
        for item in self._unmatched:
            groups[item.table, item.what].append(item)
        return self._warnings + [
            ReportWarning(
                what=what,
                table=table,
                count=sum(item.count for item in items),
                exports=len(items),
                first_exports=[self._paths[item.export] for item in items[:_EXPORTS_NAMED]],
            )
            for (table, what), items in groups.items()
        ]

    def _add(self, entry: LedgerEntry) -> None:
        self.entries.append(with_file_facts(entry, self._files))


def sites_of(profile: RowGroup) -> set[SiteKey]:
    """The plates, wells and sites of profile rows."""
    numbers = [profile.schema.get_field_index(name) for name in (PLATE, WELL, SITE)]
    table = profile.select([number for number in numbers if number >= 0])
    if not table.num_columns:
        return set()
    rows = table.group_by(table.column_names).aggregate([]).to_pylist()
    return {(row.get(PLATE), row.get(WELL), row.get(SITE)) for row in rows}
