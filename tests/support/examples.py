"""The number of examples of generated tests.

`make test` takes few, the same in each run. `make test-long` takes ten times as many or more, which are random.
"""

import importlib
import os
import pkgutil

from hypothesis import settings

import cytobatch

_STANDARD = 100


def register_profiles() -> None:
    """Register the profiles of Hypothesis, and load the standard one.

    They have no deadline, because the duration of an example depends on the machine more than on the program.
    """
    settings.register_profile("cytobatch", deadline=None, max_examples=_STANDARD, derandomize=True)
    settings.register_profile("long", deadline=None, max_examples=10 * _STANDARD)
    settings.load_profile("cytobatch")


def examples(standard: int, long: int | None = None) -> int:
    """Return the number of examples of a test in this run, from its number in a standard run.

    `long` is the number in a long run, by default ten times the standard: a test whose examples take seconds has few
    in a standard run.
    """
    profile = settings().max_examples
    return long if long and profile > _STANDARD else standard * profile // _STANDARD


def import_whole_package() -> None:
    """Import the whole package in each of several workers.

    Hypothesis takes constants of the modules that are imported for examples. Which ones a test finds imported would
    depend on the tests that its worker ran before, and so would the examples.
    """
    if os.environ.get("PYTEST_XDIST_WORKER"):
        for module in pkgutil.walk_packages(cytobatch.__path__, "cytobatch."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
