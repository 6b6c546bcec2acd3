"""The tree of errors: messages, exit codes, and the way of an error from one process to another."""

import copy
import pickle
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from cytobatch import errors
from cytobatch.errors import CytobatchError, FastPathUnavailable, InputDataError, JobSpecError, StorageError


def classes(base: type[CytobatchError] = CytobatchError) -> Iterator[type[CytobatchError]]:
    yield base
    for derived in base.__subclasses__():
        yield from classes(derived)


def state(error: CytobatchError) -> tuple[object, ...]:
    return type(error), error.what, error.where, error.why, error.remedy, error.exit_code, error.args, str(error)


def an_error(kind: type[CytobatchError]) -> CytobatchError:
    return kind("no such object", where="s3://in/P1", why="404: Not Found", remedy="check the name")


def test_the_drawing_of_the_tree_has_every_class() -> None:
    drawn = [
        line.split()[0] for line in str(errors.__doc__).replace("|", " ").replace("+--", "   ").splitlines() if line
    ]
    assert set(drawn) >= {kind.__name__ for kind in classes()}


def test_a_message_has_what_where_why_and_the_fix() -> None:
    assert str(an_error(StorageError)) == ("no such object: s3://in/P1\n  why: 404: Not Found\n  fix: check the name")
    assert str(StorageError("no such object")) == "no such object"
    assert an_error(StorageError).reason == "no such object: 404: Not Found"


@pytest.mark.parametrize("kind", list(classes()))
def test_every_error_survives_a_pickle_round_trip(kind: type[CytobatchError]) -> None:
    error = an_error(kind)
    error.add_note("plate P1")
    for copied in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert state(copied) == state(error)
        assert copied.__notes__ == ["plate P1"]


def parts_of_a_pickled_error() -> tuple[bool, bool, bool]:
    """Whether a raised error has a traceback, a cause and a context after a pickle round trip."""
    try:
        raise an_error(StorageError) from OSError(5, "Input/output error")
    except StorageError as error:
        copied = pickle.loads(pickle.dumps(error))
        assert error.__traceback__ is not None
    return copied.__traceback__ is not None, copied.__cause__ is not None, copied.__context__ is not None


def test_a_pickled_error_has_no_traceback_and_no_cause() -> None:
    # In a process of its own, because Dask makes the pickles of all errors of a process have them.
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        assert pool.submit(parts_of_a_pickled_error).result() == (False, False, False)


def test_the_reason_of_a_fast_path_survives_a_pickle_round_trip() -> None:
    copied = pickle.loads(pickle.dumps(FastPathUnavailable("mixed types")))
    assert (type(copied), copied.reason, str(copied)) == (FastPathUnavailable, "mixed types", "mixed types")


def fail(kind: type[CytobatchError]) -> None:
    raise an_error(kind)


def test_an_error_of_a_worker_process_reaches_its_caller() -> None:
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        future = pool.submit(fail, InputDataError)
        with pytest.raises(InputDataError) as caught:
            future.result()
    assert state(caught.value) == state(an_error(InputDataError))


@pytest.mark.parametrize(
    "hidden", ["\n", "\r", "\t", "\x1b", "\x9b", "\x7f", "\u202e", "\u2066", "\u200f", "\u2028", "\ud800"]
)
def test_a_message_has_no_control_characters(hidden: str) -> None:
    error = JobSpecError(f"a{hidden}b", where=f"{hidden}[31m", why=hidden * 3, remedy=f"x{hidden}")
    assert hidden not in error.what + error.where + error.why + error.remedy + error.reason
    assert error.what == "a\ufffdb"
    assert str(error).splitlines() == [
        "a\ufffdb: \ufffd[31m",
        "  why: \ufffd\ufffd\ufffd",
        "  fix: x\ufffd",
    ]


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        ("https://user:pw@host/a", "https://…@host/a"),
        ("s3://AKIA:secret@bucket/key", "s3://…@bucket/key"),
        ("https://b/k?X-Amz-Signature=secret&x=1", "https://b/k?X-Amz-Signature=…&x=1"),
        ("https://b/k?x=1&AWSAccessKeyId=secret&Signature=secret", "https://b/k?x=1&AWSAccessKeyId=…&Signature=…"),
        ("https://b/k?sv=1&sig=secret", "https://b/k?sv=1&sig=…"),
        ("s3://bucket/a@b/c", "s3://bucket/a@b/c"),
        ("/data/a@b/x?y=1", "/data/a@b/x?y=1"),
    ],
)
def test_a_message_has_no_password_or_signature_of_a_url(location: str, shown: str) -> None:
    error = JobSpecError("no", where=location, why=f"cannot open '{location}'")
    assert error.where == shown
    assert error.why == f"cannot open '{shown}'"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_a_message_is_cut() -> None:
    error = JobSpecError("x" * 5_000_000, where="y" * 5_000_000, why="z" * 5_000_000)
    assert len(str(error)) < 6100
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
