"""The objects of one table of one export on their way from the file to the output, as counts."""

from dataclasses import dataclass

from cytobatch.survey.model import SurveyedExport


@dataclass(frozen=True, slots=True)
class ObjectFlow:
    """How many objects of a table were read, and how many of them are in rows that go to the output.

    `export` is the path of the export, `path` that of the file, `shown_name` the table's name in its source.
    """

    export: str
    path: str
    table: str
    shown_name: str
    read: int
    written: int


def object_flow(export: SurveyedExport, name: str, read: int, written: int) -> ObjectFlow:
    """Return the flow of one table of an export."""
    table = export.tables[name]
    return ObjectFlow(export.path, table.source, name, table.shown_name, read, written)
