#!/usr/bin/env python3
"""Says where pip gets packages on this machine, as secrets of an image's build: `pip_secrets.py FOLDER`.

Writes FOLDER/pip.conf and FOLDER/ca.crt from pip's configuration and environment, and prints the build's flags. Secrets
are mounted while pip runs, and are in no layer. What lies in folders of this machine is left out: a build sees none.
"""

import ast
import configparser
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

_PLACES = ("index-url", "extra-index-url", "find-links")
_MANNERS = ("trusted-host", "proxy", "timeout", "default-timeout", "retries")
_BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")


def pip_settings() -> dict[str, str]:
    """Pip's settings by name. Lines of `section.name='value'`; the environment's, `:env:.name`, win over files'."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    ).stdout
    found: dict[str, dict[str, str]] = {"global": {}, "install": {}, ":env:": {}}
    for line in listed.splitlines():
        key, separator, value = line.partition("=")
        section, _, name = key.partition(".")
        if separator and section in found:
            found[section][name] = str(ast.literal_eval(value))
    return found["global"] | found["install"] | found[":env:"]


def within_a_build(settings: Mapping[str, str]) -> dict[str, str]:
    """Those of pip's settings that hold inside a container: addresses on the network, and how to reach them."""
    kept = {name: settings[name] for name in _MANNERS if name in settings}
    for name in _PLACES:
        remote = [place for place in settings.get(name, "").split() if place.startswith(("http://", "https://"))]
        if remote:
            kept[name] = "\n".join(remote)
    return kept


def main(folder: Path) -> None:
    """Writes the secrets and prints the flags that hand them to a build."""
    settings = pip_settings()
    kept = within_a_build(settings)
    flags = [f"--secret id=pip.conf,src={folder / 'pip.conf'}"]
    bundles = [settings.get("cert", ""), *(os.environ.get(name, "") for name in _BUNDLES)]
    bundle = next((Path(name) for name in bundles if name and Path(name).is_file()), None)
    if bundle:
        (folder / "ca.crt").write_bytes(bundle.read_bytes())
        flags.append(f"--secret id=ca.crt,src={folder / 'ca.crt'}")
        kept["cert"] = "/run/secrets/ca.crt"
    # Percent signs are those of an address, not of configparser.
    config = configparser.RawConfigParser()
    config["global"] = kept
    with (folder / "pip.conf").open("w", encoding="utf-8") as file:
        config.write(file)
    print(*flags)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
