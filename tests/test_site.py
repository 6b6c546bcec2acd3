"""The documentation site: it builds, its links lead to what exists, and it loads nothing from elsewhere."""

import os
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest

import cytobatch
from tests.support.browser import Page, browser_in, needs_browser
from tests.support.documents import ROOT, blocks_of

MKDOCS = ROOT / ".venv-docs/bin/mkdocs"
OTHER_SITES = ("http:", "https:", "mailto:", "data:")
LOADED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}
FIRST_PAGES = ("index.html", "options.html", "reference.html", "design.html")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("site"),
    pytest.mark.skipif(not MKDOCS.exists(), reason="mkdocs is not on this machine: make .venv-docs/installed"),
]


class Elements(HTMLParser):
    """The addresses that a page loads and links to, and the names within it that links can lead to."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.links: list[str] = []
        self.names: set[str] = {""}
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.names |= {str(found[key]) for key in ("id", "name") if found.get(key)}
        address = found.get(LOADED.get(tag, ""))
        if address and found.get("rel") not in ("canonical", "prev", "next"):
            self.loaded.append(address)
        if tag == "a" and found.get("href"):
            self.links.append(str(found["href"]))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    variables = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    command = [MKDOCS, "build", "--strict", "--site-dir", folder]
    done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Elements]:
    return {page: Elements(page) for page in site.rglob("*.html")}


def test_every_document_is_a_page(site: Path) -> None:
    documents = {path.relative_to(ROOT / "docs").with_suffix("") for path in (ROOT / "docs").rglob("*.md")}
    documents = {path.parent / "index" if path.name == "README" else path for path in documents}
    found = {path.relative_to(site).with_suffix("") for path in site.rglob("*.html")}
    assert documents <= found
    assert {Path(name) for name in ("index", "changelog", "terraform", "workflows", "reference")} <= found


def test_a_page_loads_nothing_from_elsewhere(pages: dict[Path, Elements]) -> None:
    loaded = {address for page in pages.values() for address in page.loaded}
    assert loaded
    assert {address for address in loaded if address.startswith(("http:", "https:", "//"))} == set()


def test_every_link_leads_to_a_page_and_a_name_in_it(pages: dict[Path, Elements], site: Path) -> None:
    broken = []
    for page, elements in pages.items():
        for link in (one for one in (*elements.links, *elements.loaded) if not one.startswith(OTHER_SITES)):
            address, name = urldefrag(link)
            # The page for what is not found names the others from the root of the site.
            base = site if address.startswith("/") else page.parent
            target = (base / unquote(address.lstrip("/"))).resolve() if address else page
            named = pages[target].names if target in pages else {name}
            if not target.exists() or unquote(name) not in named:
                broken.append(f"{page.relative_to(site)}: {link}")
    assert broken == []


def test_every_public_name_is_in_the_reference(pages: dict[Path, Elements], site: Path) -> None:
    names = {name.rpartition(".")[2] for name in pages[site / "reference.html"].names}
    assert set(cytobatch.__all__) - {"__version__"} <= names


def test_a_graph_is_a_table_of_all_its_edges(site: Path) -> None:
    (graph,) = (block for block in blocks_of(ROOT / "docs/design.md") if block.language == "mermaid")
    page = (site / "design.html").read_text(encoding="utf-8")
    first = page[page.index("<table>") : page.index("</table>")]
    assert first.count("<tr>") - 1 == graph.text.count("->")
    assert "<td>PlateJob</td>" in first
    assert "flowchart" not in page


class Quiet(SimpleHTTPRequestHandler):
    """A handler that writes no lines of its requests."""

    def log_message(self, *_: object) -> None: ...


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@needs_browser
def test_a_browser_shows_pages_without_a_message_or_a_request_elsewhere(address: str, tmp_path: Path) -> None:
    with browser_in(tmp_path / "profile") as browser:
        for name in FIRST_PAGES:
            page = Page(browser, f"{address}/{name}", width=1280, height=900, dark=False)
            assert page.messages == []
            assert [one for one in page.requests if not one.startswith((address, "data:"))] == []
            assert page.value("document.querySelector('h1').innerText")
