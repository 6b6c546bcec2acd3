"""`python -m cytobatch`."""

import sys

from cytobatch.flow.heap import lasting, leave


def main() -> None:
    """Exits with the command line's exit code."""
    with lasting():
        from cytobatch.cli import main as run_command_line  # noqa: PLC0415
    code = run_command_line()
    leave()
    sys.exit(code)


if __name__ == "__main__":
    main()
