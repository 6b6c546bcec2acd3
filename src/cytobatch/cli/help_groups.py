"""The groups of positions and of flags in the help. Those of a plate's options are in `option_flags`."""

from cyclopts import Group

ARGUMENTS, OPTIONS = Group("Arguments", sort_key=0), Group("Options", sort_key=1)
"""The groups of positions, and of the flags that `--help` shows."""
