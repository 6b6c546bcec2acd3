"""What Prefect shows beside a plate's run: a page of its report, a table of the inputs that failed, and an event.

They are made at the end of a run, as far as the server takes them. All of it is in the report at the destination.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from httpx import HTTPError
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.events import emit_event
from prefect.exceptions import PrefectException
from prefect.logging import get_run_logger

from cytobatch.batch.flows.markdown import code, link, markdown_table, plain_text
from cytobatch.errors import brief
from cytobatch.output.column_list import SUFFIX
from cytobatch.report.lines import warning_line
from cytobatch.report.model import LedgerEntry, Outcome, OutputFile, RunReport

PUBLISHED = "cytobatch.plate.published"
"""The event of a plate whose outputs and report are in place. Its resource is the destination."""
_ROWS_SHOWN = 500
_WARNINGS_SHOWN = 50
_FAILED = (Outcome.FAILED, Outcome.LEFT_OUT)


def publish_artifacts(report: RunReport) -> None:
    """Make the artifacts and the event of a plate, inside its flow run; log what the server does not take."""
    key = f"cytobatch-{slug(report.plate)}"
    try:
        emit_event(event=PUBLISHED, resource=resource_of(report), payload=payload_of(report))
        create_markdown_artifact(
            key=key, markdown=markdown_of(report), description=f"Report of plate {brief(report.plate)}"
        )
        if rows := failed_rows(report.ledger):
            create_table_artifact(
                key=f"{key}-failed", table=rows, description=f"Inputs of {brief(report.plate)} that failed"
            )
    except (HTTPError, PrefectException) as error:
        get_run_logger().warning("artifacts are incomplete: %s", error)


def slug(name: str) -> str:
    """Return a name as part of an artifact's key, which may have lowercase letters, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "plate"


def resource_of(report: RunReport) -> dict[str, str]:
    """Return the destination as a resource of Prefect's events."""
    return {
        "prefect.resource.id": _uri(report.destination),
        "prefect.resource.name": report.plate,
        "cytobatch.report": _uri(report.report),
    }


def payload_of(report: RunReport) -> dict[str, object]:
    """Return what an automation may need of a published plate."""
    return {
        "plate": report.plate,
        "source": report.source,
        "report": report.report,
        "outputs": [output.path for output in report.outputs],
        "rows": report.counts.rows,
        "failed_exports": report.counts.failed_exports,
        "warnings": len(report.warnings),
    }


def failed_rows(ledger: Sequence[LedgerEntry]) -> list[dict[str, str]]:
    """Return the ledger's lines of inputs that are not in the output because something failed, as rows of a table."""
    failed = [entry for entry in ledger if entry.outcome in _FAILED]
    return [
        {
            "path": brief(entry.path),
            "table": brief(entry.table or ""),
            "outcome": entry.outcome.value,
            "reason": brief(entry.reason or ""),
        }
        for entry in failed[:_ROWS_SHOWN]
    ]


def markdown_of(report: RunReport) -> str:
    """Return the page of a plate: counts, outputs, warnings and seconds."""
    counts = report.counts
    figures = {
        "rows": counts.rows,
        "columns": counts.columns,
        "wells": counts.wells,
        "sites": counts.sites,
        "exports": counts.exports,
        "failed exports": counts.failed_exports,
        "warnings": len(report.warnings),
    }
    warnings = [f"- {plain_text(warning_line(warning))}" for warning in report.warnings[:_WARNINGS_SHOWN]]
    return "\n".join(
        [
            f"# {plain_text(report.plate)}",
            "",
            *markdown_table(("count", "value"), [(name, f"{value:,}") for name, value in figures.items()]),
            "",
            f"Source: {code(report.source)}",
            "",
            *markdown_table(("output", "rows", "bytes"), [_output(output) for output in report.outputs]),
            "",
            f"Report: {link(report.report)}" + (f", as a page: {link(report.page)}" if report.page else ""),
            "",
            *(["## Warnings", "", *warnings, ""] if warnings else []),
            *markdown_table(
                ("step", "seconds"), [(step, f"{seconds:.1f}") for step, seconds in report.seconds.items()]
            ),
        ]
    )


def _output(output: OutputFile) -> tuple[str, str, str]:
    rows = "" if output.path.endswith(SUFFIX) else f"{output.rows:,}"
    return link(output.path), rows, f"{output.bytes:,}"


def _uri(path: str) -> str:
    """Return a path as a URI, because the resources of events are absolute."""
    return path if "://" in path else Path(path).absolute().as_uri()
