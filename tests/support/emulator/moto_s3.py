"""S3 as AWS has it: how a bucket tells that it sends events, and the events that it sends."""

import time
import uuid
from typing import Any

import moto_events
from moto.core.responses import ActionResult
from moto.iam import access_control
from moto.s3 import notifications
from moto.s3.responses import S3Response

_REASONS = {
    "Put": "PutObject",
    "Post": "POST Object",
    "Copy": "CopyObject",
    "CompleteMultipartUpload": "CompleteMultipartUpload",
}
_announced: set[tuple[str, str, str]] = set()


def patch() -> None:
    """Puts the behaviours in place."""
    _answer_event_bridge_configuration()
    _let_plain_http_in()
    notifications._send_event_bridge_message = _send_object_created


def _answer_event_bridge_configuration() -> None:
    """GetBucketNotificationConfiguration has EventBridgeConfiguration in it; without, Terraform sees a difference."""
    original = S3Response.get_bucket_notification

    def get_bucket_notification(self: S3Response) -> Any:
        said = self.backend.get_bucket_notification_configuration(self.bucket_name)
        if said and said.event_bridge is not None and not (said.topic or said.queue or said.cloud_function):
            self.data["Action"] = "GetBucketNotificationConfiguration"
            return self.serialized(ActionResult({"EventBridgeConfiguration": {}}))
        return original(self)

    S3Response.get_bucket_notification = get_bucket_notification


def _let_plain_http_in() -> None:
    """A bucket's policy that denies what comes without TLS does not bear on the emulator, which has none."""
    original = access_control.IAMPolicyStatement.is_action_permitted

    def is_action_permitted(self: Any, *args: Any, **kwargs: Any) -> Any:
        condition = self._statement.get("Condition") or {}
        if self._statement.get("Effect") == "Deny" and "aws:SecureTransport" in (condition.get("Bool") or {}):
            return access_control.PermissionResult.NEUTRAL
        return original(self, *args, **kwargs)

    access_control.IAMPolicyStatement.is_action_permitted = is_action_permitted


def _send_object_created(account: str, bucket: Any, event_name: Any, key: Any) -> None:
    """An object's event in EventBridge's documented shape, once for each call of the API. The key is not quoted."""
    name = str(getattr(event_name, "value", event_name))
    if name.startswith("s3:ObjectCreated") and key.version_id:
        # moto announces a multipart upload twice.
        ident = (bucket.name, key.name, key.version_id)
        if ident in _announced:
            return
        _announced.add(ident)
    action = name.rsplit(":", 1)[1]
    detail = {
        "version": "0",
        "bucket": {"name": bucket.name},
        "object": _object_of(key),
        "request-id": uuid.uuid4().hex[:16].upper(),
        "requester": account,
        "source-ip-address": "127.0.0.1",
        "reason": _REASONS.get(action, action),
    }
    moto_events.emit(
        account, bucket.region_name, "aws.s3", notifications._detail_type(event_name), detail, [bucket.arn]
    )


def _object_of(key: Any) -> dict[str, Any]:
    said = {"key": key.name, "size": key.size, "etag": key.etag.strip('"'), "sequencer": f"{time.time_ns():018X}"}
    if key.version_id and key.version_id != "null":
        said["version-id"] = key.version_id
    return said
