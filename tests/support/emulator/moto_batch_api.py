"""The API of AWS Batch as AWS has it: refusals, names of definitions without a revision, descriptions."""

import copy
import json
import threading
from typing import Any

from moto.batch import models, responses
from moto.batch.exceptions import ClientException
from moto.iam.exceptions import NotFoundException

_SERVICE = "batch.amazonaws.com"
_here = threading.local()


def patch() -> None:
    """Install the behaviours."""
    _add_service_role()
    _keep_scheduling_priority()
    _keep_share()
    _check_submitted()
    _describe_whole()


def _add_service_role() -> None:
    """A compute environment without a service role has the role that is linked to AWS Batch, made at its first use."""
    original = models.BatchBackend.create_compute_environment

    def create_compute_environment(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not kwargs["service_role"]:
            kwargs["service_role"] = _linked_role(self)
        return original(self, *args, **kwargs)

    models.BatchBackend.create_compute_environment = create_compute_environment


_roles = threading.Lock()


def _linked_role(backend: Any) -> str:
    name, path = "AWSServiceRoleForBatch", f"/aws-service-role/{_SERVICE}/"
    arn = f"arn:aws:iam::{backend.account_id}:role{path}{name}"
    trust = {"Effect": "Allow", "Principal": {"Service": _SERVICE}, "Action": "sts:AssumeRole"}
    with _roles:
        try:
            backend.iam_backend.get_role_by_arn(arn)
        except NotFoundException:
            document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
            backend.iam_backend.create_role(name, document, path, None, "", [], "3600", linked_service=_SERVICE)
    return arn


def _keep_scheduling_priority() -> None:
    """A job definition has the schedulingPriority that it was registered with."""
    original_register, original_describe = responses.BatchResponse.registerjobdefinition, models.JobDefinition.describe

    def registerjobdefinition(self: Any) -> str:
        answer = original_register(self)
        arn = json.loads(answer)["jobDefinitionArn"]
        self.batch_backend._job_definitions[arn].scheduling_priority = self._get_param("schedulingPriority")
        return answer

    def describe(self: Any) -> dict[str, Any]:
        description = original_describe(self)
        priority = getattr(self, "scheduling_priority", None)
        return description if priority is None else {**description, "schedulingPriority": priority}

    responses.BatchResponse.registerjobdefinition = registerjobdefinition
    models.JobDefinition.describe = describe


def _keep_share() -> None:
    """The share identifier and priority of SubmitJob are available where the job is checked."""
    original = responses.BatchResponse.submitjob

    def submitjob(self: Any) -> str:
        _here.share = (self._get_param("shareIdentifier"), self._get_param("schedulingPriorityOverride"))
        try:
            return original(self)
        finally:
            del _here.share

    responses.BatchResponse.submitjob = submitjob


def _check_order(queue: Any, definition: Any) -> None:
    """Check that a job of a queue with fair share has a share identifier and a priority, and others have neither.

    The priority may be the definition's. EventBridge sets neither.
    """
    identifier, override = getattr(_here, "share", (None, None))
    priority = getattr(definition, "scheduling_priority", None) if override is None else override
    if not queue.schedule_policy:
        if identifier is not None or priority is not None:
            raise ClientException(
                "Job with shareIdentifier or schedulingPriority can only be submitted to job queue with fair share "
                "scheduling policy"
            )
    elif not identifier:
        raise ClientException("shareIdentifier must be specified.")
    elif priority is None:
        raise ClientException("schedulingPriority or schedulingPriorityOverride must be specified.")


def _check_submitted() -> None:
    """SubmitJob and EventBridge refuse a job that its queue does not take.

    They refuse arrays of other sizes than 2 to 10,000 and reserved variables, too.
    """
    original = models.BatchBackend.submit_job

    def submit_job(
        self: Any, job_name: str, job_def_id: str, job_queue: str, array_properties: dict[str, Any], **kwargs: Any
    ) -> Any:
        size = array_properties.get("size")
        if size is not None and not 2 <= size <= 10_000:
            raise ClientException("Error executing request, Exception : Array job size must be between 2 and 10000")
        overrides = copy.deepcopy(kwargs.pop("container_overrides", None))
        if any(entry["name"].startswith("AWS_BATCH") for entry in (overrides or {}).get("environment") or []):
            raise ClientException("environment variable names must not start with AWS_BATCH")
        active = _active(self, job_def_id)
        queue = self.get_job_queue(job_queue)
        if queue is not None:
            _check_order(queue, self.get_job_definition(active))
        return original(self, job_name, active, job_queue, array_properties, container_overrides=overrides, **kwargs)

    models.BatchBackend.submit_job = submit_job


def _active(backend: Any, definition: str) -> str:
    """Return the ARN of an active definition: the newest if the name has no revision."""
    known = [
        each
        for each in backend._job_definitions.values()
        if each.status == "ACTIVE"
        and definition in (each.name, each.arn, each.arn.rsplit(":", 1)[0], f"{each.name}:{each.revision}")
    ]
    if not known:
        raise ClientException(f"JobDefinition not found or not ACTIVE: {definition}")
    return str(max(known, key=lambda each: each.revision).arn)


def _describe_whole() -> None:
    """A job's description has its index in its array, and its container's has the exit code."""
    original_short, original = models.Job.describe_short, models.Job.describe

    def describe_short(self: Any) -> dict[str, Any]:
        description = original_short(self)
        if "index" in self.array_properties:
            description["arrayProperties"] = {"index": self.array_properties["index"]}
        elif self._child_jobs:
            description["arrayProperties"] = {"size": len(self._child_jobs)}
        return description

    def describe(self: Any) -> dict[str, Any]:
        status = self.status
        description = original(self)
        # moto decides an array's state here. This emulator decides it when the last child ends.
        self.status = description["status"] = status
        if self.exit_code is not None and "container" in description:
            description["container"]["exitCode"] = self.exit_code
        return description

    models.Job.describe_short, models.Job.describe = describe_short, describe
