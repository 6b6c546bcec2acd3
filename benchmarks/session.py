"""One run of the benchmarks: its folder, its plates, what was measured so far, and what came of it."""

import hashlib
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from measure import Piece, piece
from plates import BenchPlate, PlateName, Scale, bench_plate, size_of
from show import Finding, Show

_LARGE = (PlateName.CSV_LARGE, PlateName.CSV_WHOLE, PlateName.SQLITE_LARGE)
_REFERENCE = str(Path(__file__).with_name("reference.py"))


@dataclass(frozen=True, slots=True)
class Options:
    """How often to measure, and on what."""

    folder: Path
    runs: int
    large_runs: int
    workers: int
    scale: Scale


@dataclass(slots=True)
class Session:
    """Makes plates when they are asked for, and compares no profile again that is compared already."""

    options: Options
    show: Show
    findings: list[Finding] = field(default_factory=list)
    made: set[PlateName] = field(default_factory=set)
    checked: set[tuple[PlateName, str]] = field(default_factory=set)

    @property
    def scratch(self) -> Path:
        """Where pieces keep what they need for as long as they run."""
        return self._folder("scratch")

    def _folder(self, name: str) -> Path:
        folder = self.options.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def made_of(self, name: PlateName) -> BenchPlate:
        return bench_plate(name, self.options.scale)

    def plate(self, name: PlateName) -> Path:
        """A plate's folder; it is made when it is first asked for, whatever an earlier run left there."""
        folder = self._folder("plates") / name
        if name not in self.made:
            made = self.made_of(name)
            shutil.rmtree(folder, ignore_errors=True)
            made.write(folder)
            self.made.add(name)
            self.show.note(f"{name}: {made.describe()}, {size_of(folder) / 1e6:,.0f} MB")
        return folder

    def out(self, name: PlateName) -> Path:
        """Where a plate's profile is written."""
        return self._folder("out") / f"{name}.parquet"

    def runs(self, name: PlateName) -> int:
        return self.options.large_runs if name in _LARGE else self.options.runs

    def more_runs(self, name: PlateName) -> int:
        """Nearly twice as many of a plate of two seconds, for figures that vary more than the others."""
        return self.runs(name) if name in _LARGE else 2 * self.options.runs - 1

    def convert(self, name: PlateName, workers: int | None = None) -> Piece:
        """Converting a plate from the disk; with all cores, if nothing else is said."""
        count = workers or self.options.workers
        label = f"convert {name}, {count} workers"
        return piece(label, "convert", self.plate(name), self.out(name), "--workers", count, scratch=self.scratch)

    def floor(self, name: PlateName) -> Piece:
        kind = self.made_of(name).kind
        return piece(f"floor of {name}", "floor", self.plate(name), kind, self.out(name), scratch=self.scratch)

    def found(self, finding: Finding) -> None:
        """Adds a figure to those of the run."""
        self.findings.append(finding)

    def guard(self, case: str, name: PlateName, profile: Path) -> None:
        """Compares a profile with the plain reference of its plate, unless its very bytes were compared before."""
        with profile.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        if (name, digest) in self.checked:
            self.show.note(f"{case}: the bytes of the profile are those that were compared before")
            return
        self.checked.add((name, digest))
        command = [sys.executable, _REFERENCE, str(self.plate(name)), str(profile)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        said = (done.stdout or done.stderr).strip()
        self.show.note(f"{name} against the reference: {said}")
        first = said.splitlines()[0] if said else "no answer"
        self.found(
            Finding(case, "rows and checksum of each column", first, "the reference's", held=done.returncode == 0)
        )

    def drop_all_but(self, names: set[PlateName]) -> None:
        """Removes the plates, and what was made of them, that no later case needs."""
        for name in PlateName:
            if name not in names:
                shutil.rmtree(self._folder("plates") / name, ignore_errors=True)
                self.made.discard(name)
                for path in self._folder("out").glob(f"{name}.*"):
                    path.unlink()
