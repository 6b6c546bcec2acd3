"""From spec and overrides to the plates that a process converts."""

import fnmatch
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from cytobatch.config.job_spec import JobSpec, spec_error
from cytobatch.config.natural_order import natural_key
from cytobatch.config.options import PlateJob, PlateOptions, own_name, without_marker
from cytobatch.config.presets.gallery import networks_folder, plate_folders
from cytobatch.errors import JobSpecError, LayoutError, SourceNotFoundError

Folders = Callable[[PlateOptions, str], list[str]]
"""Names of the folders that lie in a folder, reached as the options say; none where there is no such folder."""

_PLATE = "{plate}"
_TEMPLATES = ("source", "destination", "platemap", "load_data")
_PATTERN = re.compile(r"[*?]")


def plate_jobs(
    spec: JobSpec | None, overrides: PlateOptions, array_index: int | None, where: str, folders: Folders
) -> list[PlateJob]:
    """The plates that this process converts.

    `overrides` are the flags and environment variables, which win over the spec. A plate that is a pattern, or a batch
    without a plate, becomes every plate that `folders` finds, in natural order. `array_index` picks one plate, counted
    from 0. Raises JobSpecError where a plate is incomplete, the index is out of range, one override would send several
    plates to one place, or two plates share a destination; SourceNotFoundError where a pattern finds no plate.
    """
    single = overrides.explicit()
    plates = spec.plates if spec else (PlateOptions(),)
    defaults = spec.defaults.explicit() if spec else {}
    jobs: list[PlateJob] = []
    for number, plate in enumerate(plates):
        place = where if len(plates) == 1 else f"{where}, plates.{number}"
        merged = _merged((defaults, plate.explicit(), single), place)
        if spec and spec.resolved:
            jobs.append(_checked(merged, place))
            continue
        jobs += [_one_job(said, place) for said in _expanded(_with_network(merged, folders), place, folders)]
    _check_shared_destinations(jobs, where)
    if array_index is None:
        return jobs
    if array_index >= len(jobs):
        raise JobSpecError(
            f"no plate has array index {array_index}",
            where=where,
            why=f"the spec has {len(jobs)} plate(s), from 0",
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
                why="there is nothing to work on without it",
                remedy=f"set CYTOBATCH_{name.upper()}, --{name}, or {name!r} in the job spec",
            )
    return merged


def _with_network(merged: Mapping[str, Any], folders: Folders) -> dict[str, Any]:
    """The same with the one network of embeddings that a whole `workspace_dl` has. Raises LayoutError for several."""
    networks = networks_folder(str(merged["source"])) if "batch" in merged else None
    if networks is None:
        return dict(merged)
    found = folders(PlateOptions(**merged), networks)
    if len(found) != 1:
        raise LayoutError(
            "no network" if not found else "ambiguous layout",
            where=networks,
            why=f"it has embeddings of {len(found)} networks{': ' + ', '.join(found) if found else ''}",
            remedy="name the network's own folder as the source",
        )
    return {**merged, "source": f"{networks}/{found[0]}"}


def _expanded(merged: Mapping[str, Any], where: str, folders: Folders) -> list[dict[str, Any]]:
    """The same, once for each plate that is meant."""
    pattern = merged.get("plate") or ("*" if "batch" in merged else "")
    if not _PATTERN.search(pattern):
        return [dict(merged)]
    options = PlateOptions(**merged)
    parents = _parents_of_plates(merged, where)
    found = {name for parent in parents for name in folders(options, parent) if fnmatch.fnmatchcase(name, pattern)}
    if not found:
        raise SourceNotFoundError(
            "no plate found",
            where=where,
            why=f"no folder fits {pattern!r} in {', '.join(parents)}",
            remedy="check source, batch and plate",
        )
    return [{**merged, "plate": plate} for plate in sorted(found, key=natural_key)]


def _parents_of_plates(merged: Mapping[str, Any], where: str) -> tuple[str, ...]:
    source = str(merged["source"])
    if _PLATE in source:
        parent, _, rest = _filled(source, {"batch": merged.get("batch")}, "source", where).partition(_PLATE)
        if parent.endswith("/") and (not rest or rest.startswith("/")):
            return (parent.rstrip("/"),)
    elif "batch" in merged:
        return plate_folders(source, str(merged["batch"]))
    raise JobSpecError(
        f"plate {merged.get('plate')!r} is a pattern, but nothing tells where plates are",
        where=where,
        why=f"source is {source!r}",
        remedy="write a folder {plate} into the source, or name a workspace and the batch",
    )


def _one_job(merged: Mapping[str, Any], where: str) -> PlateJob:
    merged = _with_own_name({**merged, "source": without_marker(merged["source"])})
    names = {"plate": merged.get("plate"), "batch": merged.get("batch")}
    filled = {name: _filled(merged[name], names, name, where) for name in _TEMPLATES if name in merged}
    # A source that has the plate's folder in it is no workspace to look for the plate in.
    said = {name: value for name, value in merged.items() if name != "batch" or _PLATE not in merged["source"]}
    return _checked({**said, **filled}, where)


def _checked(said: Mapping[str, Any], where: str) -> PlateJob:
    try:
        return PlateJob.model_validate(dict(said))
    except ValidationError as error:
        raise spec_error(error, where) from error


def _with_own_name(merged: Mapping[str, Any]) -> Mapping[str, Any]:
    """The same with the source's own name for the plate, where one is asked for and none is said."""
    asked = any(_PLATE in merged.get(name, "") for name in _TEMPLATES if name != "source")
    name = own_name(merged["source"])
    if "plate" in merged or not asked or not name or "{" in merged["source"] or "batch" in merged:
        return merged
    return {**merged, "plate": name}


def _filled(text: str, names: Mapping[str, str | None], option: str, where: str) -> str:
    """The text with `{plate}` and `{batch}` filled in, as far as `names` has them at all."""
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
                remedy=f"say which {name} it is with {name!r}",
            )
    # In one go: what is filled in may have braces of its own.
    return re.sub(r"\{(plate|batch)\}", lambda match: names.get(match[1]) or match[0], text)


def _check_shared_destinations(jobs: list[PlateJob], where: str) -> None:
    seen: dict[str, int] = {}
    for number, job in enumerate(jobs):
        key = job.destination.rstrip("/")
        if key in seen:
            raise JobSpecError(
                f"plates {seen[key]} and {number} share a destination",
                where=where,
                why=job.destination,
                remedy="give each its own, for example by {plate} in the destination",
            )
        seen[key] = number
