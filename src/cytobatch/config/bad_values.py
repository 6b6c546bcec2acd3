"""Errors of the checks of options: a value that an option does not take, and options that exclude each other.

pydantic keeps these errors in its own. The message for a person is made of their parts (`option_errors`).
"""


class BadValueError(ValueError):
    """A value that an option does not take.

    Attributes
    ----------
    why
        What is wrong with it.
    remedy
        What to do.
    """

    def __init__(self, why: str, remedy: str) -> None:
        super().__init__(f"{why}; {remedy}")
        self.why, self.remedy = why, remedy


class OptionConflictError(BadValueError):
    """An option that cannot have its value beside those of other options."""

    def __init__(self, option: str, why: str, remedy: str) -> None:
        super().__init__(f"{option}: {why}", remedy)
        self.option, self.why = option, why
