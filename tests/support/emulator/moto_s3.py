"""S3 as AWS has it: a bucket's configuration of events, and the events that it sends."""

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
_sent: set[tuple[str, str, str]] = set()


def patch() -> None:
    """Install the behaviours."""
    _return_event_bridge_configuration()
    _allow_plain_http()
    notifications._send_event_bridge_message = _send_object_created


def _return_event_bridge_configuration() -> None:
    """GetBucketNotificationConfiguration returns EventBridgeConfiguration; without it, Terraform plans a change."""
    original = S3Response.get_bucket_notification

    def get_bucket_notification(self: S3Response) -> Any:
        configuration = self.backend.get_bucket_notification_configuration(self.bucket_name)
        others = configuration and (configuration.topic or configuration.queue or configuration.cloud_function)
        if configuration and configuration.event_bridge is not None and not others:
            self.data["Action"] = "GetBucketNotificationConfiguration"
            return self.serialized(ActionResult({"EventBridgeConfiguration": {}}))
        return original(self)

    S3Response.get_bucket_notification = get_bucket_notification


def _allow_plain_http() -> None:
    """A policy that denies requests without TLS does not apply to the emulator, which has no TLS."""
    original = access_control.IAMPolicyStatement.is_action_permitted

    def is_action_permitted(self: Any, *args: Any, **kwargs: Any) -> Any:
        condition = self._statement.get("Condition") or {}
        if self._statement.get("Effect") == "Deny" and "aws:SecureTransport" in (condition.get("Bool") or {}):
            return access_control.PermissionResult.NEUTRAL
        return original(self, *args, **kwargs)

    access_control.IAMPolicyStatement.is_action_permitted = is_action_permitted


def _send_object_created(account: str, bucket: Any, event_name: Any, key: Any) -> None:
    """Send an object's event in EventBridge's documented shape, once for each call of the API. The key is unquoted."""
    name = str(getattr(event_name, "value", event_name))
    if name.startswith("s3:ObjectCreated") and key.version_id:
        # moto sends the event of a multipart upload twice.
        ident = (bucket.name, key.name, key.version_id)
        if ident in _sent:
            return
        _sent.add(ident)
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
    entry = {"key": key.name, "size": key.size, "etag": key.etag.strip('"'), "sequencer": f"{time.time_ns():018X}"}
    if key.version_id and key.version_id != "null":
        entry["version-id"] = key.version_id
    return entry
