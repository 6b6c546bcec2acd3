"""What a signal's handler raises arrives as it is, whatever a library makes of it."""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Annotated, NoReturn

import pytest
from pydantic import BaseModel, PlainSerializer

from cytobatch.engine.duckdb import Engine
from cytobatch.engine.signals import forget, raise_remembered, remember_interruptions, remembered, signals_as_raised

LONG = "SELECT count(*) FROM range(200000) a, range(200000) b WHERE a.range * b.range % 7 = 3"


def end(_signal: int, _frame: object) -> NoReturn:
    raise remembered(SystemExit(143))


def end_and_forget(_signal: int, _frame: object) -> NoReturn:
    raise SystemExit(143)


@pytest.fixture(autouse=True)
def handler() -> Iterator[None]:
    before = signal.signal(signal.SIGALRM, end)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)
    forget()


@pytest.mark.parametrize("handle", [end, end_and_forget])
def test_a_signal_during_a_query_of_duckdb(handle: signal.Handlers, tmp_path: Path) -> None:
    signal.signal(signal.SIGALRM, handle)
    with Engine(spill=tmp_path, memory=2**28, workers=1) as engine, engine.tables({}) as session:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(SystemExit) as caught, signals_as_raised():
            session.query(LONG)
    assert caught.value.code == 143


class Report(BaseModel):
    text: Annotated[str, PlainSerializer(lambda text: os.kill(os.getpid(), signal.SIGALRM) or text)]


def test_a_signal_during_a_serializer_of_pydantic() -> None:
    with pytest.raises(SystemExit), signals_as_raised():
        Report(text="P1").model_dump_json()


def test_a_signal_that_a_library_drops_is_raised_at_the_next_step() -> None:
    with suppress(SystemExit):
        os.kill(os.getpid(), signal.SIGALRM)
    with pytest.raises(SystemExit):
        raise_remembered()
    forget()
    raise_remembered()


def test_what_is_forgotten_ends_no_other_run_of_the_process() -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        remember_interruptions()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            raise_remembered()
        forget()
        raise_remembered()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_errors_stay_as_they_are() -> None:
    with pytest.raises(ZeroDivisionError), signals_as_raised():
        _ = 1 / 0
