"""The profile of a large plate, made of parts that other processes convert."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from cytobatch.config.options import SINGLE_CELLS
from cytobatch.conversion.column_lists import KnownColumns
from cytobatch.conversion.conversion_run import ConversionRun
from cytobatch.conversion.parts import PartsConverter, PlateInParts


def splice_profile(
    run: ConversionRun, convert_parts: PartsConverter, schema: pa.Schema, features: Sequence[str], known: KnownColumns
) -> None:
    """Write the profile from its parts, in their order, and enter into the ledger what each of them has found."""
    run.writer.splice(SINGLE_CELLS, schema, _files(run, convert_parts), features, known)


def _files(run: ConversionRun, convert_parts: PartsConverter) -> Iterator[Path]:
    plate = PlateInParts.of(run.survey, run.table_numbers)
    run.work.expect(sum(export.export.size for export in run.survey.exports), 0)
    for number, part in enumerate(convert_parts(plate)):
        run.ledger.merge(part.ledger)
        yield part.path
        exports = plate.survey_of(number).exports
        size = sum(export.export.size for export in exports)
        run.work.read(size)
        run.work.taken(size, len(exports))
        run.work.group_ends(run.ledger.rows)
