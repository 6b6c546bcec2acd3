"""The image, and containers of it, run as by a scheduler that trusts nobody."""

import json
import os
import re
import subprocess
import sys
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PATIENCE = 300
_BUILD_PATIENCE = 1800
_NO_NETWORK = "none"
THIS_MACHINE = "host"


@dataclass(frozen=True, slots=True)
class Image:
    """An image, and the engine that has it."""

    engine: str
    name: str

    def details(self) -> Mapping[str, Any]:
        """What the engine tells of it."""
        found: list[Mapping[str, Any]] = json.loads(_asked(self.engine, "image", "inspect", self.name).stdout)
        return found[0]

    def run(self, *words: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Runs the program in a container to its end; options are those of a Container."""
        return _done(Container(self, words, **options).command)

    def python(self, code: str, flags: Sequence[str] = (), **options: Any) -> subprocess.CompletedProcess[str]:
        """Runs Python code in a container, in place of the program."""
        return self.run("-c", code, flags=("--entrypoint", "python", *flags), **options)


@dataclass(frozen=True, slots=True)
class Container:
    """What to run in a container, in which only the scratch folder can be written, and nothing special done."""

    image: Image
    words: Sequence[str]
    scratch: Path | None = None
    """The folder of this machine that is its scratch; without it, the volume that the engine makes."""
    data: Path | None = None
    """A folder that it finds where it is on this machine, and may only read."""
    env: Mapping[str, str] = field(default_factory=dict)
    network: str = _NO_NETWORK
    flags: Sequence[str] = ()
    name: str = field(default_factory=lambda: f"cytobatch-test-{uuid.uuid4().hex[:12]}")

    @property
    def command(self) -> list[str]:
        """The engine's command."""
        # Podman puts folders in memory over /tmp and others, where it is not told otherwise; Docker and AWS do not.
        read_only = ["--read-only", *(["--read-only-tmpfs=false"] if "podman" in self.image.engine else [])]
        mounts = [(self.scratch, "/scratch"), (self.data, f"{self.data}:ro")]
        return [
            self.image.engine,
            "run",
            "--rm",
            "--name",
            self.name,
            "--network",
            self.network,
            *read_only,
            "--cap-drop",
            "all",
            "--security-opt",
            "no-new-privileges",
            "--security-opt",
            "label=disable",
            *(word for host, place in mounts if host for word in ("--volume", f"{host}:{place}")),
            *(word for item in self.env.items() for word in ("--env", "=".join(item))),
            *self.flags,
            self.image.name,
            *self.words,
        ]


def engine_here() -> str | None:
    """The engine that is named, else the first that answers. Buildah only builds: podman runs what it has built."""
    named = os.environ.get("ENGINE") or None
    engines = {None: ["docker", "podman"], "buildah": ["podman"]}.get(named, [named])
    return next((engine for engine in engines if engine and _answers(engine)), None)


def base_image() -> str:
    """What the image is built on."""
    found = re.search(r"^ARG BASE=(\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert found
    return os.environ.get("BASE") or found[1]


def can_have(engine: str, name: str) -> bool:
    """Whether an image is here, or a registry has it."""
    try:
        return any(
            _asked(engine, *words, name).returncode == 0 for words in (["image", "inspect"], ["pull", "--quiet"])
        )
    except subprocess.TimeoutExpired:
        return False


def built_image(engine: str) -> Image:
    """The image of this very state of the project."""
    words = ["make", "--directory", str(ROOT), "image", f"ENGINE={engine}", f"PYTHON={sys.executable}"]
    done = _done(words, _BUILD_PATIENCE)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return Image(engine, "cytobatch:latest")


def _answers(engine: str) -> bool:
    try:
        return _asked(engine, "info").returncode == 0
    except FileNotFoundError:
        return False


def _asked(engine: str, *words: str) -> subprocess.CompletedProcess[str]:
    return _done([engine, *words])


def _done(command: Sequence[str], patience: int = PATIENCE) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=patience)


@pytest.fixture(scope="session")
def image() -> Image:
    """The image that IMAGE names, which must be there; else one of the present state, where one can be built."""
    named = os.environ.get("IMAGE")
    engine = engine_here()
    if engine is None:
        reason = "no engine for containers answers, docker or podman"
        pytest.fail(reason) if named else pytest.skip(reason)
    if named:
        return Image(engine, named)
    if not can_have(engine, base_image()):
        pytest.skip(f"no image can be built: {engine} has no {base_image()}, and no registry gives it")
    return built_image(engine)
