#!/usr/bin/env python3
"""Hands this machine's settings of pip to an image's build as secrets: `pip_secrets.py FOLDER`.

Writes FOLDER/pip.conf and FOLDER/ca.crt from pip's configuration and environment, and prints the build's flags. Secrets
are mounted while pip runs, and are in no layer. Folders of this machine are left out, because a build cannot read them.
"""

import ast
import configparser
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

_ADDRESSES = ("index-url", "extra-index-url", "find-links")
_CONNECTION = ("trusted-host", "proxy", "timeout", "default-timeout", "retries")
_BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")


def pip_settings() -> dict[str, str]:
    """Return pip's settings by name, from lines `section.name='value'`.

    Those of the environment, `:env:.name`, take precedence over those of files.
    """
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    ).stdout
    sections: dict[str, dict[str, str]] = {"global": {}, "install": {}, ":env:": {}}
    for line in listed.splitlines():
        key, separator, value = line.partition("=")
        section, _, name = key.partition(".")
        if separator and section in sections:
            sections[section][name] = str(ast.literal_eval(value))
    return sections["global"] | sections["install"] | sections[":env:"]


def settings_for_build(settings: Mapping[str, str]) -> dict[str, str]:
    """Return the settings that hold inside a container: addresses on the network, and how to reach them."""
    kept = {name: settings[name] for name in _CONNECTION if name in settings}
    for name in _ADDRESSES:
        remote = [address for address in settings.get(name, "").split() if address.startswith(("http://", "https://"))]
        if remote:
            kept[name] = "\n".join(remote)
    return kept


def main(folder: Path) -> None:
    """Write the secrets, and print the flags that hand them to a build."""
    settings = pip_settings()
    kept = settings_for_build(settings)
    flags = [f"--secret id=pip.conf,src={folder / 'pip.conf'}"]
    bundles = [settings.get("cert", ""), *(os.environ.get(name, "") for name in _BUNDLES)]
    bundle = next((Path(name) for name in bundles if name and Path(name).is_file()), None)
    if bundle:
        (folder / "ca.crt").write_bytes(bundle.read_bytes())
        flags.append(f"--secret id=ca.crt,src={folder / 'ca.crt'}")
        kept["cert"] = "/run/secrets/ca.crt"
    # Percent signs belong to addresses, not to configparser.
    config = configparser.RawConfigParser()
    config["global"] = kept
    with (folder / "pip.conf").open("w", encoding="utf-8") as file:
        config.write(file)
    print(*flags)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
