"""One browser for all pages of a test process."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.browser import Browser, Page, browser_in


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser_in(tmp_path_factory.mktemp("chromium")) as started:
        yield started


@pytest.fixture
def opened(browser: Browser) -> Callable[..., Page]:
    """Opens a page by its path, in a window of a laptop, light, if nothing else is asked for."""

    def open_page(path: Path, *, address: str = "", width: int = 1280, height: int = 900, dark: bool = False) -> Page:
        return Page(browser, f"{path.as_uri()}{address}", width=width, height=height, dark=dark)

    return open_page
