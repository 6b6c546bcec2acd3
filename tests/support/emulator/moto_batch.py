"""Jobs of AWS Batch as AWS runs them: their containers, their end, their retries, their events."""

import fnmatch
import functools
import json
import os
import sys
import threading
from datetime import datetime
from typing import Any

import docker
import docker.models.containers
import docker.types
import moto_events
from moto.batch import models

_here = threading.local()
_ESSENTIAL = "Essential container in task exited"
_ENGINE_TIMEOUT = 600


def patch() -> None:
    """Install the behaviours."""
    _wait_for_engine()
    _resolve_properties()
    _describe_requirements()
    _log_to_configured_group()
    _shape_containers()
    _stop_by_sigterm()
    _retry_by_exit()


def _wait_for_engine() -> None:
    """Wait for the engine as long as a job may take: docker's limit of 60 s fails jobs on a machine under load."""
    docker.from_env = functools.partial(docker.from_env, timeout=_ENGINE_TIMEOUT)


def _resolve_properties() -> None:
    """A job's environment is the definition's with the job's overrides; a volume may have no host."""
    original = models.Job._get_container_property

    def resolve(self: Any, key: str, default: Any) -> Any:
        if key == "volumes":
            return [{"host": {"sourcePath": ""}, **volume} for volume in original(self, key, default)]
        if key != "environment":
            return original(self, key, default)
        environment = {entry["name"]: entry["value"] for entry in self.job_definition.container_properties.get(key, [])}
        environment |= {entry["name"]: entry["value"] for entry in self.container_overrides.get(key, [])}
        return [{"name": name, "value": value} for name, value in environment.items()]

    models.Job._get_container_property = resolve


def _describe_requirements() -> None:
    """A described job has the vCPUs and memory of its request, in place of the definition's."""
    original = models.Job.describe
    names = {"VCPU": "vcpus", "MEMORY": "memory"}

    def describe(self: Any) -> dict[str, Any]:
        description: dict[str, Any] = original(self)
        for requirement in self.container_overrides.get("resourceRequirements", []):
            if requirement["type"] in names:
                description["container"][names[requirement["type"]]] = int(requirement["value"])
        return description

    models.Job.describe = describe


def _log_to_configured_group() -> None:
    """Logs go to the definition's group, into a stream with its prefix."""
    original = models.Job.__init__

    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        options = (self.job_definition.container_properties or {}).get("logConfiguration", {}).get("options", {})
        self._log_group = options.get("awslogs-group", self._log_group)
        prefix = options.get("awslogs-stream-prefix", self.job_definition.name)
        self._stream_name = f"{prefix}/default/{self.job_id}"

    models.Job.__init__ = init


def _batch_environment(job: Any) -> dict[str, str]:
    """Return the AWS_BATCH_* variables of a job's container."""
    environments = job.job_queue.environments
    variables = {
        "AWS_BATCH_JOB_ID": job.job_id,
        "AWS_BATCH_JQ_NAME": job.job_queue.name,
        "AWS_BATCH_JOB_ATTEMPT": str(len(job.attempts)),
        "AWS_BATCH_CE_NAME": environments[0].name if environments else "",
    }
    if "index" in job.array_properties:
        variables["AWS_BATCH_JOB_ARRAY_INDEX"] = str(job.array_properties["index"])
        variables["AWS_BATCH_JOB_ARRAY_SIZE"] = str(_parent(job).array_properties["size"])
    return variables


def _parent(job: Any) -> Any:
    return job.all_jobs[job.job_id.rsplit(":", 1)[0]]


def _shape_containers() -> None:
    """A container has the job's variables, user, root file system and volumes, which are removed with it."""
    original_run = docker.models.containers.ContainerCollection.run
    original_remove = docker.models.containers.Container.remove

    def run(self: Any, image: str, *args: Any, **kwargs: Any) -> Any:
        job = getattr(_here, "job", None)
        if job is not None:
            kwargs |= _container_of(job, kwargs)
            kwargs.pop("extra_hosts", None)
        return original_run(self, image, *args, **kwargs)

    def remove(self: Any, **kwargs: Any) -> None:
        original_remove(self, **{"v": True, **kwargs})

    docker.models.containers.ContainerCollection.run = run
    docker.models.containers.Container.remove = remove


def _container_of(job: Any, requested: dict[str, Any]) -> dict[str, Any]:
    properties = job.job_definition.container_properties
    emulators = json.loads(os.environ.get("MOTO_JOB_ENV", "{}"))
    options = {
        "environment": {**emulators, **(requested.get("environment") or {}), **_batch_environment(job)},
        "read_only": properties.get("readonlyRootFilesystem", False),
        # Each is a new volume with the content of the image's folder, as on Fargate. On a host of EC2 jobs share a
        # folder; here each has its own.
        "mounts": [
            docker.types.Mount(mount["containerPath"], None, type="volume", read_only=mount.get("readOnly", False))
            for mount in properties.get("mountPoints", [])
        ],
    }
    return options | ({"user": properties["user"]} if "user" in properties else {})


def _stop_by_sigterm() -> None:
    """A job that is terminated gets SIGTERM, and SIGKILL some time after it."""
    seconds = int(os.environ.get("MOTO_STOP_SECONDS", "30"))

    def kill(self: Any, *_: object, **_named: object) -> None:
        self.stop(timeout=seconds)

    docker.models.containers.Container.kill = kill


def _decide(job: Any) -> str:
    """Return RETRY or EXIT, by the definition's attempts and evaluateOnExit; if no rule matches, RETRY."""
    strategy = job.job_definition.retry_strategy or {}
    if len(job.attempts) >= int(strategy.get("attempts", 1)) or job.stop:
        return "EXIT"
    facts = {
        "onExitCode": str(job.exit_code),
        "onReason": job.reason,
        "onStatusReason": job.job_stopped_reason or "",
    }
    for rule in strategy.get("evaluateOnExit", []):
        if all(fnmatch.fnmatchcase(facts[fact], rule[fact]) for fact in facts if rule.get(fact)):
            return str(rule["action"]).upper()
    return "RETRY"


def _retry_by_exit() -> None:
    """A job that fails is retried by its retry strategy. The event is sent when it has ended for good."""
    original_mark, original_run = models.Job._mark_stopped, models.Job.run

    def mark_stopped(self: Any, success: bool = True) -> None:
        if self.job_stopped or getattr(self, "retrying", False):
            return
        # moto marks a job while it handles an exception of its thread: a job's time limit, or an error of the engine.
        error = sys.exc_info()[1]
        timed_out = "attemptDurationSeconds" in str(error or "")
        _describe_end(self, success, timed_out, error)
        ours = getattr(_here, "job", None) is self
        if not success and not timed_out and ours and _decide(self) == "RETRY":
            self.job_stopped_at = datetime.now()
            self._stop_attempt()
            self.retrying = True
            return
        original_mark(self, success)
        _announce(self)
        _resolve_array(self)

    def run(self: Any) -> None:
        _here.job = self
        self.retrying = True
        while self.retrying:
            self.retrying = False
            original_run(self)
            if self.retrying:
                self.job_stopped_reason, self.exit_code, self.status, self._tick = None, None, "SUBMITTED", 0

    models.Job._mark_stopped, models.Job.run = mark_stopped, run


def _describe_end(job: Any, success: bool, timed_out: bool, error: BaseException | None) -> None:
    """Set the reasons that DescribeJobs returns for an attempt that has ended."""
    job.reason = ""
    if not success and not job.job_stopped_reason:
        engine_error = f"CannotStartContainerError: {error!r}" if error else _ESSENTIAL
        job.job_stopped_reason = "Job attempt duration exceeded timeout" if timed_out else engine_error
    if job.latest_attempt:
        job.latest_attempt["container"]["exitCode"] = job.exit_code
        job.latest_attempt["statusReason"] = job.job_stopped_reason or _ESSENTIAL


_arrays = threading.Lock()


def _resolve_array(job: Any) -> None:
    """End an array job with the last of its children: it fails if one of them has failed."""
    if "index" not in job.array_properties:
        return
    parent = _parent(job)
    with _arrays:
        children = parent._child_jobs or []
        if parent.job_stopped or not children or not all(child.job_stopped for child in children):
            return
        parent.job_stopped, parent.job_stopped_at = True, datetime.now()
        failed = any(child.status == "FAILED" for child in children)
        parent.status = "FAILED" if failed else "SUCCEEDED"
        parent.job_stopped_reason = "Array Child Job failed" if failed else None
    _announce(parent)


def _announce(job: Any) -> None:
    """Send the event "Batch Job State Change"."""
    detail = {
        "jobName": job.job_name,
        "jobId": job.job_id,
        "jobQueue": job.job_queue.arn,
        "status": job.status,
        "statusReason": job.job_stopped_reason or "",
        "jobDefinition": job.job_definition.arn,
        "attempts": job.attempts,
        "arrayProperties": job.array_properties,
    }
    backend = job.backend
    kind = "Batch Job State Change"
    moto_events.emit(backend.account_id, backend.region_name, "aws.batch", kind, detail, [job.arn])
