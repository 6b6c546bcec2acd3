"""Texts of many files: fetched into memory, each byte once, in order; and files after all where they are odd."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from cytobatch.config.option_types import CacheMode
from cytobatch.config.options import PlateJob
from cytobatch.errors import FastPathUnavailable, StorageError
from cytobatch.pipeline.plate import run_plate
from cytobatch.readers.inputs import BEGINNING, CsvGroup
from cytobatch.storage.prefetch import FetchedFiles, LocalFiles
from cytobatch.storage.source import Source
from proxy import Answer, Answering, Asked, gets, proxy
from tests.support.plates import write_sites

HEADER = "\ufeffImageNumber,ObjectNumber\n".encode()
LINES = {
    "a/Cells.csv": b"1,2\n" * BEGINNING,
    "b/Cells.csv": b"",
    "c/Cells.csv": b"3,4\n" * 10,
    "d/Cells.csv": b"5,6\n" * (BEGINNING // 2),
}
PATHS = tuple(LINES)
ALL = CsvGroup(PATHS, 1)


def passed_on(_: Asked) -> None:
    """The proxy answers nothing itself."""


@contextmanager
def inputs_through(
    aws: str, bucket: str, cache: Path, answering: Answering = passed_on, texts: int = 1, **options: Any
) -> Iterator[tuple[FetchedFiles | LocalFiles, list[Asked]]]:
    """The files in the bucket behind a proxy, and what was asked of that."""
    with proxy(aws, answering) as (address, asked):
        job = PlateJob(source=f"s3://{bucket}/p", destination="/out", endpoint_url=address, **options)
        source = Source(job, cache)
        with source.inputs(source.inventory().files, 2**30, texts) as inputs:
            yield inputs, asked


@pytest.fixture
def files(s3: Any, bucket: str) -> dict[str, bytes]:
    bodies = {path: HEADER + lines for path, lines in LINES.items()}
    for path, body in bodies.items():
        s3.put_object(Bucket=bucket, Key=f"p/{path}", Body=body)
    return bodies


def fetched_bytes(asked: list[Asked]) -> dict[str, int]:
    count = Counter[str]()
    for one in gets(asked):
        count[one.key.removeprefix("p/")] += one.answered
    return dict(count)


def each_once(files: dict[str, bytes]) -> dict[str, int]:
    return {path: len(body) for path, body in files.items()}


def read(inputs: FetchedFiles | LocalFiles, text: CsvGroup) -> list[bytes]:
    with inputs.text(text) as found:
        begins = (0, *found.ends[:-1])
        return [bytes(found.memory[begin:end]) for begin, end in zip(begins, found.ends, strict=True)]


def on_disk(cache: Path) -> int:
    return sum(path.stat().st_size for path in cache.rglob("*.csv"))


def test_a_text_has_the_lines_of_its_files_in_order_and_is_not_on_the_disk(
    files: dict[str, bytes], bucket: str, aws: str, tmp_path: Path
) -> None:
    with inputs_through(aws, bucket, tmp_path) as (inputs, asked):
        inputs.prepare(files, ())
        inputs.expect_groups([ALL])
        assert read(inputs, ALL) == list(LINES.values())
        assert on_disk(tmp_path) == sum(min(len(body), BEGINNING) for body in files.values())
        for path in files:
            inputs.release(path)
        assert on_disk(tmp_path) == 0
    assert fetched_bytes(asked) == each_once(files)
    assert all(one.by_obstore for one in gets(asked))


def test_files_that_are_local_or_not_expected_make_the_same_text(
    files: dict[str, bytes], bucket: str, aws: str, tmp_path: Path
) -> None:
    for path, body in files.items():
        (tmp_path / "local" / path).parent.mkdir(parents=True)
        (tmp_path / "local" / path).write_bytes(body)
    local = LocalFiles(tmp_path / "local")
    local.expect_groups([ALL])
    assert read(local, ALL) == list(LINES.values())
    with inputs_through(aws, bucket, tmp_path / "cache") as (inputs, _):
        assert read(inputs, ALL) == list(LINES.values())


def test_as_many_texts_come_by_themselves_as_may_and_the_others_when_one_is_over(
    files: dict[str, bytes], bucket: str, aws: str, tmp_path: Path
) -> None:
    texts = [CsvGroup((path,), 1) for path in PATHS if len(files[path]) > BEGINNING]
    begun, enough = list[str](), threading.Event()

    def noted(one: Asked) -> Answer | None:
        if one.by_obstore and one.span and not one.span.startswith("0-"):
            begun.append(one.key.removeprefix("p/"))
            enough.set()
        return None

    with inputs_through(aws, bucket, tmp_path, noted) as (inputs, _):
        for path in files:
            inputs.beginning(path)
        inputs.expect_groups(texts)
        with inputs.text(texts[0]):
            assert begun == ["a/Cells.csv"]
            enough.clear()
        assert enough.wait(20)
        assert begun == ["a/Cells.csv", "d/Cells.csv"]


@pytest.mark.usefixtures("files")
def test_who_needs_a_text_waits_for_no_other_to_be_over(bucket: str, aws: str, tmp_path: Path) -> None:
    texts = [CsvGroup((path,), 1) for path in PATHS]
    with inputs_through(aws, bucket, tmp_path) as (inputs, _):
        inputs.expect_groups(texts)
        found = list[list[bytes]]()
        with inputs.text(texts[0]):
            other = threading.Thread(target=lambda: found.append(read(inputs, texts[3])), daemon=True)
            other.start()
            other.join(30)
        assert found == [[LINES[PATHS[3]]]]
        assert [read(inputs, text) for text in texts[1:3]] == [[LINES[path]] for path in PATHS[1:3]]


def test_an_odd_text_is_in_its_files_and_nothing_is_fetched_again(
    files: dict[str, bytes], bucket: str, aws: str, tmp_path: Path
) -> None:
    with inputs_through(aws, bucket, tmp_path) as (inputs, asked):
        inputs.expect_groups([ALL])
        with pytest.raises(FastPathUnavailable), inputs.text(ALL):
            raise FastPathUnavailable("test")
        assert {path: inputs.whole(path).read_bytes() for path in files} == files
    assert fetched_bytes(asked) == each_once(files)


@pytest.mark.parametrize("before", [0, 1])
def test_a_text_whose_files_are_asked_for_by_themselves_is_in_them_whether_it_came_or_not(
    before: int, files: dict[str, bytes], bucket: str, aws: str, tmp_path: Path
) -> None:
    texts = [CsvGroup(PATHS[:3], 1), CsvGroup(PATHS[3:], 1)]
    with inputs_through(aws, bucket, tmp_path) as (inputs, asked):
        inputs.expect_groups(texts[before:])
        # The first is on its way, the second is not.
        assert {path: inputs.whole(path).read_bytes() for path in reversed(files)} == files
        assert [read(inputs, text) for text in texts] == [[LINES[path] for path in text.paths] for text in texts]
    assert fetched_bytes(asked) == each_once(files)


def test_a_header_without_an_end_is_odd(s3: Any, bucket: str, aws: str, tmp_path: Path) -> None:
    s3.put_object(Bucket=bucket, Key="p/a.csv", Body=HEADER.rstrip())
    text = CsvGroup(("a.csv",), 1)
    with inputs_through(aws, bucket, tmp_path) as (inputs, _):
        inputs.expect_groups([text])
        with pytest.raises(FastPathUnavailable):
            read(inputs, text)
        assert inputs.whole("a.csv").read_bytes() == HEADER.rstrip()


@pytest.mark.parametrize("missing", [0, 1000])
def test_what_obstore_cannot_get_whole_comes_through_a_file(
    missing: int, files: dict[str, bytes], bucket: str, aws: str, tmp_path: Path
) -> None:
    def refuse(one: Asked) -> Answer | None:
        if not one.by_obstore or not one.span or one.span.startswith("0-"):
            return None
        return Answer(206, b"1,2\n", missing=missing) if missing else Answer(403)

    with inputs_through(aws, bucket, tmp_path, refuse) as (inputs, asked):
        inputs.expect_groups([ALL])
        assert read(inputs, ALL) == list(LINES.values())
        assert {path: inputs.whole(path).read_bytes() for path in files} == files
    assert not all(one.by_obstore for one in gets(asked))


def test_an_object_that_changed_since_it_was_listed_is_told(
    files: dict[str, bytes], s3: Any, bucket: str, aws: str, tmp_path: Path
) -> None:
    with inputs_through(aws, bucket, tmp_path) as (inputs, _):
        for path in files:
            inputs.beginning(path)
        s3.put_object(Bucket=bucket, Key=f"p/{PATHS[0]}", Body=files[PATHS[0]][::-1])
        inputs.expect_groups([ALL])
        with pytest.raises(StorageError) as caught:
            read(inputs, ALL)
    assert caught.value.what == "object changed while it was read"


def test_a_cache_that_persists_has_the_files_of_texts(
    files: dict[str, bytes], bucket: str, aws: str, tmp_path: Path
) -> None:
    for _ in range(2):
        options = {"cache_mode": CacheMode.PERSISTENT, "cache_dir": tmp_path}
        with inputs_through(aws, bucket, tmp_path, **options) as (inputs, asked):
            inputs.expect_groups([ALL])
            assert read(inputs, ALL) == list(LINES.values())
        kept = {str(path.relative_to(tmp_path / bucket / "p")): path.read_bytes() for path in tmp_path.rglob("*.csv")}
        assert kept == files
    assert fetched_bytes(asked) == {}


@pytest.mark.parametrize("row", ["", "1,1\n", "1,9,odd\n", '1,9,"0,5"\n'])
@pytest.mark.parametrize("concat", [True, False])
def test_a_plate_with_an_odd_file_is_that_of_local_files_and_each_byte_is_fetched_once(
    row: str, concat: bool, upload: Callable[[Path, str], str], aws: str, tmp_path: Path
) -> None:
    local = write_sites(tmp_path / "in", 3)
    cells = sorted(local.rglob("Cells.csv"))
    for path in cells:
        lines = path.read_text().rstrip("\n").rpartition(",")
        path.write_text(f"{lines[0]},{'0' * BEGINNING}{lines[2]}\n")
    with cells[1].open("a") as stream:
        stream.write(row)
    uri = upload(local, "plate")
    with proxy(aws, passed_on) as (address, asked):
        near, far = (
            run_plate(
                PlateJob(
                    source=source,
                    destination=str(tmp_path / name),
                    plate="P1",
                    concat=concat,
                    max_failed_exports=1,
                    endpoint_url=address,
                )
            )
            for name, source in (("near", str(local)), ("far", uri))
        )
    assert far.counts == near.counts
    assert len(far.outputs) == len(near.outputs)
    for one, other in zip(near.outputs, far.outputs, strict=True):
        assert pq.read_table(one.path).equals(pq.read_table(other.path))
    got = Counter[str]()
    for sent in gets(asked):
        got[sent.key.removeprefix("plate/")] += sent.answered
    sizes = {path.relative_to(local).as_posix(): path.stat().st_size for path in local.rglob("*.csv")}
    assert {path: size for path, size in got.items() if size != sizes[path]} == {}
