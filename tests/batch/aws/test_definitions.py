"""The job definitions: their validity for AWS, and the decision for each exit code of the program."""

import fnmatch
import json
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.validate import validate_parameters

from cytobatch import errors
from cytobatch.errors import CytobatchError, ExitCode

FOLDER = Path(__file__).parents[3] / "job-definitions"
FILES = sorted(FOLDER.glob("*.json"), key=lambda path: path.stem)
RETRIED = {ExitCode.STORAGE, ExitCode.TERMINATED}
CLASSES = sorted(
    (item for item in vars(errors).values() if isinstance(item, type) and issubclass(item, CytobatchError)),
    key=lambda item: item.__name__,
)


def definition(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def decision(rules: list[dict[str, str]], **facts: str) -> str:
    """Return the decision of AWS Batch: that of the first rule whose conditions all match, else RETRY.

    https://docs.aws.amazon.com/batch/latest/APIReference/API_EvaluateOnExit.html
    """
    for rule in rules:
        conditions = {name: pattern for name, pattern in rule.items() if name != "action"}
        if all(fnmatch.fnmatchcase(facts.get(name, ""), pattern) for name, pattern in conditions.items()):
            return rule["action"]
    return "RETRY"


def rules_of(path: Path) -> list[dict[str, str]]:
    return definition(path)["retryStrategy"]["evaluateOnExit"]  # type: ignore[no-any-return]


def test_there_is_one_for_each_kind_of_machine() -> None:
    assert [path.stem for path in FILES] == ["ec2-spot", "fargate", "fargate-spot"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_command_line_of_aws_takes_the_file(path: Path) -> None:
    model = botocore.session.get_session().get_service_model("batch").operation_model("RegisterJobDefinition")
    validate_parameters(definition(path), model.input_shape)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_limits_of_aws_batch_hold(path: Path) -> None:
    content = definition(path)
    assert len(json.dumps(content)) < 24 * 1024
    assert 1 <= content["retryStrategy"]["attempts"] <= 10
    assert len(rules_of(path)) <= 5
    assert content["timeout"]["attemptDurationSeconds"] >= 60
    words = content["containerProperties"]["command"]
    assert {word.removeprefix("Ref::") for word in words if word.startswith("Ref::")} == set(content["parameters"])


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_class_of_error_is_retried_only_where_that_may_help(path: Path, kind: type[CytobatchError]) -> None:
    wanted = "RETRY" if kind.exit_code in RETRIED else "EXIT"
    code = int(kind.exit_code)
    assert decision(rules_of(path), onExitCode=str(code), onReason="", onStatusReason="Essential container") == wanted


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
@pytest.mark.parametrize("code", [*ExitCode, 137], ids=str)
def test_every_exit_code_is_retried_only_where_that_may_help(path: Path, code: int) -> None:
    wanted = "RETRY" if code in RETRIED else "EXIT"
    assert decision(rules_of(path), onExitCode=str(int(code)), onReason="OutOfMemoryError") == wanted


@pytest.mark.parametrize(
    ("stem", "facts"),
    [
        ("ec2-spot", {"onStatusReason": "Host EC2 (instance i-0abc) terminated."}),
        ("fargate-spot", {"onStatusReason": "Your Spot Task was interrupted."}),
        ("fargate", {"onStatusReason": "ResourceInitializationError: unable to pull secrets"}),
        ("fargate", {"onStatusReason": "CannotPullContainerError: inspect image has been retried"}),
        ("fargate-spot", {"onStatusReason": "CannotPullContainerError: ref pull has been retried"}),
        ("ec2-spot", {"onStatusReason": "Task failed to start", "onReason": "CannotPullContainerError: no such host"}),
    ],
)
def test_a_reclaimed_machine_or_a_failed_start_is_retried(stem: str, facts: dict[str, str]) -> None:
    assert decision(rules_of(FOLDER / f"{stem}.json"), **facts) == "RETRY"
