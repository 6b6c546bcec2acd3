"""Notes what the program asks of AWS through botocore while the tests run: a plugin, and a test that runs last.

botocore registers its built-in handlers with every session that anybody makes; this is one more of them. obstore asks
for objects alone, and past botocore: what it asks is seen by a proxy (`test_policies.py`).
"""

from collections.abc import Mapping
from typing import Any

import botocore.handlers
import pytest

from cytobatch.storage.access import USER_AGENT

LAST = "test_every_call_of_the_suite_is_allowed"
recorded: set[tuple[str, str]] = set()
"""Service and operation of each call that the program made in this process."""


def _note(model: Any, params: Mapping[str, Any], **_: Any) -> None:
    if USER_AGENT in params["headers"].get("User-Agent", ""):
        recorded.add((model.service_model.service_name, model.name))


def pytest_configure() -> None:
    """Before any session is made."""
    botocore.handlers.BUILTIN_HANDLERS.append(("before-call", _note))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The test that looks at all calls comes after all of them."""
    items.sort(key=lambda item: item.name == LAST)
