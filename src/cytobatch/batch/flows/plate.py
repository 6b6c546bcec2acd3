"""The flow of one plate: one task for each step, in sequence. The logic is in `pipeline`.

A flow run begins in one of two ways. `convert` converts a plate in the caller's thread, and a flow run records it. A
server starts `convert_plate` with a job as its parameter, and then the plate runs inside the flow run.
"""

from contextvars import ContextVar

from prefect import flow
from prefect.client.schemas.objects import State

from cytobatch.batch.flows.bookkeeping import Patience, Record, convert_recorded
from cytobatch.batch.flows.inside import convert_inside
from cytobatch.batch.flows.record import PlateRecord
from cytobatch.batch.plate_events import EventListener
from cytobatch.config.options import PlateJob
from cytobatch.pipeline.split import Splitter
from cytobatch.report.model import RunReport

_RECORD: ContextVar[PlateRecord | None] = ContextVar("record", default=None)
"""The record that a flow run follows, in the context of the record's thread."""


@flow(name="cytobatch-plate", flow_run_name="convert {job.shown_label}", persist_result=False)
def convert_plate(job: PlateJob) -> State:
    """Convert one plate of single-cell measurements into one joined Parquet profile and a run report."""
    record = _RECORD.get()
    return record.follow() if record else convert_inside(job)


def convert(job: PlateJob, on_event: EventListener, split: Splitter | None = None) -> RunReport:
    """Convert one plate, recorded by a flow run named after it. Returns its report or raises its error.

    Calls `on_event` with what the plate announces, and with one warning if the record is incomplete. `split` gives
    parts of it to other workers.
    """
    return convert_recorded(job, on_event, lambda: open_record(job), Patience(), split)


def open_record(job: PlateJob, *, kept: bool = True) -> Record:
    """Open the record of a plate at Prefect's server; `kept` is whether the server outlives the run."""
    # Parameters are shown to everyone who sees the run, and these arguments may have keys in them.
    shown = job.model_copy(update={"extra_args": {}})

    def run(record: PlateRecord) -> None:
        _RECORD.set(record)
        convert_plate(shown, return_state=True)

    return PlateRecord(job.label, run, kept=kept)
