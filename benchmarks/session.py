"""One run of the benchmarks: its folder, its plates, and the figures so far."""

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
    """Numbers of runs, the sizes of plates, and the task runners of many plates, if not all."""

    folder: Path
    runs: int
    large_runs: int
    workers: int
    scale: Scale
    task_runners: tuple[str, ...] = ()


@dataclass(slots=True)
class Session:
    """Makes each plate at its first use, and compares each distinct profile with the reference once."""

    options: Options
    show: Show
    findings: list[Finding] = field(default_factory=list)
    made: set[PlateName] = field(default_factory=set)
    checked: set[tuple[PlateName, str]] = field(default_factory=set)

    @property
    def scratch(self) -> Path:
        """The folder for the temporary files of pieces."""
        return self._folder("scratch")

    def _folder(self, name: str) -> Path:
        folder = self.options.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def made_of(self, name: PlateName) -> BenchPlate:
        return bench_plate(name, self.options.scale)

    def plate(self, name: PlateName) -> Path:
        """Return a plate's folder. Its first use makes the plate and removes any that an earlier run left there."""
        folder = self._folder("plates") / name
        if name not in self.made:
            made = self.made_of(name)
            shutil.rmtree(folder, ignore_errors=True)
            made.write(folder)
            self.made.add(name)
            self.show.note(f"{name}: {made.describe()}, {size_of(folder) / 1e6:,.0f} MB")
        return folder

    def out(self, name: PlateName) -> Path:
        """Return the path of a plate's profile."""
        return self._folder("out") / f"{name}.parquet"

    def runs(self, name: PlateName) -> int:
        return self.options.large_runs if name in _LARGE else self.options.runs

    def more_runs(self, name: PlateName) -> int:
        """Return nearly twice as many for a plate of two seconds, for figures that vary more than the others."""
        return self.runs(name) if name in _LARGE else 2 * self.options.runs - 1

    def convert(self, name: PlateName, workers: int | None = None) -> Piece:
        """Return the conversion of a plate from the disk, by default with all workers."""
        count = workers or self.options.workers
        label = f"convert {name}, {count} workers"
        return piece(label, "convert", self.plate(name), self.out(name), "--workers", count, scratch=self.scratch)

    def floor(self, name: PlateName) -> Piece:
        kind = self.made_of(name).kind
        return piece(f"floor of {name}", "floor", self.plate(name), kind, self.out(name), scratch=self.scratch)

    def add(self, finding: Finding) -> None:
        """Add a figure to those of the run."""
        self.findings.append(finding)

    def guard(self, case: str, name: PlateName, profile: Path) -> None:
        """Compare a profile with the plain reference of its plate, unless the same bytes were compared before."""
        with profile.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        if (name, digest) in self.checked:
            self.show.note(f"{case}: the bytes of the profile were compared before")
            return
        self.checked.add((name, digest))
        command = [sys.executable, _REFERENCE, str(self.plate(name)), str(profile)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        output = (done.stdout or done.stderr).strip()
        self.show.note(f"{name} against the reference: {output}")
        first = output.splitlines()[0] if output else "no answer"
        self.add(Finding(case, "rows and checksum of each column", first, "the reference's", held=done.returncode == 0))

    def drop_all_but(self, names: set[PlateName]) -> None:
        """Remove the plates that no later case needs, and their profiles."""
        for name in PlateName:
            if name not in names:
                shutil.rmtree(self._folder("plates") / name, ignore_errors=True)
                self.made.discard(name)
                for path in self._folder("out").glob(f"{name}.*"):
                    path.unlink()
