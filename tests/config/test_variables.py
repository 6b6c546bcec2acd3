import os

import pytest

from cytobatch.config.variables import temporary_variables, variables_with, without_proxy


def test_temporary_variables_are_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CYTOBATCH_A", "given")
    monkeypatch.setenv("CYTOBATCH_B", "given")
    monkeypatch.delenv("CYTOBATCH_C", raising=False)
    before = dict(os.environ)
    values = {"CYTOBATCH_A": "value", "CYTOBATCH_C": "value"}
    with pytest.raises(KeyError), temporary_variables(values, {"CYTOBATCH_A": "default", "CYTOBATCH_B": "default"}):
        assert [os.environ[f"CYTOBATCH_{name}"] for name in "ABC"] == ["value", "given", "value"]
        raise KeyError
    assert dict(os.environ) == before


def test_a_default_is_set_where_nothing_is_and_removed_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CYTOBATCH_A", raising=False)
    with temporary_variables({}, {"CYTOBATCH_A": "default"}):
        assert os.environ["CYTOBATCH_A"] == "default"
        del os.environ["CYTOBATCH_A"]
    assert "CYTOBATCH_A" not in os.environ


def test_variables_are_found_by_prefix_in_any_case(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("cytobatch_b", "1")
    monkeypatch.setenv("CYTOBATCH_A", "1")
    assert variables_with("CYTOBATCH_") == ["CYTOBATCH_A", "cytobatch_b"]


@pytest.mark.parametrize(
    ("lower", "upper", "expected"),
    [
        ("", "", "127.0.0.1"),
        ("", "lab.org", "lab.org,127.0.0.1"),
        ("a.org, b.org", "lab.org", "a.org, b.org,127.0.0.1"),
        ("*", "", "*"),
    ],
)
def test_a_host_more_goes_to_no_proxy(lower: str, upper: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", lower)
    monkeypatch.setenv("NO_PROXY", upper)
    assert without_proxy("127.0.0.1") == expected
