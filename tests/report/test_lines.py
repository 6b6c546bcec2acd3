"""Parts of messages in one line."""

import pytest

from cytobatch.report.lines import shortened


@pytest.mark.parametrize(
    ("names", "text"), [([], ""), (["a"], "a"), (["a", "b"], "a, b"), (["a", "b", "c", "d"], "a, b and 2 more")]
)
def test_names_are_listed_up_to_a_number(names: list[str], text: str) -> None:
    assert shortened(names, 2) == text
