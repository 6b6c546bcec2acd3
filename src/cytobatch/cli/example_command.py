"""`cytobatch example`: write a synthetic plate, and its platemap."""

import shlex
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cytobatch.cli.console import out
from cytobatch.config.bad_values import BadValueError
from cytobatch.config.uris import check_location, is_remote
from cytobatch.errors import ConfigurationError, ExitCode
from cytobatch.storage.access import storage_errors
from cytobatch.synthetic import PlateFormat, SyntheticPlate, write_plate, write_platemap

ExamplePlate = Annotated[SyntheticPlate, Parameter(name="*")]
_SMALL_PLATE = SyntheticPlate()


def example(
    folder: Annotated[str, Parameter(help="A new or empty folder, which gets the plate.")],
    /,
    *,
    kind: Annotated[
        PlateFormat,
        Parameter(metavar="KIND", help=f"The form of the files: {', '.join(PlateFormat)}."),
    ] = PlateFormat.CSV,
    platemap: Annotated[
        str | None, Parameter(metavar="FILE", help="Also write a platemap with compounds and controls: a new file.")
    ] = None,
    plate: ExamplePlate = _SMALL_PLATE,
) -> int:
    """Make a small made-up plate to try things on."""
    target, map_file = _local(folder), _local(platemap) if platemap else None
    with storage_errors(str(target)):
        _check_new(target, map_file)
        write_plate(plate, target, kind)
        if map_file:
            map_file.parent.mkdir(parents=True, exist_ok=True)
            write_platemap(plate, map_file)
    out.print(f"{plate.cell_count()} cells of {plate.wells * plate.sites} sites in {target}")
    words = ["cytobatch", "run", str(target), "profiles", *(["--platemap", str(map_file)] if map_file else [])]
    out.print(f"next: {shlex.join(words)}")
    return ExitCode.OK


def _local(path: str) -> Path:
    """Return a path of this machine, with the home folder for `~`. Raises ConfigurationError for anything else."""
    try:
        location = check_location(path)
    except BadValueError as error:
        raise ConfigurationError("no path of this machine", where=path, why=error.why, remedy=error.remedy) from error
    if is_remote(location):
        raise ConfigurationError(
            "an example is made on this machine",
            where=path,
            why="it is a URI",
            remedy="name a local folder, and copy it: aws s3 cp --recursive plate s3://my-bucket/plate",
        )
    return Path(location)


def _check_new(folder: Path, platemap: Path | None) -> None:
    """Raise ConfigurationError for a folder with files and for a platemap that exists: they may be somebody's own."""
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise ConfigurationError(
            "folder is not empty" if folder.is_dir() else "folder is a file",
            where=str(folder),
            why="the plate would be mixed with what is there" if folder.is_dir() else "a plate is a folder of files",
            remedy="name a new folder",
        )
    if platemap and platemap.exists():
        raise ConfigurationError(
            "platemap exists", where=str(platemap), why="it would be replaced", remedy="name a new file, or remove it"
        )
