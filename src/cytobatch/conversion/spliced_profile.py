"""The profile of a large plate, made of parts that other processes convert."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from cytobatch.conversion.column_lists import KnownColumns
from cytobatch.conversion.conversion_run import ConversionRun
from cytobatch.conversion.parts import PartsConverter, PartWork, survey_of_range


def splice_profile(
    run: ConversionRun, convert_parts: PartsConverter, schema: pa.Schema, features: Sequence[str], known: KnownColumns
) -> None:
    """Write the profile from its parts, in their order, and enter into the ledger what each of them has found."""
    for output in run.outputs:
        works = [
            PartWork(number, survey_of_range(run.survey, exports), run.table_numbers)
            for number, exports in enumerate(output.ranges)
        ]
        run.writer.splice(output.name, schema, _files(run, convert_parts, works), features, known)


def _files(run: ConversionRun, convert_parts: PartsConverter, works: Sequence[PartWork]) -> Iterator[Path]:
    for part in convert_parts(works):
        run.ledger.merge(part.ledger)
        yield part.path
