"""The class, and so the exit code, of each error of the clients of stores."""

from pathlib import Path

import pytest
import s3transfer.exceptions
import urllib3.exceptions
from boto3.exceptions import RetriesExceededError, S3UploadFailedError
from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    IncompleteReadError,
    NoCredentialsError,
    ReadTimeoutError,
    ResponseStreamingError,
)
from botocore.parsers import ResponseParserError
from cloudpathlib.exceptions import MissingDependenciesError

from cytobatch.errors import (
    AbsentFileError,
    AccessError,
    ConfigurationError,
    CytobatchError,
    ExitCode,
    SourceChangedError,
    StorageError,
    WorkerVersionError,
    gravity,
)
from cytobatch.storage.access import storage_errors


def refusal(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "refused"}}, "GetObject")


def chained(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


CASES = [
    (refusal("AccessDenied"), AccessError, 6),
    (refusal("403"), AccessError, 6),
    (refusal("InvalidAccessKeyId"), AccessError, 6),
    (NoCredentialsError(), AccessError, 6),
    (refusal("NoSuchBucket"), AbsentFileError, 6),
    (refusal("NoSuchKey"), AbsentFileError, 6),
    (FileNotFoundError(2, "No such file", "spec.json"), AbsentFileError, 6),
    (PermissionError(13, "Permission denied", "spec.json"), AccessError, 6),
    (IsADirectoryError(21, "Is a directory", "spec.json"), AccessError, 6),
    (refusal("ExpiredToken"), StorageError, 4),
    (refusal("RequestTimeTooSkewed"), StorageError, 4),
    (refusal("SlowDown"), StorageError, 4),
    (refusal("PreconditionFailed"), SourceChangedError, 4),
    (OSError(28, "No space left on device"), StorageError, 4),
    (EndpointConnectionError(endpoint_url="http://x"), StorageError, 4),
    (ConnectTimeoutError(endpoint_url="http://x"), StorageError, 4),
    (ReadTimeoutError(endpoint_url="http://x"), StorageError, 4),
    (IncompleteReadError(actual_bytes=1, expected_bytes=2), StorageError, 4),
    (ResponseStreamingError(error="cut"), StorageError, 4),
    (ResponseParserError("no XML"), StorageError, 4),
    (urllib3.exceptions.ProtocolError("cut"), StorageError, 4),
    (urllib3.exceptions.ReadTimeoutError(None, "http://x", "late"), StorageError, 4),  # type: ignore[arg-type]
    (RetriesExceededError(OSError("cut")), StorageError, 4),
    (RetriesExceededError(refusal("AccessDenied")), AccessError, 6),
    (chained(S3UploadFailedError("failed"), refusal("AccessDenied")), AccessError, 6),
    (chained(S3UploadFailedError("failed"), refusal("SlowDown")), StorageError, 4),
    (S3UploadFailedError("failed"), StorageError, 4),
    (s3transfer.exceptions.RetriesExceededError(refusal("NoSuchBucket")), AbsentFileError, 6),
    (s3transfer.exceptions.S3DownloadFailedError("failed"), StorageError, 4),
    (s3transfer.exceptions.FatalError("failed"), StorageError, 4),
    (MissingDependenciesError("Missing dependencies for GSClient."), ConfigurationError, 2),
]


@pytest.mark.parametrize(("error", "kind", "code"), CASES, ids=lambda value: type(value).__name__)
def test_every_error_of_a_client_has_its_class(error: Exception, kind: type[CytobatchError], code: int) -> None:
    with pytest.raises(CytobatchError) as caught, storage_errors("s3://in/P1"):
        raise error
    assert type(caught.value) is kind
    assert (caught.value.exit_code, caught.value.where) == (code, "s3://in/P1")
    assert caught.value.why
    assert caught.value.remedy


def test_what_a_retry_may_heal_decides_the_exit_code_of_several_plates() -> None:
    denied, failed, version = AccessError("denied"), StorageError("failed"), WorkerVersionError("another")
    assert max((denied, failed, version), key=gravity) is failed
    assert max((denied, version), key=gravity) is denied
    assert max((CytobatchError("defect"), failed), key=gravity).exit_code == 70


def test_a_full_disk_asks_for_another_one() -> None:
    # The device that is always full.
    with pytest.raises(StorageError, match="the disk is full: scratch") as caught, storage_errors("scratch"):
        Path("/dev/full").write_bytes(b"x")
    assert "give --scratch-dir another disk" in caught.value.remedy
    assert caught.value.exit_code is ExitCode.STORAGE
