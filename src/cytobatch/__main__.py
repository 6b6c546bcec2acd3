"""`python -m cytobatch`."""

import sys

from cytobatch.cli import main as run_command_line


def main() -> None:
    """Exits with the command line's exit code."""
    sys.exit(run_command_line())


if __name__ == "__main__":
    main()
