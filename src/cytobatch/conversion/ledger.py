"""The ledger of a conversion: the outcome of each table, and the repairs, warnings and counts of the run."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sized
from dataclasses import dataclass

from cytobatch.config.natural_order import natural_key
from cytobatch.config.plural import count, plural
from cytobatch.config.presets.catalog import PresetName
from cytobatch.conversion.key_join import UnmatchedObjects
from cytobatch.conversion.nonfinite import NonFinite
from cytobatch.conversion.object_flow import ObjectFlow
from cytobatch.errors import InputDataError, TooManyFailedExportsError
from cytobatch.formats.base import SurveyedTable
from cytobatch.output.row_groups import RowGroup
from cytobatch.planning.columns import PLATE, SITE, WELL
from cytobatch.readers.numbers import Repair
from cytobatch.report.model import LedgerEntry, NonFiniteValues, Outcome, ReportWarning, SoftwareVersion, ValueRepair
from cytobatch.survey.model import Survey, SurveyedExport, TableRepair, left_out_entries, with_file_facts

_MAX_FAILURES_SHOWN = 50
_MAX_EXPORTS_NAMED = 10

SiteKey = tuple[object, object, object]
"""A plate, a well and a site; an unknown one is None."""


@dataclass(frozen=True, slots=True)
class LedgerPart:
    """What the conversion of a range of exports adds to the ledger of its survey, in the order of the exports.

    `replaced` are the entries of the survey that the conversion has found wrong. The other fields are those of
    `RunLedger`; `non_finite` has nulls, NaN and infinities by column, in the order in which columns were found.
    """

    entries: tuple[LedgerEntry, ...]
    replaced: tuple[LedgerEntry, ...]
    repairs: tuple[TableRepair, ...]
    warnings: tuple[ReportWarning, ...]
    unmatched: tuple[UnmatchedObjects, ...]
    non_finite: tuple[NonFinite, ...]
    flows: tuple[ObjectFlow, ...]
    objects: Mapping[str, int]
    site_keys: frozenset[SiteKey]
    rows: int
    rows_dropped: int


class RunLedger:
    """Collects ledger entries, repairs, warnings and counts. Starts with the entries of the survey.

    `objects` counts the rows of converted tables by name. `site_keys` are the sites of the rows that were written;
    `rows` and `rows_dropped` count rows that were written, and rows that were left out because of nulls. `flows` has
    the objects of each table that were read, and those that are in rows of the output. `software` has the programs that
    measured the exports.
    """

    def __init__(self, survey: Survey) -> None:
        self._survey = survey
        self._job = survey.plan.job
        self._files = {file.path: file for file in survey.plan.inventory.files}
        self._paths = {export.index: export.path for export in survey.plan.exports}
        self._counted = survey.counted
        self._exact_has_rows = survey.plan.format.traits.exact_has_rows
        self.entries: list[LedgerEntry] = list(survey.ledger)
        self._empty = {_key(entry): entry for entry in self.entries if entry.outcome is Outcome.EMPTY}
        self._repairs: list[TableRepair] = list(survey.repairs)
        self._warnings: list[ReportWarning] = list(survey.warnings)
        self._unmatched: list[UnmatchedObjects] = []
        self._non_finite: dict[str, Counter[str]] = defaultdict(Counter)
        self.flows: list[ObjectFlow] = []
        self.software: list[SoftwareVersion] = []
        self.objects: Counter[str] = Counter()
        self.site_keys: set[SiteKey] = set()
        self.rows = 0
        self.rows_dropped = 0

    @property
    def failed_exports(self) -> set[str]:
        """The paths of the exports that have a failed table."""
        return {entry.export for entry in self.entries if entry.outcome is Outcome.FAILED and entry.export}

    @property
    def losses(self) -> Counter[tuple[str, str]]:
        """The objects without a row of their own that a warning names, by export's path and table.

        They are in no row of the profile, or part of a mean or number.
        """
        losses: Counter[tuple[str, str]] = Counter()
        for item in self._unmatched:
            losses[self._paths[item.export], item.table] += item.count if item.lost or item.aggregated else 0
        return losses

    @property
    def finished_entries(self) -> list[LedgerEntry]:
        """The entries of tables that are in the output, or are valid and have no object."""
        return [entry for entry in self.entries if entry.outcome in (Outcome.CONVERTED, Outcome.EMPTY)]

    @property
    def plates(self) -> int:
        """The number of plates of the rows that were written."""
        return len(self.plate_names)

    @property
    def plate_names(self) -> list[str]:
        """The names of the plates of the rows that were written, in natural order."""
        return sorted({str(plate) for plate, _, _ in self.site_keys if plate is not None}, key=natural_key)

    @property
    def wells(self) -> int:
        """The number of wells of the rows that were written."""
        return len({(plate, well) for plate, well, _ in self.site_keys if well is not None})

    @property
    def sites(self) -> int:
        """The number of sites of the rows that were written."""
        return len({key for key in self.site_keys if key[2] is not None})

    @property
    def repairs(self) -> list[ValueRepair]:
        """The repairs of text in numeric columns, added up over exports for each column."""
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
                first_exports=[item.export for item in items[:_MAX_EXPORTS_NAMED]],
            )
            for (table, column, text, became), items in groups.items()
        ]

    @property
    def non_finite(self) -> list[NonFiniteValues]:
        """The output columns of floats that hold nulls, NaN or infinities, with the number of each."""
        return [
            NonFiniteValues(column=name, nulls=counts["nulls"], nans=counts["nans"], infinities=counts["infinities"])
            for name, counts in self._non_finite.items()
        ]

    @property
    def warnings(self) -> list[ReportWarning]:
        """All warnings; unmatched objects are added up over exports."""
        groups: dict[tuple[str, str], list[UnmatchedObjects]] = defaultdict(list)
        for item in self._unmatched:
            groups[item.table, item.what].append(item)
        return self._warnings + [
            ReportWarning(
                what=what,
                table=table,
                count=sum(item.count for item in items),
                exports=len(items),
                first_exports=[self._paths[item.export] for item in items[:_MAX_EXPORTS_NAMED]],
            )
            for (table, what), items in groups.items()
        ]

    def check_failed_exports(self) -> None:
        """Raise TooManyFailedExportsError, with their names, if more exports failed than the job allows."""
        failed = len(self.failed_exports)
        if failed <= self._job.max_failed_exports:
            return
        # The run ends here: what it has not read may fail, too.
        shown = count(failed) if failed == len(self._paths) else f"at least {count(failed)}"
        raise TooManyFailedExportsError(
            f"{shown} of {plural(len(self._paths), 'export')} failed",
            where=self._job.source,
            why=self.failures(),
            remedy=self._remedy(failed),
        )

    def _remedy(self, failed: int) -> str:
        if failed == len(self._paths) and self._job.preset is not PresetName.AUTO:
            return f"mend them, or leave out the preset {self._job.preset.value!r}: auto detects the format"
        allowed = self._job.max_failed_exports
        return f"mend or remove them, or allow them with max_failed_exports (--max-failed-exports), now {allowed}"

    def check_not_empty(self, inputs: Sized) -> None:
        """Raise InputDataError if there is no input to convert, however many exports the job allows to fail."""
        if not inputs:
            raise InputDataError(
                "nothing could be converted",
                where=self._job.source,
                why=self.failures(),
                remedy="mend the exports named",
            )

    def failures(self) -> str:
        """Return the failed tables as lines of text, each with its reason."""
        failed = [entry for entry in self.entries if entry.outcome is Outcome.FAILED]
        lines = [f"{entry.path} ({entry.table or 'file'}): {entry.reason}" for entry in failed[:_MAX_FAILURES_SHOWN]]
        more = len(failed) - len(lines)
        return "\n       ".join([*lines, f"and {more} more"] if more else lines)

    def fail(self, export: SurveyedExport, name: str, reason: str, *, whole_export: bool) -> None:
        """Add a failed table; with `whole_export` the valid tables of its export are left out with it.

        Raises TooManyFailedExportsError.
        """
        table = export.tables[name]
        entry = LedgerEntry(
            path=table.source, outcome=Outcome.FAILED, export=export.path, table=table.shown_name, reason=reason
        )
        if _key(entry) in self._empty:
            # The survey named it by its first lines.
            self.entries.remove(self._empty.pop(_key(entry)))
        self._add(entry)
        if whole_export:
            for other in left_out_entries(export.path, (t for key, t in export.tables.items() if key != name)):
                if _key(other) not in self._empty:
                    self._add(other)
        self.check_failed_exports()

    def add_converted(self, export: SurveyedExport, name: str, rows: int | None) -> None:
        """Add a converted table with its number of rows, or None if they were not counted; an empty table as such."""
        table = export.tables[name]
        if self._exact_has_rows and not table.has_rows:
            self._add_empty(export, table)
            return
        self.objects[name] += rows or 0
        if rows is not None:
            self._compare_with_image_table(export, name, rows)
        entry = LedgerEntry(
            path=table.source, outcome=Outcome.CONVERTED, export=export.path, table=table.shown_name, rows=rows
        )
        self._add(entry)

    def add_unlinked(self, export: SurveyedExport, name: str, base: str) -> None:
        """Add a valid table that is left out of the profile, because nothing links its objects to those of the base."""
        table = export.tables[name]
        entry = LedgerEntry(
            path=table.source,
            outcome=Outcome.IGNORED,
            export=export.path,
            table=table.shown_name,
            reason=f"left out of the profile: nothing links it to {base}",
        )
        if _key(entry) not in self._empty:
            self._add(entry)

    def set_outcomes(self, outcomes: Mapping[tuple[str, str | None], tuple[Outcome, str | None]]) -> None:
        """Set outcomes and reasons, by path and table, of files and tables that the survey has named as ignored."""
        for number, entry in enumerate(self.entries):
            if entry.outcome is Outcome.IGNORED and (entry.path, entry.table) in outcomes:
                outcome, reason = outcomes[entry.path, entry.table]
                self.entries[number] = entry.model_copy(update={"outcome": outcome, "reason": reason})

    def _add_empty(self, export: SurveyedExport, table: SurveyedTable) -> None:
        """Add a table without rows, unless the survey has named it: beside tables with rows it does not."""
        entry = LedgerEntry(
            path=table.source,
            outcome=Outcome.EMPTY,
            export=export.path,
            table=table.shown_name,
            rows=0,
            reason="a table without objects",
        )
        if _key(entry) not in self._empty:
            self._empty[_key(entry)] = entry
            self._add(entry)

    def _compare_with_image_table(self, export: SurveyedExport, name: str, rows: int) -> None:
        counted = self._counted.get(export.index, {}).get(name, rows)
        if counted != rows:
            lacking = "objects that the image table counts and the table lacks"
            extra = "objects that the table has and the image table does not count"
            what = lacking if rows < counted else extra
            self._unmatched.append(UnmatchedObjects(export.index, name, what, abs(counted - rows)))

    def add_repairs(self, export: SurveyedExport, table: str, repairs: Iterable[Repair]) -> None:
        """Add the repairs of values of a table."""
        self._repairs += [TableRepair(export.path, table, repair) for repair in repairs]

    def add_non_finite(self, columns: Iterable[NonFinite]) -> None:
        """Add up the nulls, NaN and infinities of output columns of floats."""
        for column in columns:
            self._non_finite[column.column].update(nulls=column.nulls, nans=column.nans, infinities=column.infinities)

    def add_unmatched(self, unmatched: Iterable[UnmatchedObjects]) -> None:
        """Add objects without a counterpart."""
        self._unmatched += unmatched

    def warn(self, what: str, *, table: str | None = None) -> None:
        """Add a warning for readers of the profile."""
        self._warnings.append(ReportWarning(what=what, table=table))

    def part(self) -> LedgerPart:
        """Return what was added since the survey."""
        surveyed = {id(entry) for entry in self._survey.ledger}
        kept = {id(entry) for entry in self.entries}
        return LedgerPart(
            entries=tuple(entry for entry in self.entries if id(entry) not in surveyed),
            replaced=tuple(entry for entry in self._survey.ledger if id(entry) not in kept),
            repairs=tuple(self._repairs[len(self._survey.repairs) :]),
            warnings=tuple(self._warnings[len(self._survey.warnings) :]),
            unmatched=tuple(self._unmatched),
            non_finite=tuple(
                NonFinite(column, counts["nulls"], counts["nans"], counts["infinities"])
                for column, counts in self._non_finite.items()
            ),
            flows=tuple(self.flows),
            objects=dict(self.objects),
            site_keys=frozenset(self.site_keys),
            rows=self.rows,
            rows_dropped=self.rows_dropped,
        )

    def merge(self, part: LedgerPart) -> None:
        """Add what another ledger of the same survey, of the next range of exports, has added to it.

        A warning that several parts have stays one. Raises TooManyFailedExportsError.
        """
        for entry in part.replaced:
            self.entries.remove(entry)
            self._empty.pop(_key(entry), None)
        self.entries += part.entries
        self._empty |= {_key(entry): entry for entry in part.entries if entry.outcome is Outcome.EMPTY}
        self._repairs += part.repairs
        self._warnings += [warning for warning in part.warnings if warning not in self._warnings]
        self._unmatched += part.unmatched
        self.add_non_finite(part.non_finite)
        self.flows += part.flows
        self.objects.update(part.objects)
        self.site_keys |= part.site_keys
        self.rows += part.rows
        self.rows_dropped += part.rows_dropped
        self.check_failed_exports()

    def _add(self, entry: LedgerEntry) -> None:
        self.entries.append(with_file_facts(entry, self._files))


def _key(entry: LedgerEntry) -> tuple[str | None, str, str | None]:
    """Return what identifies a table in the ledger."""
    return entry.export, entry.path, entry.table


def sites_of(profile: RowGroup) -> set[SiteKey]:
    """Return the plate, well and site of each site that profile rows are of."""
    numbers = [profile.schema.get_field_index(name) for name in (PLATE, WELL, SITE)]
    table = profile.select([number for number in numbers if number >= 0])
    if not table.num_columns:
        return set()
    rows = table.group_by(table.column_names).aggregate([]).to_pylist()
    return {(row.get(PLATE), row.get(WELL), row.get(SITE)) for row in rows}
