"""The record of a plate in Prefect: a flow run in a thread of its own, which follows the plate's messages.

The thread runs Prefect alone. Whatever is raised in it is an error of Prefect. The plate waits for it at its end alone,
for a time that is bounded. The process does not wait for it, because it is a daemon.
"""

import threading
import time
from collections.abc import Callable
from contextvars import copy_context
from enum import Enum
from queue import SimpleQueue

from prefect.client.schemas.objects import FlowRun, State
from prefect.context import FlowRunContext
from prefect.logging import get_run_logger
from prefect.settings import PREFECT_API_URL

from cytobatch.batch.flows.artifacts import publish_artifacts
from cytobatch.batch.flows.bookkeeping import Contained, Message, PlateEnded, StepBegan, StepEnded
from cytobatch.batch.flows.probe import probe
from cytobatch.batch.flows.reasons import reason_of, reason_of_silence
from cytobatch.batch.flows.services import end_before_services
from cytobatch.batch.flows.states import log_outcome, state_of_outcome, state_of_step
from cytobatch.batch.flows.steps import TASKS
from cytobatch.errors import brief
from cytobatch.report.model import RunReport

_POLL_SECONDS = 0.02


class _Stage(Enum):
    """How far the record of a run is. The value is what Prefect lacks if it gets no further."""

    STARTING = "Prefect has no record of this run"
    FOLLOWING = "Prefect has no record of how this run ended"


class PlateRecord:
    """Records one plate by a flow run.

    `run` runs the flow, whose function calls `follow`. A record that is not `kept` after the run has no artifacts, and
    its failure is no loss.
    """

    def __init__(self, plate: str, run: Callable[["PlateRecord"], object], *, kept: bool) -> None:
        self._plate, self._run, self._kept = brief(plate), run, kept
        self._messages: SimpleQueue[Message] = SimpleQueue()
        self._stage = _Stage.STARTING
        self._reason = ""
        self._outcome: RunReport | BaseException | None = None
        self._flow_run: FlowRun | None = None
        self._settled, self._ended = threading.Event(), threading.Event()
        self._url = str(PREFECT_API_URL.value())
        # The context has the flow run that this one is a part of, if there is one.
        target = copy_context().run
        thread = threading.Thread(target=target, args=(self._record,), name=f"record {plate}", daemon=True)
        end_before_services(thread)
        thread.start()

    def send(self, message: Message) -> None:
        """Take a message."""
        self._messages.put(message)

    def settle(self, seconds: float) -> bool:
        """Wait until the server has answered for the first time, or is known not to."""
        return self._settled.wait(seconds)

    def wait(self, seconds: float) -> bool:
        """Wait until the flow run's last state is recorded, or the record has failed."""
        end = time.monotonic() + seconds
        while not (self._ended.is_set() or self._has_last_state()):
            rest = end - time.monotonic()
            if rest <= 0:
                self._reason = self._reason or reason_of_silence(self._url, seconds)
                return False
            self._ended.wait(min(rest, _POLL_SECONDS))
        return True

    def _has_last_state(self) -> bool:
        """Return whether Prefect's server has the last state. The thread of heartbeats ends up to a second later."""
        state = self._flow_run.state if self._flow_run else None
        return state is not None and state.is_final()

    def failure(self) -> str | None:
        """Return what is not recorded and why."""
        reason = self._reason
        return f"{self._stage.value}: {reason}" if reason and self._kept else None

    def _record(self) -> None:
        """Record the plate, in this record's thread."""
        with Contained(BaseException) as prefect:
            if self._kept:
                probe()
            self._settled.set()
            self._run(self)
        # A signal that ended the plate is raised in the flow, too, and leaves it crashed.
        is_complete = self._outcome is not None and prefect.error in (None, self._outcome)
        if not (is_complete or self._reason):
            self._reason = reason_of(prefect.error, self._url)
        self._settled.set()
        self._ended.set()

    def follow(self) -> State:
        """Run a task for each step as its messages arrive, and return the state in which the plate ends.

        The flow's function calls this.
        """
        self._stage = _Stage.FOLLOWING
        context = FlowRunContext.get()
        # Prefect sets the state of this object once the server has taken it.
        self._flow_run = context.flow_run if context else None
        while True:
            match self._messages.get():
                case StepBegan(step):
                    get_run_logger().info("%s: %s", self._plate, step.value)
                    TASKS[step](self._plate, self._step_state, return_state=True)
                case StepEnded():
                    raise RuntimeError("a step ended that did not begin")
                case PlateEnded(outcome):
                    self._outcome = outcome
                    log_outcome(outcome)
                    if isinstance(outcome, RunReport) and self._kept:
                        publish_artifacts(outcome)
                    return state_of_outcome(outcome)

    def _step_state(self, _plate: str) -> State:
        """Wait for the end of the step that has begun. Raises the signal that ended it."""
        message = self._messages.get()
        if not isinstance(message, StepEnded):
            raise TypeError(f"expected the end of a step, got {message!r}")
        if message.error is not None:
            self._outcome = message.error
        return state_of_step(message)
