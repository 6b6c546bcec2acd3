#!/usr/bin/env python3
"""Looks at what cytobatch brings along: `audit.py PIP_AUDIT LOCK…`.

Lists the licences of the packages in the locks, as far as they are installed beside this Python. Then PIP_AUDIT, the
program pip-audit, asks the package index for known vulnerabilities. An index that does not answer, or does not know a
package, is no good news: it is named, and the exit code is 2. It is 1 for a vulnerability, and 0 if every package was
looked up and none has one.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)
_LONGEST = 60
_SHOWN = 5
CLEAN, VULNERABLE, NOT_LOOKED_UP = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Findings:
    """The result of pip-audit: packages that were looked up, packages that were not, and vulnerabilities as lines."""

    looked_up: int
    skipped: tuple[str, ...]
    vulnerabilities: tuple[str, ...]

    @classmethod
    def of(cls, document: dict[str, Any]) -> "Findings":
        """Return the findings of pip-audit's JSON."""
        packages = document["dependencies"]
        known = [package for package in packages if "skip_reason" not in package]
        lines = (
            f"{package['name']} {package['version']}: {found['id']}, {_fixed_in(found['fix_versions'])}"
            for package in known
            for found in package["vulns"]
        )
        skipped = (package["name"] for package in packages if "skip_reason" in package)
        looked_up = len({(package["name"], package["version"]) for package in known})
        return cls(looked_up, tuple(dict.fromkeys(skipped)), tuple(dict.fromkeys(lines)))


def _fixed_in(versions: Sequence[str]) -> str:
    return f"fixed in {', '.join(versions)}" if versions else "not fixed yet"


def pinned(locks: Iterable[Path]) -> list[str]:
    """Return the names of all packages in the locks, in order."""
    names = {name for lock in locks for name, _ in _PIN.findall(lock.read_text(encoding="utf-8"))}
    return sorted(names, key=str.lower)


def licence_of(package: Distribution) -> str:
    """Return a package's licence: its expression, its classifiers, or the first line of its own text."""
    metadata = package.metadata
    expression = metadata.get("License-Expression")
    if expression:
        return str(expression)
    classifiers = [
        line.rpartition(" :: ")[2] for line in metadata.get_all("Classifier") or [] if line.startswith("License :: ")
    ]
    if classifiers:
        return ", ".join(classifiers)
    lines = (metadata.get("License") or "").strip().splitlines()
    return lines[0][:_LONGEST] if lines else "unknown"


def print_licences(names: Sequence[str]) -> None:
    """Print a line for each installed package, and the names of the others."""
    absent = []
    for name in names:
        try:
            package = distribution(name)
        except PackageNotFoundError:
            absent.append(name)
        else:
            print(f"{name}\t{package.version}\t{licence_of(package)}")
    if absent:
        print(f"not installed here, so without a licence in this list: {', '.join(absent)}")


def look_up(pip_audit: str, locks: Sequence[Path]) -> Findings | None:
    """Return pip-audit's findings, or None if it did not finish. It prints the reason itself."""
    words = [word for lock in locks for word in ("--requirement", str(lock))]
    command = [pip_audit, "--format", "json", "--progress-spinner", "off", "--disable-pip", "--require-hashes", *words]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    try:
        return Findings.of(json.loads(done.stdout))
    except ValueError:
        return None


def main(pip_audit: str, locks: Sequence[Path]) -> int:
    """Print licences and vulnerabilities, and return the exit code."""
    print_licences(pinned(locks))
    sys.stdout.flush()
    findings = look_up(pip_audit, locks)
    if findings is None:
        print("could not look for vulnerabilities: pip-audit did not finish, see above")
        return NOT_LOOKED_UP
    for line in findings.vulnerabilities:
        print(f"vulnerable: {line}")
    if findings.skipped:
        names = ", ".join(findings.skipped[:_SHOWN]) + (", …" if len(findings.skipped) > _SHOWN else "")
        count = len(findings.skipped)
        print(f"could not look for vulnerabilities of {count} packages: the index has no record of {names}")
    if findings.vulnerabilities:
        return VULNERABLE
    if findings.skipped or not findings.looked_up:
        return NOT_LOOKED_UP
    print(f"no known vulnerability in {findings.looked_up} packages")
    return CLEAN


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], [Path(name) for name in sys.argv[2:]]))
