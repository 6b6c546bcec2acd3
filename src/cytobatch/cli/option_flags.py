"""The options of a plate as flags of a command: those that it reads, in groups, each with the form of its value."""

from collections.abc import Callable, Collection
from typing import Annotated, Any, TypeVar

from cyclopts import Group, Parameter
from pydantic import ConfigDict, create_model
from pydantic.fields import FieldInfo

from cytobatch.cli.help_groups import ARGUMENTS, OPTIONS
from cytobatch.config.expected_values import choices_of, short_form
from cytobatch.config.option_errors import flag_of
from cytobatch.config.option_groups import OptionGroup, group_of, is_common
from cytobatch.config.options import PlateOptions

Command = TypeVar("Command", bound=Callable[..., int])

GROUPS = {group: Group(group.value, sort_key=number) for number, group in enumerate(OptionGroup, 2)}
"""The groups of all options, which `--help-all` shows."""

_FORMS_BY_NAME = {"joins": "SQL", "table_prefix": "PREFIX"}
_WIDEST_CHOICE = 24
_POSITIONS = ("source", "destination")
"""The options that are positions, too. The help shows them as such."""
_NEGATIVES = {"no_sign_request": "--sign-request"}
"""The names of negative flags that are not `--no-` with the name of the option."""

OF_THE_RUN = frozenset(
    {
        "anndata_precision",
        "report_features",
        "column_names",
        "data_type_cast_map",
        "drop_null",
        "sort_output",
        "add_tablenumber",
        "chunk_size",
        "range_size",
        "max_failed_exports",
        "skip_done",
        "replace",
        "destination_profile",
        "destination_credentials",
        "destination_endpoint_url",
        "prefect_wait",
        "task_runner",
        "split",
        "split_size",
    }
)
"""The options that `plan` does not read: they change neither what is read nor what it shows."""
OF_THIS_MACHINE = frozenset(
    {"cache_dir", "cache_mode", "scratch_dir", "workers", "memory", "task_runner", "split", "split_size"}
)
"""The options that `submit` does not read: the jobs run on other machines, each for one plate."""
OF_REPORTS = frozenset(
    {
        "source",
        "destination",
        "plate",
        "batch",
        "profile",
        "credentials",
        "endpoint_url",
        "no_sign_request",
        "requester_pays",
        "extra_args",
        "store_timeout",
        "destination_profile",
        "destination_credentials",
        "destination_endpoint_url",
    }
)
"""The options that `collect` reads: those by which plates and their reports are found."""


class _Flags(PlateOptions):
    """The options of a plate that a command takes as flags. Validators are built when a command is called."""

    model_config = ConfigDict(defer_build=True)


def offers(options: Collection[str]) -> Callable[[Command], Command]:
    """Offer options as flags of a command. Its parameter `options` gets their values; the others have none."""

    def with_flags(command: Command) -> Command:
        command.__annotations__["options"] = Annotated[_flags(options), Parameter(name="*")]
        return command

    return with_flags


def without(options: Collection[str]) -> frozenset[str]:
    """Return all options but the given ones."""
    return frozenset(PlateOptions.model_fields).difference(options)


def _flags(options: Collection[str]) -> type[PlateOptions]:
    """Return the model of a plate's options of which cyclopts takes the given ones as flags."""
    fields: dict[str, Any] = {}
    for name, field in PlateOptions.model_fields.items():
        parameter = _parameter(name) if name in options else Parameter(parse=False)
        # pydantic keeps the metadata of an annotation apart from its type.
        fields[name] = (Annotated[(field.annotation, *field.metadata, parameter)], field)
    return create_model("PlateFlags", __base__=_Flags, **fields)


def _parameter(name: str) -> Parameter:
    group = GROUPS[group_of(PlateOptions, name)]
    return Parameter(
        help=_help(name),
        group=(OPTIONS, group) if is_common(PlateOptions, name) else group,
        metavar=_FORMS_BY_NAME.get(name) or _form(PlateOptions.model_fields[name]),
        negative=_NEGATIVES.get(name),
        show=name not in _POSITIONS,
    )


def _form(field: FieldInfo) -> str | None:
    if choices := "|".join(choices_of(field)):
        return choices if len(choices) <= _WIDEST_CHOICE else "NAME"
    return short_form(field)


def _help(name: str) -> str:
    """Return the description of an option in one line. A terminal shows no marks of code."""
    return " ".join(str(PlateOptions.model_fields[name].description).replace("`", "").split())


def common_flags() -> frozenset[str]:
    """Return the flags of the options that `--help` shows."""
    return frozenset(flag_of(name) for name in PlateOptions.model_fields if is_common(PlateOptions, name))


def position(name: str) -> Parameter:
    """Return the parameter of an option that is a position, too."""
    return Parameter(help=f"{_help(name)} In place of the position: --{name}.", group=ARGUMENTS)
