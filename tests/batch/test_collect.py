"""What is gathered from the reports of a batch, and what of plates that have none."""

import csv
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cytobatch.batch.collect import each_row, gather, publish
from cytobatch.config.options import PlateJob
from cytobatch.engine.resources import resource_limits
from cytobatch.errors import REPLACEMENT, StorageError, printable
from cytobatch.pipeline.plate import run_plate
from cytobatch.report.batch_table import BatchTable
from cytobatch.report.model import FORMAT_VERSION, RunReport
from cytobatch.report.summary import PlateState
from cytobatch.storage.access import Access
from cytobatch.storage.destination import Destination
from cytobatch.storage.report_files import read_reports
from tests.support.batches import HOSTILE, converted, job_of, report_of, with_report
from tests.support.plates import write_sites


def only(table: BatchTable) -> dict[str, Any]:
    """The one row of a table."""
    (row,) = table.to_arrow().to_pylist()
    return dict(row)


def test_a_row_has_the_values_of_the_report(tmp_path: Path) -> None:
    job = converted(tmp_path, "P1", sites=3, broken=1)
    report = RunReport.model_validate_json(report_of(job).read_bytes())
    row = only(gather([job]))
    assert (row["plate"], row["state"], row["reason"]) == ("P1", "done with losses", None)
    assert (row["source"], row["destination"], row["report"]) == (report.source, report.destination, report.report)
    assert (row["preset"], row["layout"]) == ("cellprofiler_csv", "csv")
    assert (row["started"], row["finished"]) == (report.started, report.finished)
    assert row["seconds"] == pytest.approx((report.finished - report.started).total_seconds(), abs=0.001)
    assert {name: row[f"seconds_{name}"] for name in report.seconds} == report.seconds
    assert (row["peak_memory_bytes"], row["workers"]) == (report.peak_memory_bytes, report.limits.workers)
    assert (row["exports"], row["failed_exports"], row["rows"], row["rows_dropped_as_null"]) == (3, 1, 6, 0)
    assert (row["columns"], row["plates"], row["wells"], row["sites"]) == (report.counts.columns, 1, 1, 2)
    assert (row["Count_Cells"], row["Count_Cytoplasm"], row["Count_Nuclei"]) == (6, 6, 8)
    outputs = [Path(job.destination) / name for name in ("single_cells.parquet", "columns.json")]
    assert row["output_bytes"] == sum(path.stat().st_size for path in outputs)
    assert row["warnings"] == len(report.warnings) > 0
    assert (row["ledger_converted"], row["ledger_failed"], row["ledger_left_out"]) == (8, 1, 3)
    assert (row["ledger_empty"], row["ledger_ignored"]) == (0, 0)
    assert row["cytobatch_version"] == report.cytobatch_version


def test_lists_of_a_report_are_counted(tmp_path: Path) -> None:
    source = write_sites(tmp_path / "in" / "p", 2)
    cells = source / "P1-A01-1" / "Cells.csv"
    cells.write_text(cells.read_text().replace("1001", "1.#QNAN"))
    nuclei = source / "P1-A01-2" / "Nuclei.csv"
    head, *lines = nuclei.read_text().split()
    nuclei.write_text("\n".join([f"{head},Extra", *(f"{line},1.5" for line in lines), ""]))
    job = job_of(tmp_path, "P1", source=source)
    report = run_plate(job)
    row = only(gather([job]))
    assert row["repairs"] == len(report.repairs) == 1
    assert row["schema_differences"] == len(report.schema_differences) == 1
    assert row["odd_value_columns"] == len(report.odd_values) > 0


def test_plates_stay_in_the_order_of_the_jobs_whatever_became_of_them(tmp_path: Path) -> None:
    done = converted(tmp_path, "P3")
    jobs = [
        job_of(tmp_path, "P9"),
        done,
        with_report(tmp_path, "P1", "{"),
        job_of(tmp_path, "P0", source=done.source),
        with_report(tmp_path, "P2", b"\xff\xfe"),
    ]
    table = gather(jobs)
    assert [(row.plate, row.state.value) for row in table.rows] == [
        ("P9", "missing"),
        ("P3", "done"),
        ("P1", "unreadable"),
        ("P0", "missing"),
        ("P2", "unreadable"),
    ]
    assert [table.in_state(state) for state in PlateState] == [1, 0, 2, 2]
    missing = table.to_arrow().to_pylist()[0]
    assert missing["reason"] == "no report is there"
    assert missing["report"] == str(report_of(jobs[0]))
    assert {name for name, value in missing.items() if value is not None} == {
        "plate",
        "state",
        "reason",
        "source",
        "destination",
        "report",
    }


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"format_version": FORMAT_VERSION + 1}, "its format version is 2, and this cytobatch reads 1"),
        ({"format_version": FORMAT_VERSION + 1, "counts": None}, "its format version is 2"),
        ({"format_version": None}, "it is no run report: format_version: "),
        ({"counts": {"exports": "many"}}, "it is no run report: counts.exports: "),
        ({"finished": "yesterday"}, "it is no run report: finished: "),
    ],
)
def test_an_unreadable_report_gives_its_reason(change: dict[str, Any], reason: str, tmp_path: Path) -> None:
    path = report_of(job := converted(tmp_path, "P1"))
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    (row,) = gather([job]).rows
    assert row.state is PlateState.UNREADABLE
    assert (row.reason or "").startswith(reason)
    assert row.run is None


def test_keys_that_were_added_to_the_format_do_not_matter(tmp_path: Path) -> None:
    path = report_of(job := converted(tmp_path, "P1"))
    before = gather([job])
    raw = json.loads(path.read_text())
    raw["counts"]["organelles"] = 7
    path.write_text(json.dumps(raw | {"mood": "fine"}))
    assert gather([job]) == before


def test_a_report_of_another_plate_gives_a_reason(tmp_path: Path) -> None:
    job = converted(tmp_path, "P1").model_copy(update={"plate": "P2"})
    (row,) = gather([job]).rows
    assert (row.plate, row.state, row.reason) == ("P2", PlateState.DONE, "the report is of plate 'P1'")


def test_a_folder_in_place_of_a_report_is_unreadable_and_a_file_in_place_of_its_folder_has_none(tmp_path: Path) -> None:
    report_of(folder := job_of(tmp_path, "P1")).mkdir(parents=True)
    Path((file := job_of(tmp_path, "P2")).destination).touch()
    table = gather([folder, file])
    assert [row.state.value for row in table.rows] == ["unreadable", "missing"]
    assert table.rows[0].reason == "it cannot be read: Is a directory"


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize("destination", ["/out/P1", "/out/P1.parquet", "s3://b/out/P1/", "s3://b/a b/P.1.parquet"])
def test_reports_are_looked_for_where_a_run_puts_them(destination: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cytobatch.storage.access._ATTEMPTS", 1)
    job = PlateJob(source="/in", destination=destination, endpoint_url="http://127.0.0.1:9", workers=1, memory=2**30)
    expected = Destination(job).report_uri
    if destination.startswith("/"):
        assert next(read_reports([job])).uri == expected
    else:
        with pytest.raises(StorageError) as caught:
            next(read_reports([job]))
        assert (caught.value.where, caught.value.what) == (expected, "store does not answer")


def test_a_batch_in_a_bucket(s3: Any, bucket: str, tmp_path: Path) -> None:
    places = [f"s3://{bucket}/out/P1/", f"s3://{bucket}/out/P2.parquet", f"s3://{bucket}/out/P3", "s3://no-such/P4"]
    jobs = [
        PlateJob(
            source=str(write_sites(tmp_path / "in" / f"P{number}", 2, plate=f"P{number}")),
            destination=place,
            plate=f"P{number}",
        )
        for number, place in enumerate(places, 1)
    ]
    for job in jobs[:2]:
        run_plate(job)
    table = gather(jobs)
    assert [(row.state.value, row.reason) for row in table.rows] == [
        ("done", None),
        ("done", None),
        ("missing", "no report is there (NoSuchKey)"),
        ("missing", "no report is there (NoSuchBucket)"),
    ]
    assert [row.report for row in table.rows[:2]] == [
        f"s3://{bucket}/out/P1/run-report.json",
        f"s3://{bucket}/out/P2.run-report.json",
    ]
    written = publish(table, f"s3://{bucket}/out/", Access())
    assert written == [f"s3://{bucket}/out/{name}" for name in ("batch.parquet", "batch.csv", "index.html")]
    kinds = [s3.head_object(Bucket=bucket, Key=uri.partition(f"{bucket}/")[2])["ContentType"] for uri in written]
    assert kinds == ["application/vnd.apache.parquet", "text/csv; charset=utf-8", "text/html; charset=utf-8"]
    page = s3.get_object(Bucket=bucket, Key="out/index.html")["Body"].read().decode()
    assert 'href="P1/report.html"' in page
    assert 'href="P2.report.html"' in page
    body = s3.get_object(Bucket=bucket, Key="out/batch.parquet")["Body"].read()
    assert pq.read_table(pa.BufferReader(body)).equals(table.to_arrow())


class _Refusing(BaseHTTPRequestHandler):
    """An S3 API that refuses each object with the code that its name is, and counts who asks at once."""

    asking, most = 0, 0
    lock = threading.Lock()

    def do_GET(self) -> None:
        with self.lock:
            type(self).asking += 1
            type(self).most = max(self.most, self.asking)
        time.sleep(0.02)
        with self.lock:
            type(self).asking -= 1
        code = self.path.split("/")[2]
        body = f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()
        self.send_response(404 if code == "NoSuchKey" else 403)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def refusing_url(aws: str) -> Iterator[str]:  # noqa: ARG001
    _Refusing.most = 0
    with ThreadingHTTPServer(("127.0.0.1", 0), _Refusing) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def refused(url: str, code: str, **options: Any) -> PlateJob:
    return PlateJob(source="/in", destination=f"s3://bucket/{code}/P1", endpoint_url=url, **options)


def test_to_a_role_that_may_not_list_a_missing_report_is_forbidden(refusing_url: str) -> None:
    (row,) = gather([refused(refusing_url, "AccessDenied")]).rows
    assert row.state is PlateState.MISSING
    assert row.reason == "no report is there, or none that may be read (AccessDenied)"


@pytest.mark.parametrize("code", ["InvalidAccessKeyId", "ExpiredToken", "SignatureDoesNotMatch"])
def test_credentials_that_are_not_valid_are_no_missing_report(code: str, refusing_url: str) -> None:
    with pytest.raises(StorageError) as caught:
        gather([refused(refusing_url, "NoSuchKey"), refused(refusing_url, code)])
    what = "credentials have expired, or the clock is wrong" if code == "ExpiredToken" else "no permission"
    assert caught.value.what == what
    assert code in caught.value.why


def test_reports_are_read_side_by_side_within_the_limits(refusing_url: str) -> None:
    job = refused(refusing_url, "NoSuchKey", workers=3, memory=2**30)
    assert sum(row.state is PlateState.MISSING for row in each_row([job] * 100)) == 100
    assert 2 < _Refusing.most <= resource_limits(job).fetch_threads


def test_reports_are_read_no_further_than_they_are_used(refusing_url: str) -> None:
    valid, bad = refused(refusing_url, "NoSuchKey"), refused(refusing_url, "ExpiredToken")
    rows = each_row([valid, *[valid] * 200, bad])
    assert next(rows).state is PlateState.MISSING
    rows.close()


@pytest.fixture
def mixed(tmp_path: Path) -> list[PlateJob]:
    return [
        converted(tmp_path, HOSTILE),
        converted(tmp_path, "=P2", sites=3, broken=2),
        job_of(tmp_path, 'P3, "3"'),
        with_report(tmp_path, "P4\n4", "{}"),
    ]


def test_two_collects_of_the_same_reports_write_the_same_bytes(mixed: list[PlateJob], tmp_path: Path) -> None:
    first = publish(gather(mixed), str(tmp_path / "a" / "page"), Access())
    second = publish(gather(mixed), str(tmp_path / "b" / "page"), Access())
    assert [Path(path).name for path in first] == ["batch.parquet", "batch.csv", "index.html"]
    for one, other in zip(first, second, strict=True):
        assert Path(one).read_bytes() == Path(other).read_bytes(), one
    assert sorted(path.name for path in (tmp_path / "a" / "page").iterdir()) == sorted(Path(p).name for p in first)


def test_a_collect_replaces_what_an_earlier_one_wrote(tmp_path: Path) -> None:
    job = job_of(tmp_path, "P1")
    publish(gather([job]), str(tmp_path / "page"), Access())
    converted(tmp_path, "P1")
    publish(gather([job]), str(tmp_path / "page"), Access())
    assert pq.read_table(tmp_path / "page" / "batch.parquet")["state"].to_pylist() == ["done"]


def test_csv_and_parquet_have_the_same_values(mixed: list[PlateJob], tmp_path: Path) -> None:
    table = gather(mixed).to_arrow()
    publish(gather(mixed), str(tmp_path / "page"), Access())
    assert pq.read_table(tmp_path / "page" / "batch.parquet").equals(table)
    with (tmp_path / "page" / "batch.csv").open(encoding="utf-8", newline="") as stream:
        names, *rows = list(csv.reader(stream))
    assert names == table.column_names
    for text, row in zip(rows, table.to_pylist(), strict=True):
        values = [value.isoformat() if hasattr(value, "isoformat") else value for value in row.values()]
        shown = ["" if value is None else printable(str(value)) for value in values]
        assert text == [f"'{value}" if value.startswith("=") else value for value in shown]


def test_a_batch_of_no_plates_and_one_of_which_none_is_done_have_the_same_columns_and_types(tmp_path: Path) -> None:
    none, missing = gather([]), gather([job_of(tmp_path, "P1")])
    assert none.to_arrow().schema == missing.to_arrow().schema
    assert none.to_arrow().schema.field("rows").type == pa.int64()
    for number, table in enumerate((none, missing)):
        publish(table, str(tmp_path / str(number)), Access())
        assert pq.read_table(tmp_path / str(number) / "batch.parquet").num_rows == number


def test_a_destination_that_cannot_be_written_is_a_storage_fault(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError):
        publish(gather([]), str(tmp_path / "file"), Access())


def test_a_plate_that_occurs_twice_has_a_reason_in_both_rows(tmp_path: Path) -> None:
    source = write_sites(tmp_path / "in" / "p", 2)
    other = write_sites(tmp_path / "in" / "q", 2, plate="P3")
    jobs = [
        PlateJob(source=str(folder), destination=str(tmp_path / name), plate=name)
        for folder, name in ((source, "P1"), (source, "P2"), (other, "P3"))
    ]
    for job in jobs:
        run_plate(job)
    assert [row.reason for row in gather(jobs).rows] == [
        f"plate 'P1' is also in {tmp_path / 'P2'}",
        f"plate 'P1' is also in {tmp_path / 'P1'}",
        None,
    ]


HUGE = 10**30
HOSTILE_REPORTS: dict[str, dict[str, Any]] = {
    "a huge count": {"counts": {"rows": HUGE}},
    "a huge memory": {"peak_memory_bytes": HUGE},
    "a huge number of objects": {"counts": {"objects": {"cells": HUGE}}},
    "huge outputs": {"outputs": [{"path": "x", "rows": 1, "columns": 1, "bytes": 2**61, "sha256": ""}] * 8},
    "time without end": {"seconds": {"plan": float("inf")}},
    "time that is no number": {"seconds": {"plan": float("nan")}},
    "a step for each": {"seconds": {f"s{number}": 1.0 for number in range(2000)}},
    "a compartment for each": {"counts": {"objects": {f"c{number}": 1 for number in range(2000)}}},
    "before all times": {"started": "0001-01-01T00:00:00+14:00"},
    "after all times": {"finished": "9999-12-31T23:59:59-14:00"},
    "a time without a zone": {"started": "2020-01-01T00:00:00"},
    "times without a zone at their beginning": {"started": "0001-01-01T00:00:00", "finished": "0001-01-01T00:00:00"},
    "a deep value": {"options": {"x": "DEEP"}},
}


@pytest.mark.parametrize("change", HOSTILE_REPORTS.values(), ids=HOSTILE_REPORTS)
def test_one_hostile_report_is_one_unreadable_row(change: dict[str, Any], tmp_path: Path) -> None:
    done = converted(tmp_path, "P1")
    report = json.loads(report_of(done).read_text())
    for name, value in change.items():
        report[name] = report[name] | value if name == "counts" else value
    text = json.dumps(report).replace('"DEEP"', "[" * 100_000 + "]" * 100_000)
    table = gather([done, with_report(tmp_path, "P2", text), done])
    assert [row.state for row in table.rows] == [PlateState.DONE, PlateState.UNREADABLE, PlateState.DONE]
    assert "it is no run report" in str(table.rows[1].reason)
    assert len(publish(table, str(tmp_path / "page"), Access())) == 3


def test_text_of_a_report_is_fit_for_a_page_and_a_spreadsheet(tmp_path: Path) -> None:
    done = converted(tmp_path, "P1", broken=1)
    report = json.loads(report_of(done).read_text())
    codes = "\x1b[2J\u202e\u2066\n=x"
    report["plate"] = report["cytobatch_version"] = codes
    report["preset"], report["layout"] = "=HYPERLINK(1)", "@x"
    report["source"] = "https://user:hunter2@host/?X-Amz-Signature=hunter2"
    report["warnings"] = [{"what": codes * 50_000, "table": "=1+1"}]
    jobs = [
        with_report(tmp_path, name, json.dumps(report)) for name in ("=1+1", "+1", "-1", "@x", " =1", "\t=1", "P 1")
    ]
    publish(gather(jobs), str(tmp_path / "page"), Access())
    page = (tmp_path / "page" / "index.html").read_text(encoding="utf-8")
    text = (tmp_path / "page" / "batch.csv").read_text(encoding="utf-8")
    for shown in (page, text):
        assert not {"\x1b", "\u202e", "\u2066"} & set(shown)
        assert "hunter2" not in shown
        assert REPLACEMENT in shown
    assert len(page) < 200_000
    rows = list(csv.DictReader(text.splitlines()))
    assert [row["plate"] for row in rows] == ["'=1+1", "'+1", "'-1", "'@x", "' =1", f"{REPLACEMENT}=1", "P 1"]
    assert {row["preset"] for row in rows} == {"'=HYPERLINK(1)"}
    assert {row["layout"] for row in rows} == {"'@x"}
