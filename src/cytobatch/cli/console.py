"""What a person sees: results on standard output, everything else on standard error."""

from rich.console import Console

out = Console(soft_wrap=True)
err = Console(stderr=True, soft_wrap=True)
