"""Writes pictures of the plate page and the batch page, light and dark, wide and narrow, to be looked at.

`make screenshots` runs it.
"""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from cytobatch.report.batch_page import render_page
from cytobatch.report.plate_page import plate_page
from tests.support.browser import CHROMIUM, Page, browser_in
from tests.support.plate_batches import batch_of
from tests.support.plate_reports import plate_report

DEFECTS = {
    "failed": {"C07", "P24"},
    "part": {"D08", "K03"},
    "empty": {"H12"},
    "missing": {"A24", "B24", "P01"},
}
README = "plate_page"
"""The picture in the README: docs/images/plate_page.png is this one with 96 colours."""
_README_SIZE = {"width": 1000, "height": 1152}
_WINDOWS = {"light": (1280, False), "dark": (1280, True), "narrow": (390, False)}


def pages() -> Iterator[tuple[str, str]]:
    """Yield each page's name and HTML."""
    yield "plate-96", plate_page(plate_report(96, seed=2))
    yield "plate-384-with-losses", plate_page(plate_report(384, **DEFECTS))
    yield "plate-1536", plate_page(plate_report(1536, features=30))
    for plates in (5, 100, 2000):
        yield f"batch-{plates}", "".join(render_page(batch_of(plates), "s3://profiles"))


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, browser_in(Path(scratch) / "profile") as browser:
        for name, html in pages():
            path = Path(scratch) / f"{name}.html"
            path.write_text(html, encoding="utf-8")
            for window, (width, dark) in _WINDOWS.items():
                picture = folder / f"{name}-{window}.png"
                Page(browser, path.as_uri(), width=width, height=900, dark=dark).screenshot(picture)
                print(picture)
        picture = folder / f"{README}.png"
        Page(browser, (Path(scratch) / "plate-384-with-losses.html").as_uri(), **_README_SIZE, dark=False).screenshot(
            picture, whole=False
        )
        print(picture)


if __name__ == "__main__":
    if CHROMIUM is None:
        sys.exit("no Chromium is on this machine: install chromium, and run it again")
    main(Path(sys.argv[1]))
