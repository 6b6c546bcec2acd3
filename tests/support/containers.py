"""The image, and containers of it, which run with the least rights that a scheduler may grant."""

import json
import os
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support.paths import REPOSITORY

TIMEOUT = 300
"""Seconds that a container may take: a limit for what hangs, far above what a slow machine needs."""
HOST_NETWORK = "host"
_BUILD_TIMEOUT = 1800
_NO_NETWORK = "none"


@dataclass(frozen=True, slots=True)
class Image:
    """An image by its name or id, and the engine that holds it."""

    engine: str
    name: str

    def details(self) -> Mapping[str, Any]:
        """Return the engine's description of the image."""
        details: list[Mapping[str, Any]] = json.loads(_run_engine(self.engine, "image", "inspect", self.name).stdout)
        return details[0]

    def run(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run the program in a container to its end. Options are those of a Container."""
        return _run(Container(self, arguments, **options).command)

    def python(self, code: str, flags: Sequence[str] = (), **options: Any) -> subprocess.CompletedProcess[str]:
        """Run Python code in a container, in place of the program."""
        return self.run("-c", code, flags=("--entrypoint", "python", *flags), **options)


@dataclass(frozen=True, slots=True)
class Container:
    """A container in which only the scratch folder can be written, without capabilities and by default offline."""

    image: Image
    arguments: Sequence[str]
    scratch: Path | None = None
    """The host's folder that is mounted as scratch; without it, the engine makes a volume."""
    data: Path | None = None
    """A folder of the host that is mounted read-only at the same path."""
    env: Mapping[str, str] = field(default_factory=dict)
    network: str = _NO_NETWORK
    flags: Sequence[str] = ()
    name: str = field(default_factory=lambda: f"cytobatch-test-{uuid.uuid4().hex[:12]}")

    @property
    def command(self) -> list[str]:
        """The engine's command."""
        # Podman mounts folders in memory over /tmp and others by default; Docker and AWS do not.
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
            *(word for host, target in mounts if host for word in ("--volume", f"{host}:{target}")),
            *(word for item in self.env.items() for word in ("--env", "=".join(item))),
            *self.flags,
            self.image.name,
            *self.arguments,
        ]


def find_engine() -> str | None:
    """Return the engine that ENGINE names, else the first that answers. For Buildah, which only builds, take podman."""
    named = os.environ.get("ENGINE") or None
    engines = {None: ["docker", "podman"], "buildah": ["podman"]}.get(named, [named])
    return next((engine for engine in engines if engine and _answers(engine)), None)


def base_image() -> str:
    """Return the name of the image that the project's image is built on."""
    argument = re.search(r"^ARG BASE=(\S+)$", (REPOSITORY / "Dockerfile").read_text(), re.MULTILINE)
    assert argument
    return os.environ.get("BASE") or argument[1]


def is_available(engine: str, name: str) -> bool:
    """Decide whether the engine holds an image or can pull it."""
    try:
        return any(
            _run_engine(engine, *words, name).returncode == 0 for words in (["image", "inspect"], ["pull", "--quiet"])
        )
    except subprocess.TimeoutExpired:
        return False


def build_image(engine: str, folder: Path) -> Image:
    """Build the image of this state of the project, and name it by its id: other builds may take over its tags."""
    id_file = folder / "image-id"
    flags = f"{os.environ.get('BUILD_ARGS', '')} --iidfile {id_file}"
    variables = [f"ENGINE={engine}", f"PYTHON={sys.executable}", f"BUILD_ARGS={flags}"]
    done = _run(["make", "--directory", str(REPOSITORY), "image", *variables], _BUILD_TIMEOUT)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return Image(engine, id_file.read_text().strip())


@contextmanager
def tested_image(folder: Path) -> Iterator[Image]:
    """Yield the image that IMAGE names, which must exist, else one that is built, where one can be built."""
    named = os.environ.get("IMAGE")
    engine = find_engine()
    if engine is None:
        reason = "no engine for containers answers, docker or podman"
        pytest.fail(reason) if named else pytest.skip(reason)
    if named:
        yield Image(engine, named)
        return
    if not is_available(engine, base_image()):
        pytest.skip(f"no image can be built: {engine} has no {base_image()}, and no registry provides it")
    yield build_image(engine, folder)


def remove_image(name: str) -> None:
    """Remove a name from the engine's images, if there is an engine and the name."""
    engine = find_engine()
    if engine:
        _run_engine(engine, "rmi", name)


def _answers(engine: str) -> bool:
    try:
        return _run_engine(engine, "info").returncode == 0
    except FileNotFoundError:
        return False


def _run_engine(engine: str, *words: str) -> subprocess.CompletedProcess[str]:
    return _run([engine, *words])


def _run(command: Sequence[str], timeout: int = TIMEOUT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout)
