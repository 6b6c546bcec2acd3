"""The terminal: results on standard output, everything else on standard error."""

import sys
import traceback

from rich.console import Console

from cytobatch.errors import CytobatchError

out = Console(soft_wrap=True)
err = Console(stderr=True, soft_wrap=True)


def show_error(error: CytobatchError, *, debug: bool, prefix: str = "") -> None:
    """Print an error as one message, after its traceback if debugging."""
    if debug:
        traceback.print_exception(error, file=sys.stderr)
    err.print(f"error: {prefix}{error}", style="red", markup=False, highlight=False)
