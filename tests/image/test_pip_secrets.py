"""pip's settings for an image's build: those that hold in a container, without this machine's folders."""

import configparser
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.support.paths import REPOSITORY

MOUNTED_BUNDLE = "/run/secrets/ca.crt"


def secrets(folder: Path, variables: Mapping[str, str]) -> tuple[dict[str, str], str]:
    """Return pip's configuration for a build on a machine with these variables alone, and the build's flags."""
    env = {"PATH": os.environ["PATH"], "PIP_CONFIG_FILE": os.devnull, **variables}
    command = [sys.executable, str(REPOSITORY / ".ci" / "pip_secrets.py"), str(folder)]
    flags = subprocess.run(command, env=env, capture_output=True, text=True, check=True).stdout
    config = configparser.RawConfigParser()
    config.read(folder / "pip.conf")
    return dict(config["global"]), flags


def test_an_index_with_its_password_and_certificates(tmp_path: Path) -> None:
    (tmp_path / "bundle.pem").write_text("certificates")
    variables = {
        "PIP_INDEX_URL": "https://lab:p%40ss@packages.example/simple",
        "PIP_CERT": str(tmp_path / "bundle.pem"),
    }
    config, flags = secrets(tmp_path, variables)
    assert config == {"index-url": "https://lab:p%40ss@packages.example/simple", "cert": MOUNTED_BUNDLE}
    assert (tmp_path / "ca.crt").read_text() == "certificates"
    assert flags.split() == [
        "--secret",
        f"id=pip.conf,src={tmp_path}/pip.conf",
        "--secret",
        f"id=ca.crt,src={tmp_path}/ca.crt",
    ]


def test_folders_of_this_machine_are_left_out(tmp_path: Path) -> None:
    variables = {
        "PIP_FIND_LINKS": "/srv/wheels https://packages.example/wheels",
        "PIP_EXTRA_INDEX_URL": "file:///srv/simple https://packages.example/simple https://more.example/simple",
        "PIP_CACHE_DIR": "/srv/cache",
    }
    config, _ = secrets(tmp_path, variables)
    assert {name: value.split() for name, value in config.items()} == {
        "find-links": ["https://packages.example/wheels"],
        "extra-index-url": ["https://packages.example/simple", "https://more.example/simple"],
    }


def test_a_machine_without_settings(tmp_path: Path) -> None:
    config, flags = secrets(tmp_path, {})
    assert config == {}
    assert flags.split() == ["--secret", f"id=pip.conf,src={tmp_path}/pip.conf"]
