"""What was asked for: flags, environment and job spec made into plates."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from cyclopts import Parameter

from cytobatch.config.environment import Settings, read_batch_settings, read_settings
from cytobatch.config.expand import plate_jobs
from cytobatch.config.job_spec import JobSpec, parse_spec
from cytobatch.config.options import PlateJob, PlateOptions
from cytobatch.storage.access import Access, read_text
from cytobatch.storage.source import list_folders

Options = Annotated[PlateOptions, Parameter(name="*")]
SpecFlag = Annotated[str | None, Parameter(help="A job spec: a path, a URI, or the JSON itself.")]
DebugFlag = Annotated[bool, Parameter(help="Show tracebacks and Prefect's log; or CYTOBATCH_DEBUG=1.", negative=())]
NO_OPTIONS = PlateOptions()
_NOTHING = "-"


def drop_blank_flags(words: Sequence[str]) -> list[str]:
    """The command line without flags whose value is `-`.

    A job definition of AWS Batch gives a value to each of its parameters, wanted or not, and an empty one is none.
    """
    pairs = zip(words, [*words[1:], ""], strict=True)
    empty = {number for number, (word, value) in enumerate(pairs) if word.startswith("--") and value == _NOTHING}
    return [word for number, word in enumerate(words) if number not in empty and number - 1 not in empty]


def resolve_jobs(options: PlateOptions, job_spec: str | None) -> list[PlateJob]:
    """The plates to convert, from flags, environment and spec."""
    settings = read_settings()
    overrides = PlateOptions(**(settings.explicit() | _spread(options.explicit())))
    where = job_spec or settings.job_spec
    spec = load_spec(where, settings, options) if where else None
    shown = (
        "command line and environment" if where is None else where if not where.lstrip().startswith("{") else "job spec"
    )
    return plate_jobs(spec, overrides, read_batch_settings().job_array_index, shown, folders_at)


def _spread(said: Mapping[str, Any]) -> dict[str, Any]:
    """Flags with lists as text, as in the environment: `--compartments cells,nuclei`."""
    return {
        name: ",".join(value) if isinstance(value, tuple) and all(type(item) is str for item in value) else value
        for name, value in said.items()
    }


def folders_at(options: PlateOptions, uri: str) -> list[str]:
    """The names of the folders in a folder that options tell how to reach."""
    return list_folders(uri, Access.for_options(options))


def load_spec(where: str, settings: Settings, options: PlateOptions) -> JobSpec:
    """A job spec from a path, a URI or the text itself."""
    if where.lstrip().startswith("{"):
        return parse_spec(where, "job spec")
    return parse_spec(read_text(where, explicit_access(settings, options)), where)


def explicit_access(settings: Settings, options: PlateOptions) -> Access:
    """How to reach specs, deployments and prices: as flags and environment say for a source, but always signed."""
    said = settings.explicit() | options.explicit()
    return Access(said.get("profile"), said.get("endpoint_url"))
