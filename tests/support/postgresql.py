"""A PostgreSQL server on the loopback interface, and a Prefect server on it, for many runs at once."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from servers import free_port, prefect_server

_USER = "postgres"
_DEBIAN = Path("/usr/lib/postgresql")


def _program(name: str) -> Path:
    """Return a program of PostgreSQL. Skips the test if there is no PostgreSQL."""
    found = shutil.which(name)
    paths = sorted(_DEBIAN.glob(f"*/bin/{name}"))
    if found is None and not paths:
        pytest.skip("PostgreSQL is not installed: install Debian's package postgresql")
    return paths[-1] if paths else Path(str(found))


def _owner() -> str | None:
    """Return the user that runs the server, or None for this one: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(_USER).pw_name
    except KeyError:
        pytest.skip(f"PostgreSQL does not run as root, and there is no user {_USER}")


@contextmanager
def postgresql() -> Iterator[str]:
    """Run a PostgreSQL server of its own. Yields the address of its database for Prefect."""
    initdb, server, owner, port = _program("initdb"), _program("postgres"), _owner(), free_port()
    # Not below pytest's folders, which other users may not enter.
    with tempfile.TemporaryDirectory(prefix="cytobatch-postgresql-", ignore_cleanup_errors=True) as folder:
        if owner is not None:
            shutil.chown(folder, owner)
        data = f"{folder}/data"
        create = [initdb, "--pgdata", data, "--username", _USER, "--auth", "trust", "--no-sync"]
        subprocess.run(create, user=owner, cwd=folder, check=True, capture_output=True)
        serve = [server, "-D", data, "-p", str(port), "-k", folder, "-h", "127.0.0.1", "-c", "fsync=off"]
        with subprocess.Popen(
            serve, user=owner, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            try:
                yield f"postgresql+asyncpg://{_USER}@127.0.0.1:{port}/{_USER}"
            finally:
                # A fast shutdown: it does not wait for clients.
                process.send_signal(2)
                process.wait(30)


@contextmanager
def prefect_server_on_postgresql(folder: Path) -> Iterator[str]:
    """Run a Prefect server on a PostgreSQL server. Yields the URL of its API."""
    with (
        postgresql() as database,
        prefect_server(folder, {"PREFECT_SERVER_DATABASE_CONNECTION_URL": database}) as url,
    ):
        yield url
