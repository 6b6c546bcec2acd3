"""Terraform as the tests run it: on a copy of the configuration, with this machine's provider, against the emulator."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.support.emulator.server import REGION
from tests.support.paths import REPOSITORY

_PROVIDER = "registry.terraform.io/hashicorp/aws"
# The folders in which terraform itself looks for a mirror of providers.
_MIRRORS = (
    Path.home() / ".terraform.d/plugins",
    Path.home() / ".local/share/terraform/plugins",
    Path("/usr/local/share/terraform/plugins"),
    Path("/usr/share/terraform/plugins"),
)
# Where administrators and images put one, before the whole disk, which takes seconds to search.
_SEARCHED = ("/opt", "/usr/local", "/srv", str(Path.home()), "/")
_SERVICES = (
    "batch",
    "cloudwatch",
    "ec2",
    "ecr",
    "ecs",
    "events",
    "iam",
    "kms",
    "logs",
    "s3",
    "sns",
    "sqs",
    "sts",
)


class TerraformError(RuntimeError):
    """A command of terraform failed. The text has its exit code and output."""


def _environment() -> dict[str, str]:
    """Return an environment for terraform, without the developer's account and settings."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "TF_"))}
    config = os.environ.get("TF_CLI_CONFIG_FILE")
    if config and Path(config).is_file():
        kept["TF_CLI_CONFIG_FILE"] = config
    return kept | {
        "CHECKPOINT_DISABLE": "1",
        "TF_IN_AUTOMATION": "1",
        "AWS_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_EC2_METADATA_DISABLED": "true",
        # Go looks for garbage less often, which takes a quarter of the CPU time of a command away.
        "GOGC": "400",
    }


@dataclass(frozen=True)
class Terraform:
    """A root module, in a folder where terraform may write."""

    folder: Path
    environment: Mapping[str, str] = field(default_factory=_environment)

    def run(self, *args: str, ok: tuple[int, ...] = (0,)) -> subprocess.CompletedProcess[str]:
        """Run a command. Raises TerraformError if its exit code is not one of `ok`."""
        command, env = [_program(), *args], dict(self.environment)
        done = subprocess.run(command, cwd=self.folder, env=env, capture_output=True, text=True, check=False)
        if done.returncode not in ok:
            raise TerraformError(f"terraform {' '.join(args)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    def init(self) -> None:
        """Install modules and the provider. Skips if this machine has no provider and cannot download it."""
        mirror = provider_mirror()
        if mirror is not None:
            self.run("init", "-input=false", "-no-color", f"-plugin-dir={mirror}")
            return
        try:
            self.run("init", "-input=false", "-no-color")
        except TerraformError as error:
            pytest.skip(f"Terraform's AWS provider is not on this machine: {error}")

    def apply(self) -> None:
        """Apply without confirmation."""
        self.run("apply", "-auto-approve", "-input=false", "-no-color")

    def plan(self) -> subprocess.CompletedProcess[str]:
        """Plan. Exit code 0 means no change, 2 means changes."""
        return self.run("plan", "-detailed-exitcode", "-input=false", "-no-color", ok=(0, 2))

    def output(self) -> dict[str, Any]:
        """Return the object that `terraform output -json` prints."""
        return dict(json.loads(self.run("output", "-json").stdout))

    def resources(self) -> list[str]:
        """Return the addresses in the state, without data sources."""
        lines = self.run("state", "list").stdout.split()
        return [line for line in lines if not line.startswith("data.") and ".data." not in line]


def copied(folder: Path) -> Path:
    """Copy `terraform/` into the folder, and the job definitions beside it as in the repository. Return the copy."""
    skip = shutil.ignore_patterns(".terraform", ".terraform.lock.hcl", "*.tfstate*")
    for name in ("terraform", "job-definitions"):
        shutil.copytree(REPOSITORY / name, folder / name, ignore=skip)
    return folder / "terraform"


def point_at(example: Path, url: str, module: Mapping[str, object] | None = None) -> None:
    """Point an example's provider at the emulator, and set arguments of its module, by an override file."""
    provider = {
        "s3_use_path_style": True,
        "skip_region_validation": True,
        "max_retries": 3,
        "endpoints": [dict.fromkeys(_SERVICES, url)],
    }
    override: dict[str, Any] = {"provider": {"aws": provider}}
    if module:
        override["module"] = {"cytobatch": dict(module)}
    (example / "emulator_override.tf.json").write_text(json.dumps(override, indent=2))


@cache
def provider_mirror() -> Path | None:
    """Return the folder for `terraform init -plugin-dir`, None if no provider is on this machine."""
    named = os.environ.get("TF_PLUGIN_DIR")
    if named:
        return Path(named)
    for mirror in _MIRRORS:
        if (mirror / _PROVIDER).is_dir():
            return mirror
    find = shutil.which("find")
    if find is None:
        return None
    pattern = ["-path", f"*/{_PROVIDER}", "-not", "-path", "*/.terraform/*"]
    command = [find, *_SEARCHED, "-xdev", "-type", "d", *pattern, "-print", "-quit"]
    folder = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    return Path(folder.removesuffix(f"/{_PROVIDER}")) if folder else None


def _program() -> str:
    program = shutil.which("terraform")
    if program is None:
        pytest.skip("terraform is not on this machine")
    return program
