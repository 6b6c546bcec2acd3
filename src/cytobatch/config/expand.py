"""Expand a spec and its overrides to the plates that a process converts."""

import fnmatch
import posixpath
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cytobatch.config.gallery import networks_folder, plate_folders
from cytobatch.config.job_spec import JobSpec
from cytobatch.config.natural_order import natural_key
from cytobatch.config.option_errors import option_error
from cytobatch.config.options import PlateJob, PlateOptions, own_name, without_marker
from cytobatch.config.plural import plural
from cytobatch.config.uris import is_remote
from cytobatch.errors import JobSpecError, LayoutError, SourceNotFoundError

Folders = Callable[[PlateOptions, str], list[str]]
"""Lists the names of a folder's subfolders, with the options' access; empty if the folder does not exist."""

_PLATE = "{plate}"
_TEMPLATES = ("source", "destination", "platemap", "load_data")
_SPECS = (".yaml", ".yml", ".json")
_JOB_SPEC = "if this source is a job spec, give it with --job-spec; otherwise give a destination, too"
_PATTERN = re.compile(r"[*?]")


def plate_jobs(
    spec: JobSpec | None, overrides: PlateOptions, array_index: int | None, where: str, folders: Folders
) -> list[PlateJob]:
    """Return the plates that this process converts.

    A plate that is a pattern, or a batch without a plate, becomes every plate that `folders` finds, in natural order.

    Parameters
    ----------
    spec : JobSpec or None
        The job spec, if there is one.
    overrides : PlateOptions
        The flags and environment variables, which win over the spec.
    array_index : int or None
        The index of the one plate to convert, counted from 0; None for all plates.
    where : str
        The name of the spec in error messages.
    folders : Folders
        Lists subfolders.

    Raises
    ------
    JobSpecError
        If a plate is incomplete, the index is out of range, or two plates share a destination.
    SourceNotFoundError
        If a pattern matches no plate.
    LayoutError
        If a `workspace_dl` does not have exactly one network.
    """
    explicit = overrides.explicit()
    plates = spec.plates if spec else (PlateOptions(),)
    defaults = spec.defaults.explicit() if spec else {}
    jobs: list[PlateJob] = []
    for number, plate in enumerate(plates):
        entry = where if len(plates) == 1 else f"{where}, plates.{number}"
        merged = _merged((defaults, plate.explicit(), explicit), entry)
        if spec and spec.resolved:
            jobs.append(_checked(merged, entry))
            continue
        jobs += [_one_job(options, entry) for options in _expanded(_with_network(merged, folders), entry, folders)]
    _check_shared_destinations(jobs, where)
    if array_index is None:
        return jobs
    if array_index >= len(jobs):
        raise JobSpecError(
            f"no plate has array index {array_index}",
            where=where,
            why=f"the spec has {plural(len(jobs), 'plate')}, from 0",
            remedy="submit an array of the spec's size",
        )
    return [jobs[array_index]]


def _merged(layers: Iterable[Mapping[str, Any]], where: str) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for layer in layers:
        merged |= layer
    for name in ("source", "destination"):
        if name not in merged:
            raise JobSpecError(
                f"no {name} given",
                where=where,
                why="a plate needs a source and a destination",
                remedy=_JOB_SPEC
                if merged.get("source", "").endswith(_SPECS)
                else f"give SOURCE and DESTINATION, set CYTOBATCH_{name.upper()}, or write {name!r} in the job spec",
            )
    return merged


def _with_network(merged: Mapping[str, Any], folders: Folders) -> dict[str, Any]:
    """Return the options with the one network of a whole `workspace_dl` as their source. Raises LayoutError."""
    networks = networks_folder(str(merged["source"])) if "batch" in merged else None
    if networks is None:
        return dict(merged)
    names = folders(PlateOptions(**merged), networks)
    if len(names) != 1:
        raise LayoutError(
            "no network" if not names else "ambiguous layout",
            where=networks,
            why=f"it has embeddings of {len(names)} networks{': ' + ', '.join(names) if names else ''}",
            remedy="name the network's own folder as the source",
        )
    return {**merged, "source": f"{networks}/{names[0]}"}


def _expanded(merged: Mapping[str, Any], where: str, folders: Folders) -> list[dict[str, Any]]:
    """Return the options once for each plate that matches the pattern; once if the plate is not a pattern."""
    pattern = merged.get("plate") or ("*" if "batch" in merged else "")
    if not _PATTERN.search(pattern):
        return [dict(merged)]
    options = PlateOptions(**merged)
    parents = _parents_of_plates(merged, where)
    plates = {name for parent in parents for name in folders(options, parent) if fnmatch.fnmatchcase(name, pattern)}
    if not plates:
        raise SourceNotFoundError(
            "no plate found",
            where=where,
            why=f"no folder fits {pattern!r} in {', '.join(parents)}",
            remedy="check source, batch and plate",
        )
    return [{**merged, "plate": plate} for plate in sorted(plates, key=natural_key)]


def _parents_of_plates(merged: Mapping[str, Any], where: str) -> tuple[str, ...]:
    source = str(merged["source"])
    if _PLATE in source:
        parent, _, rest = _filled(source, {"batch": merged.get("batch")}, "source", where).partition(_PLATE)
        if parent.endswith("/") and (not rest or rest.startswith("/")):
            return (parent.rstrip("/"),)
    elif "batch" in merged:
        return plate_folders(source, str(merged["batch"]))
    raise JobSpecError(
        f"plate {merged.get('plate')!r} is a pattern, but the folder of plates is unknown",
        where=where,
        why=f"source is {source!r}",
        remedy="write a folder {plate} into the source, or name a workspace and the batch",
    )


def _one_job(merged: Mapping[str, Any], where: str) -> PlateJob:
    merged = _with_own_name({**merged, "source": without_marker(merged["source"])})
    names = {"plate": merged.get("plate"), "batch": merged.get("batch")}
    filled = {name: _filled(merged[name], names, name, where) for name in _TEMPLATES if name in merged}
    # A source with the plate's folder in it is not a workspace in which the batch's plates are found.
    kept = {name: value for name, value in merged.items() if name != "batch" or _PLATE not in merged["source"]}
    return _checked({**kept, **filled}, where)


def _checked(options: Mapping[str, Any], where: str) -> PlateJob:
    try:
        return PlateJob.model_validate(dict(options))
    except ValidationError as error:
        raise option_error(error, where) from error


def _with_own_name(merged: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the options with the source's own name as the plate, if a template needs a plate that has no name."""
    needed = any(_PLATE in merged.get(name, "") for name in _TEMPLATES if name != "source")
    name = own_name(merged["source"])
    if "plate" in merged or not needed or not name or "{" in merged["source"] or "batch" in merged:
        return merged
    return {**merged, "plate": name}


def _filled(text: str, names: Mapping[str, str | None], option: str, where: str) -> str:
    """Return the text with `{plate}` and `{batch}` replaced by their `names`. Raises JobSpecError for other names."""
    unknown = sorted(set(re.findall(r"\{(\w+)\}", text)) - {"plate", "batch"})
    if unknown:
        raise JobSpecError(
            f"{option} names {{{unknown[0]}}}",
            where=where,
            why=f"{option} is {text!r}",
            remedy="only {plate} and {batch} are known",
        )
    for name, value in names.items():
        if f"{{{name}}}" in text and value is None:
            raise JobSpecError(
                f"{option} names {{{name}}}, but none is given",
                where=where,
                why=f"{option} is {text!r}",
                remedy=f"give it with the option {name!r}",
            )
        if f"{{{name}}}" in text and value in (".", ".."):
            # A key in a bucket may have such a segment, and a local path would lead to another folder.
            raise JobSpecError(
                f"{value!r} is no name of a {name}",
                where=where,
                why=f"{option} is {text!r}",
                remedy="rename the folder, or name the plates themselves",
            )
    # One pass over the text, because a name may have braces of its own.
    return re.sub(r"\{(plate|batch)\}", lambda match: names.get(match[1]) or match[0], text)


def _same_for_same_path(destination: str) -> str:
    """Return a text that is the same for all spellings of one path: `out`, `./out/` and a link to it."""
    if is_remote(destination):
        scheme, _, path = destination.partition("://")
        return f"{scheme}://{posixpath.normpath(path)}"
    try:
        return str(Path(destination).expanduser().resolve())
    except (OSError, RuntimeError, ValueError):
        # A link that leads to itself, or a name that no disk can have: the run reports it.
        return destination


def _check_shared_destinations(jobs: list[PlateJob], where: str) -> None:
    seen: dict[str, int] = {}
    for number, job in enumerate(jobs):
        key = _same_for_same_path(job.destination)
        if key in seen:
            raise JobSpecError(
                f"plates {seen[key]} and {number} share a destination",
                where=where,
                why=job.destination,
                remedy="give each its own, for example by {plate} in the destination",
            )
        seen[key] = number
