"""`cytobatch --install-completion`: complete commands and options with the Tab key."""

from typing import Literal

from cyclopts import App
from cyclopts.completion.detect import ShellDetectionError

from cytobatch.cli.console import out
from cytobatch.errors import ConfigurationError, ExitCode
from cytobatch.storage.access import storage_errors


def install_completion(app: App, shell: Literal["bash", "zsh", "fish"] | None) -> int:
    """Write the script for a shell, by default that of the user, and let the shell read it. Return the exit code.

    Raises ConfigurationError if the user's shell is not known, and StorageError.
    """
    try:
        with storage_errors("script for the shell"):
            path = app.install_completion(shell=shell)
    except ShellDetectionError as error:
        raise ConfigurationError(
            "unknown shell",
            where="--install-completion",
            why="neither the process that called cytobatch nor SHELL names a shell that is known here",
            remedy="name it: cytobatch --install-completion bash (or zsh, fish)",
        ) from error
    out.print(f"{path} completes commands and options: open a new terminal, type `cytobatch` and press Tab twice")
    return ExitCode.OK
