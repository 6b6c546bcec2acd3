"""Templates of pages as bytecode beside Python's own: compiling one takes longer than drawing a page with it.

The bytecode lies where Python keeps that of a module, in `__pycache__` beside the template. Where the package may not
be written, as in a container, a process compiles a template for itself, unless the image was built with its bytecode.
"""

import hashlib
import importlib.util
import marshal
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import jinja2
from jinja2.bccache import Bucket, BytecodeCache


class CompiledTemplates(BytecodeCache):
    """The bytecode of the templates of a folder, compiled with some options of Jinja by this version of it."""

    def __init__(self, folder: Path, options: Mapping[str, object]) -> None:
        self._folder = folder
        self._compiler = f"jinja2 {jinja2.__version__}, python {sys.hexversion:x}, {sorted(options.items())}"

    def get_cache_key(self, name: str, filename: str | None = None) -> str:  # noqa: ARG002
        """Return the name of a template, which is that of its file."""
        return name

    def get_source_checksum(self, source: str) -> str:
        """Return the checksum of all that decides the bytecode of a template."""
        return hashlib.sha256(f"{self._compiler}\n{source}".encode()).hexdigest()

    def load_bytecode(self, bucket: Bucket) -> None:
        """Load the bytecode if it is that of the template's text."""
        with suppress(OSError):
            checksum, _, code = self._path(bucket).read_bytes().partition(b"\n")
            if checksum == bucket.checksum.encode():
                with suppress(EOFError, ValueError, TypeError):
                    bucket.code = marshal.loads(code)

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Store the bytecode, whole or not at all. Others may do the same at this moment."""
        if sys.dont_write_bytecode:
            return
        path = self._path(bucket)
        part = path.with_name(f"{path.name}.{uuid4().hex}")
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                part.write_bytes(f"{bucket.checksum}\n".encode() + marshal.dumps(bucket.code))
                part.replace(path)
            finally:
                part.unlink(missing_ok=True)

    def _path(self, bucket: Bucket) -> Path:
        return Path(importlib.util.cache_from_source(str(self._folder / bucket.key)))
