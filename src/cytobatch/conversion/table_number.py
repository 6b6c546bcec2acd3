"""TableNumbers: CellProfiler's and cytominer-database's name for a number that identifies an export."""

import zlib

from cytobatch.formats.base import OBJECTS
from cytobatch.readers.inputs import Inputs
from cytobatch.survey.model import Survey, SurveyedExport

_CHUNK = 2**20


def export_table_numbers(survey: Survey, inputs: Inputs) -> dict[int, int]:
    """Return the TableNumber of each export by its index, or nothing if exports get no number.

    A TableNumber is the CRC-32 of the file of the export's image table, as in cytominer-database; if a file holds
    several tables, or whole rows, that of the whole file. Exports whose files are equal byte for byte, or that have no
    image table, get the CRC-32 with their path added, so that no two exports share a number. By default exports get
    none if there is one export, if the source has TableNumbers, or if the format does not number exports.
    """
    is_numbered = survey.plan.job.add_tablenumber
    if is_numbered is None:
        has_own_identity = survey.by_table_number or not survey.plan.format.traits.numbers_exports
        is_numbered = len(survey.plan.exports) > 1 and not has_own_identity
    if not is_numbered:
        return {}
    numbers: dict[int, int] = {}
    taken: set[int] = set()
    for export in survey.exports:
        number = _checksum(survey, inputs, export)
        while number in taken:
            number = zlib.crc32(export.path.encode(), number)
        numbers[export.index] = number
        taken.add(number)
    return numbers


def _checksum(survey: Survey, inputs: Inputs, export: SurveyedExport) -> int:
    """Return the CRC-32 of the file of the export's image table, or of its path if it has none."""
    names = (OBJECTS,) if survey.plan.format.traits.single_table else survey.preset.metadata
    table = next((export.tables[name] for name in names if name in export.tables), None)
    if table is None:
        return zlib.crc32(export.path.encode())
    number = 0
    with inputs.whole(table.source).open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            number = zlib.crc32(chunk, number)
    return number
