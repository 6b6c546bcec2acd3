"""The registry of installed formats: order, repeated names, formats that cannot be loaded."""

from collections.abc import Iterator
from importlib.metadata import EntryPoint

import pytest

from cytobatch.config.presets.catalog import FormatName
from cytobatch.errors import InternalError
from cytobatch.formats import registry
from cytobatch.formats.registry import GROUP, source_formats

INCARTA = "cytobatch.formats.incarta.format:FORMAT"
NPZ = "cytobatch.formats.deepprofiler.format:FORMAT"


@pytest.fixture(autouse=True)
def empty_cache() -> Iterator[None]:
    source_formats.cache_clear()
    yield
    source_formats.cache_clear()


def install(monkeypatch: pytest.MonkeyPatch, **formats: str) -> None:
    """Replace the installed entry points by these, in this order."""
    entries = tuple(EntryPoint(name, value, GROUP) for name, value in formats.items())

    def entry_points(*, group: str) -> tuple[EntryPoint, ...]:
        assert group == GROUP
        return entries

    monkeypatch.setattr(registry, "entry_points", entry_points)


def test_the_formats_of_this_package_are_installed_by_the_names_of_reports() -> None:
    names = [each.name for each in source_formats()]
    assert names == sorted(names)
    assert set(names) >= {name.value for name in FormatName}


def test_every_format_names_examples_of_its_files() -> None:
    assert all(each.examples for each in source_formats())


def test_formats_are_sorted_by_the_names_of_their_entry_points(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, z=INCARTA, a=NPZ)
    assert [each.name for each in source_formats()] == ["npz", "in-carta"]


def test_two_formats_of_one_name_are_an_error_that_names_them(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, one=INCARTA, other=INCARTA, npz=NPZ)
    with pytest.raises(InternalError) as caught:
        source_formats()
    assert caught.value.what == "formats called in-carta are installed more than once"
    assert caught.value.where == "entry points 'cytobatch.formats'"
    assert "uninstall the package that brings the second format" in caught.value.remedy


def test_no_installed_format_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch)
    with pytest.raises(InternalError) as caught:
        source_formats()
    assert caught.value.what == "no format is installed"
    assert "install cytobatch again" in caught.value.remedy


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("no_such_module:FORMAT", "No module named 'no_such_module'"),
        ("cytobatch.formats.incarta.format:NO_FORMAT", "has no attribute 'NO_FORMAT'"),
    ],
)
def test_a_format_that_cannot_be_loaded_is_an_error_that_names_it(
    monkeypatch: pytest.MonkeyPatch, value: str, why: str
) -> None:
    install(monkeypatch, npz=NPZ, broken=value)
    with pytest.raises(InternalError) as caught:
        source_formats()
    assert caught.value.what == "format 'broken' cannot be loaded"
    assert caught.value.where == value
    assert why in caught.value.why
    assert caught.value.remedy == "install or uninstall the package that brings it"
