"""The terminal: results on standard output, everything else on standard error."""

from typing import Any

from rich.console import Console

from cytobatch.errors import printable, without_secrets


class Terminal(Console):
    """A console that prints text as it is: no word of it is markup, and its control characters are replaced.

    Names of plates, files and columns come from outside. Each text is one line.
    """

    def __init__(self, *, stderr: bool = False, **options: Any) -> None:
        super().__init__(stderr=stderr, soft_wrap=True, markup=False, highlight=False, emoji=False, **options)

    def print(self, *objects: Any, **options: Any) -> None:
        """Print objects in one line, those that are text in a form that is fit to be shown."""
        shown = (without_secrets(printable(each)) if isinstance(each, str) else each for each in objects)
        super().print(*shown, **options)

    def print_lines(self, text: str, **options: Any) -> None:
        """Print text of several lines."""
        for line in text.split("\n"):
            self.print(line, **options)


out = Terminal()
err = Terminal(stderr=True)
