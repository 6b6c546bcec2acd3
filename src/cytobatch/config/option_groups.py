"""The groups of options, by which help and documents list them, and the options that most runs need.

A field of an options' model names its group in its annotation: `Annotated[str | None, OptionGroup.PLATE, COMMON]`.
"""

from enum import Enum, auto

from pydantic import BaseModel


class OptionGroup(Enum):
    """The groups in the order in which they are shown. The value of each is its title."""

    PLATE = "Plate"
    JOB_SPEC = "Job spec"
    FORMAT = "Format of the source"
    JOINS = "Joined data"
    COLUMNS = "Columns and rows"
    OUTPUTS = "Outputs"
    LOSSES = "Failures and earlier results"
    STORES = "Buckets and credentials"
    MACHINE = "Processors, memory and disk"
    PLATES = "Prefect and many plates"
    AWS_BATCH = "AWS Batch"
    PROGRAM = "Program"


class Frequency(Enum):
    """How often an option is needed. An option without this mark is needed sometimes."""

    COMMON = auto()
    """By most people: `--help` shows it, and `--help-all` the others, too."""


COMMON = Frequency.COMMON


def group_of(model: type[BaseModel], option: str) -> OptionGroup:
    """Return the group of an option, which is a field of the model. Raises KeyError if the field names no group."""
    for mark in model.model_fields[option].metadata:
        if isinstance(mark, OptionGroup):
            return mark
    raise KeyError(option)


def is_common(model: type[BaseModel], option: str) -> bool:
    """Return whether `--help` shows an option, which is a field of the model."""
    return any(mark is COMMON for mark in model.model_fields[option].metadata)


def options_by_group(model: type[BaseModel]) -> dict[OptionGroup, tuple[str, ...]]:
    """Return the names of a model's options by group: groups in their order, options in that of the model's fields."""
    groups = {option: group_of(model, option) for option in model.model_fields}
    listed = {group: tuple(option for option, own in groups.items() if own is group) for group in OptionGroup}
    return {group: options for group, options in listed.items() if options}
