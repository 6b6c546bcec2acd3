"""The look of the help: `--help` shows the common options, `--help-all` all of them in groups."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cytobatch.cli.command_list import Command
from cytobatch.cli.help_groups import OPTIONS

if TYPE_CHECKING:
    from cyclopts.help import HelpEntry, HelpPanel
    from rich.console import Console, ConsoleOptions

HELP_FLAGS, HELP_ALL = ("--help", "-h"), "--help-all"
_METAVARS = {"STR": "TEXT", "INT": "N", "FLOAT": "N", "CHOICE": "NAME"}
"""The forms of values for people, in place of the types' names."""


@dataclass(frozen=True, slots=True)
class HelpPage:
    """Formats pages of help, as cyclopts' protocol `HelpFormatter`.

    Attributes
    ----------
    all_options
        Whether all options of a plate are shown, each in its group, or the common ones with their first sentences.
    """

    all_options: bool

    def __call__(self, console: "Console", options: "ConsoleOptions", panel: "HelpPanel") -> None:
        """Print one panel, if this page shows it."""
        from cyclopts.help import DefaultFormatter

        from cytobatch.cli.option_flags import GROUPS

        if not self.all_options and panel.title in {group.name for group in GROUPS.values()}:
            return
        shown = panel.copy(entries=[self._shown(entry) for entry in panel.entries if self._is_shown(entry, panel)])
        DefaultFormatter()(console, options, shown)

    def _is_shown(self, entry: "HelpEntry", panel: "HelpPanel") -> bool:
        """Decide whether an entry is shown here. With all options, a common one is shown in its group alone."""
        from cytobatch.cli.option_flags import common_flags

        return not (self.all_options and panel.title == OPTIONS.name and common_flags().intersection(entry.names))

    def _shown(self, entry: "HelpEntry") -> "HelpEntry":
        # That a flag is off unless it is given goes without saying.
        default = None if entry.default == "False" else entry.default
        shown = entry.copy(default=default, metavar=_METAVARS.get(entry.metavar or "", entry.metavar))
        if self.all_options:
            return shown
        return shown.copy(negative_names=(), description=_first_sentence(entry.description))

    def render_usage(self, console: "Console", options: "ConsoleOptions", usage: Any) -> None:
        """Print the line of usage."""
        from cyclopts.help import DefaultFormatter

        DefaultFormatter().render_usage(console, options, usage)

    def epilogue(self, command: Command) -> str:
        """Return what follows the panels of a command: where its other options are, and examples."""
        more = f"All options, in groups: cytobatch {command.name} {HELP_ALL}\n\n"
        examples = "\n".join(["Examples:", *(f"  {line}" for line in command.examples)])
        return (more if command.has_options and not self.all_options else "") + examples


def _first_sentence(description: Any) -> Any:
    """Return the first sentence of a description that is text, as cyclopts' `InlineText` has it."""
    from rich.text import Text

    text = getattr(description, "primary_renderable", None)
    if not isinstance(text, Text) or not text.plain:
        return description
    sentence, _, _ = text.plain.partition(". ")
    return Text(f"{sentence.rstrip('.')}.")
