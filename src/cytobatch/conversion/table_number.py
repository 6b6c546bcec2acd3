"""TableNumbers: the field's name for a number that tells exports apart."""

import zlib

from cytobatch.formats.base import OBJECTS
from cytobatch.readers.inputs import Inputs
from cytobatch.survey.model import Survey, SurveyedExport

_CHUNK = 2**20


def export_table_numbers(survey: Survey, inputs: Inputs) -> dict[int, int]:
    """The TableNumber of each export, by index: the CRC-32 of its image table's file, as cytominer-database has it.

    For SQLite and IN Carta it is that of the whole file. Exports whose files are alike byte for byte, or that have no
    image table, get the CRC-32 with their path added, so that no two exports share a number. Empty where none is
    wanted: by default, where there is one export, where the source has TableNumbers of its own, or for DeepProfiler.
    """
    wanted = survey.plan.job.add_tablenumber
    if wanted is None:
        numbers_itself = survey.by_table_number or not survey.plan.format.traits.numbers_exports
        wanted = len(survey.plan.exports) > 1 and not numbers_itself
    if not wanted:
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
    names = (OBJECTS,) if survey.plan.format.traits.single_table else survey.preset.metadata
    table = next((export.tables[name] for name in names if name in export.tables), None)
    if table is None:
        return zlib.crc32(export.path.encode())
    number = 0
    with inputs.whole(table.source).open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            number = zlib.crc32(chunk, number)
    return number
