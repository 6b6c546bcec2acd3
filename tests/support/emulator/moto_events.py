"""EventBridge as AWS has it: events of services reach every matching rule; AWS Batch, SNS, dead letters."""

import copy
import json
import re
import sys
import time
import uuid
from datetime import UTC, datetime
from typing import Any

from moto.batch.models import batch_backends
from moto.core.exceptions import ServiceException
from moto.events import models
from moto.sns.models import sns_backends
from moto.sqs import sqs_backends
from werkzeug.exceptions import HTTPException

# The errors of a delivery: the service refuses it, or its payload is not valid for the target.
REFUSALS = (ServiceException, HTTPException, ValueError, LookupError, TypeError)
_PLACEHOLDER = re.compile(r"<([A-Za-z0-9_.\-]+)>")


def patch() -> None:
    """Install the behaviours."""
    original = models.Rule.send_to_targets

    def send_to_targets(self: Any, event: dict[str, Any], transform_input: bool = True) -> None:
        ours = [target for target in self.targets if target["Arn"].split(":")[2] in ("batch", "sns")]
        rest = [target for target in self.targets if target not in ours]
        if rest:
            rule = copy.copy(self)
            rule.targets = rest
            original(rule, event, transform_input)
        if ours and self.event_pattern.matches_event(event):
            for target in ours:
                deliver = _to_batch if ":batch:" in target["Arn"] else _to_sns
                deliver(self, target, render(target, event))

    models.Rule.send_to_targets = send_to_targets


def emit(account: str, region: str, source: str, kind: str, detail: dict[str, Any], resources: list[str]) -> None:
    """Send an event of a service to the account's default bus: once to each target of each enabled rule."""
    now = time.time()
    event = {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": kind,
        "source": source,
        "account": account,
        "time": now,
        "region": region,
        "resources": resources,
        "detail": detail,
        "ingestion-time": now,
    }
    bus = models.events_backends[account][region].event_buses["default"]
    for rule in [rule for rule in bus.rules.values() if rule.state == "ENABLED"]:
        for target in list(rule.targets):
            _deliver(rule, target, event)


def _deliver(rule: Any, target: dict[str, Any], event: dict[str, Any]) -> None:
    """Deliver an event to one target, or to its dead-letter queue if the target refuses it."""
    alone = copy.copy(rule)
    alone.targets = [target]
    try:
        alone.send_to_targets(copy.deepcopy(event))
    except REFUSALS as error:
        print("not delivered:", rule.name, target["Arn"], repr(error), file=sys.stderr, flush=True)
        queue = (target.get("DeadLetterConfig") or {}).get("Arn")
        if queue:
            _to_dead_letters(queue, rule, event, error)


def _to_dead_letters(queue: str, rule: Any, event: dict[str, Any], error: BaseException) -> None:
    attributes = {"ERROR_MESSAGE": str(error)[:1000] or type(error).__name__, "RULE_ARN": rule.arn}
    sqs_backends[rule.account_id][rule.region_name].send_message(
        queue_name=queue.rsplit(":", 1)[1],
        message_body=json.dumps(_public(event)),
        message_attributes={name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()},
    )


def _public(event: dict[str, Any]) -> dict[str, Any]:
    public = {key: value for key, value in event.items() if key != "ingestion-time"}
    if isinstance(public.get("time"), int | float):
        public["time"] = datetime.fromtimestamp(public["time"], UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return public


def render(target: dict[str, Any], event: dict[str, Any]) -> str:
    """Return the payload for a target: its constant input, the event, or the template with its values.

    As EventBridge documents it, a bare <x> becomes a JSON value, "<x>" has the text inserted, and nothing is escaped:
    a quote or backslash in a value makes a payload that the target refuses.
    """
    public = _public(event)
    if "Input" in target:
        return str(target["Input"])
    transformer = target.get("InputTransformer")
    if not transformer:
        return json.dumps(public)
    values = {name: _value(path, public) for name, path in (transformer.get("InputPathsMap") or {}).items()}
    return _filled(transformer["InputTemplate"], values)


def _value(path: str, event: dict[str, Any]) -> Any:
    value: Any = event
    for part in path.lstrip("$").strip(".").split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _filled(template: str, values: dict[str, Any]) -> str:
    out: list[str] = []
    at, quoted = 0, False
    while at < len(template):
        placeholder = _PLACEHOLDER.match(template, at)
        if placeholder and placeholder[1] in values:
            out.append(_spliced(values[placeholder[1]], quoted))
            at = placeholder.end()
            continue
        width = 2 if template[at] == "\\" and quoted else 1
        if template[at] == '"':
            quoted = not quoted
        out.append(template[at : at + width])
        at += width
    return "".join(out)


def _spliced(value: Any, quoted: bool) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        return json.dumps(value)
    return value if quoted else f'"{value}"'


def _to_batch(rule: Any, target: dict[str, Any], payload: str) -> None:
    """Submit a job from the target's parameters and a payload whose keys begin with capitals."""
    request = json.loads(payload)
    job = target["BatchParameters"]
    requested = request.get("ContainerOverrides") or {}
    overrides: dict[str, Any] = {}
    if "Command" in requested:
        overrides["command"] = requested["Command"]
    for key in ("Environment", "ResourceRequirements"):
        if key in requested:
            overrides[key[0].lower() + key[1:]] = [{k.lower(): v for k, v in entry.items()} for entry in requested[key]]
    batch_backends[rule.account_id][rule.region_name].submit_job(
        job["JobName"],
        job["JobDefinition"],
        target["Arn"],
        {key.lower(): value for key, value in (job.get("ArrayProperties") or {}).items()},
        container_overrides=overrides,
        parameters=request.get("Parameters"),
        depends_on=[{"jobId": other["JobId"]} for other in request.get("DependsOn", [])] or None,
    )


def _to_sns(rule: Any, target: dict[str, Any], payload: str) -> None:
    text = payload.strip()
    sns_backends[rule.account_id][rule.region_name].publish(
        arn=target["Arn"], message=json.loads(text) if text.startswith('"') else text
    )
