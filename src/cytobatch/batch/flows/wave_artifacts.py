"""What Prefect shows of a wave: a table with a row for each plate, and a page with the jobs and the overview."""

from collections.abc import Sequence
from urllib.parse import quote

from httpx import HTTPError
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.exceptions import PrefectException
from prefect.logging import get_run_logger

from cytobatch.batch.aws.outcomes import PlateOutcome, outcomes_line
from cytobatch.batch.flows.artifacts import slug
from cytobatch.batch.flows.markdown import code, link, plain_text
from cytobatch.batch.flows.wave import WaveEnd
from cytobatch.errors import brief

_ROWS_SHOWN = 500
_FAILED_SHOWN = 50


def publish_wave_artifacts(end: WaveEnd) -> None:
    """Make the artifacts of a wave, inside its flow run; log what the server does not take."""
    key = f"cytobatch-submit-{slug(end.name)}"
    try:
        rows = plate_rows(end.outcomes, end.endpoint)
        create_table_artifact(key=f"{key}-plates", table=rows, description=f"Plates of {end.name}")
        page = wave_page(end)
        create_markdown_artifact(key=key, markdown=page, description=f"Submission of {end.name}")
    except (HTTPError, PrefectException) as error:
        get_run_logger().warning("artifacts are incomplete: %s", error)


def plate_rows(outcomes: Sequence[PlateOutcome], endpoint: str | None) -> list[dict[str, str]]:
    """Return the rows of the table of plates, those first that are not done. `endpoint` is the S3 API of reports."""
    ordered = sorted(outcomes, key=lambda outcome: not outcome.is_bad)
    return [
        {
            "plate": brief(one.plate),
            "state": one.end.value,
            "exit code": "" if one.exit_code is None else str(one.exit_code),
            "report": "" if one.is_bad else link(address(one.report, endpoint), "report"),
            # The last column, because it is long, and the page shows what is right of it only when it is moved.
            "reason": brief(one.reason),
        }
        for one in ordered[:_ROWS_SHOWN]
    ]


def wave_page(end: WaveEnd) -> str:
    """Return the page of a wave."""
    bad = [one for one in end.outcomes if one.is_bad]
    failed = [f"- **{plain_text(one.plate)}**: {plain_text(one.reason or one.end)}" for one in bad[:_FAILED_SHOWN]]
    files = [link(address(path, end.endpoint), path.rsplit("/", 1)[-1]) for path in end.overview]
    return "\n".join(
        [
            f"# {plain_text(end.name)}",
            "",
            plain_text(outcomes_line(end.outcomes).partition(";")[0]),
            "",
            *(["## Plates that are not done", "", *failed, ""] if failed else []),
            *([f"Overview: {', '.join(files)}", ""] if files else []),
            *([f"Jobs: {code(' '.join(('cytobatch', 'status', *end.jobs)))}"] if end.jobs else []),
        ]
    )


def address(uri: str, endpoint: str | None) -> str:
    """Return the page of Amazon's console for an object of its S3, and any other URI as it is.

    `endpoint` is the S3 API of the object, None for Amazon's.
    """
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    if endpoint or not uri.startswith("s3://"):
        return uri
    return f"https://s3.console.aws.amazon.com/s3/object/{bucket}?prefix={quote(key, safe='')}"
