"""The action of IAM that a request to S3 needs, and the decision of policies about it.

Actions by request: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html
Evaluation: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

import fnmatch
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from proxy import Asked


@dataclass(frozen=True, slots=True)
class Call:
    """An action on a resource, with the context that conditions of IAM compare."""

    action: str
    resource: str
    context: Mapping[str, str] = field(default_factory=dict)

    def __hash__(self) -> int:
        return hash((self.action, self.resource, tuple(self.context.items())))


def call_of(request: Asked) -> Call:
    """Return the action that a request to a bucket by its path needs. Raises KeyError for an unknown one."""
    bucket, _, key = request.path.removeprefix("/").partition("/")
    query = parse_qs(request.query, keep_blank_values=True)
    if not key and "uploads" in query:
        return Call("s3:ListBucketMultipartUploads", f"arn:aws:s3:::{bucket}")
    if not key:
        known = {"GET": "s3:ListBucket", "HEAD": "s3:ListBucket"}
        prefix = query.get("prefix", [""])[0]
        return Call(known[request.method], f"arn:aws:s3:::{bucket}", {"s3:prefix": prefix})
    if request.method == "GET" and "uploadId" in query:
        return Call("s3:ListMultipartUploadParts", f"arn:aws:s3:::{bucket}/{key}")
    known = {"GET": "s3:GetObject", "HEAD": "s3:GetObject", "PUT": "s3:PutObject", "POST": "s3:PutObject"}
    known["DELETE"] = "s3:AbortMultipartUpload" if "uploadId" in query else "s3:DeleteObject"
    return Call(known[request.method], f"arn:aws:s3:::{bucket}/{key}")


def allows(policies: Iterable[Mapping[str, Any]], call: Call) -> bool:
    """Decide whether the policies together allow a call: a statement allows it, and no statement denies it."""
    effects = [one["Effect"] for policy in policies for one in _listed(policy["Statement"]) if _fits(one, call)]
    return "Allow" in effects and "Deny" not in effects


def _fits(statement: Mapping[str, Any], call: Call) -> bool:
    actions = [action.lower() for action in _listed(statement.get("Action"))]
    return (
        any(fnmatch.fnmatchcase(call.action.lower(), action) for action in actions)
        and any(_like(call.resource, resource) for resource in _listed(statement.get("Resource")))
        and all(_holds(kind, operands, call) for kind, operands in (statement.get("Condition") or {}).items())
    )


def _holds(kind: str, operands: Mapping[str, Any], call: Call) -> bool:
    """Decide whether a condition holds. Raises KeyError for an unknown kind."""
    tests = {
        "StringLike": _like,
        "StringEquals": lambda value, wanted: value == wanted,
        "Bool": lambda value, wanted: value.lower() == str(wanted).lower(),
    }
    test = tests[kind]
    return all(
        key in call.context and any(test(call.context[key], wanted) for wanted in _listed(values))
        for key, values in operands.items()
    )


def _like(value: str, pattern: str) -> bool:
    # The wildcards of IAM are * and ?; brackets are literal.
    return fnmatch.fnmatchcase(value, pattern.replace("[", "[[]"))


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]
