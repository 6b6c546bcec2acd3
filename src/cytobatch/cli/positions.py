"""The source and the destination as positions of a command: `cytobatch run SOURCE DESTINATION`."""

from cytobatch.config.options import PlateOptions
from cytobatch.errors import JobSpecError


def with_positions(options: PlateOptions, source: str | None, destination: str | None) -> PlateOptions:
    """Return the options of flags with those of positions.

    Raises JobSpecError if one of them is given in both ways.
    """
    given = {"source": source, "destination": destination}
    for name, value in given.items():
        flag = getattr(options, name)
        if value is not None and flag is not None:
            raise JobSpecError(
                f"two values for the {name}",
                where="command line",
                why=f"it is {value!r} by its position and {flag!r} by --{name}",
                remedy=f"drop one of the two: cytobatch run SOURCE DESTINATION needs no --{name}",
            )
    return options.model_copy(update={name: value for name, value in given.items() if value is not None})
