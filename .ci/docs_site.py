"""A hook of mkdocs: adds the project's other documents to the site, and makes links between all of them lead there.

Links are written for readers of the repository. A link to a document that is a page of the site leads to that page;
one to another file of the project leads to the repository.
"""

import ast
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
OTHERS = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security-policy.md",
    "CODE_OF_CONDUCT.md": "conduct.md",
    "benchmarks/README.md": "benchmarks.md",
    "terraform/README.md": "terraform.md",
    "workflows/README.md": "workflows.md",
}
"""The pages that documents outside of docs/ become."""
REFERENCE = "# Names of the API\n\nWhat `import cytobatch` offers. [The Python API](api.md) has examples.\n"
_LINK = re.compile(r"(?<=\]\()([^)#\s:]+)(?=[)#])")


_MERMAID = re.compile(r"^```mermaid\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NODE = r'(\w+)(?:[\[(]+"?([^"\])]*)"?[\])]+)?'
_EDGE = re.compile(rf'^ *{_NODE} -[-.]*->(?:\|"?([^"|]*)"?\|)? ?{_NODE}$', re.MULTILINE)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made from files outside of docs/."""
    for source, page in OTHERS.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text(encoding="utf-8")))
    files.append(File.generated(config, "reference.md", content=_reference()))
    listed = set(_listed(config.nav))
    further = [file.src_uri for file in files.documentation_pages() if not _is_listed(file.src_uri, listed)]
    config.nav += [{"More": sorted(further)}] if further else []
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Rewrite the links of a page."""
    pages = {f"docs/{file.src_uri}": file.src_uri for file in files} | OTHERS
    own = next((source for source, name in OTHERS.items() if name == page.file.src_uri), f"docs/{page.file.src_uri}")

    def rewritten(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(own), match[1]))
        if target in pages:
            return posixpath.relpath(pages[target], posixpath.dirname(page.file.src_uri) or ".")
        return f"{config.repo_url}/blob/main/{target}" if (ROOT / target).exists() else match[1]

    return _MERMAID.sub(_table_of_graph, _LINK.sub(rewritten, markdown))


def _listed(nav: Any) -> Iterator[str]:
    """Yield the pages that a part of the navigation lists."""
    if isinstance(nav, str):
        yield nav
    for part in nav if isinstance(nav, list) else nav.values() if isinstance(nav, dict) else ():
        yield from _listed(part)


def _is_listed(page: str, listed: set[str]) -> bool:
    return page in listed or (page.startswith("decisions/0") and "decisions/README.md" in listed)


def _table_of_graph(block: re.Match[str]) -> str:
    """Return a graph of mermaid as a table of its edges: GitHub draws such graphs, and mkdocs would load mermaid."""
    edges = _EDGE.findall(block[1])
    labels = {name: label for edge in edges for name, label in (edge[:2], edge[3:]) if label}
    rows = [f"| {labels.get(start, start)} | {by} | {labels.get(end, end)} |" for start, _, by, end, _ in edges]
    return "\n".join(["| from | by | to |", "|---|---|---|", *rows])


def _reference() -> str:
    """Return the page of the public names, in groups: mkdocstrings fills in signatures and docstrings."""
    names = sorted(_public_names().items())
    groups = {
        "Functions": [name for name in names if name[0].islower()],
        "Classes": [name for name in names if name[0][0].isupper() and not name[0].endswith("Error")],
        "Errors": [name for name in names if name[0].endswith("Error")],
    }
    lines = [REFERENCE]
    for title, group in groups.items():
        lines += [f"## {title}\n", *(f"::: {module}.{name}\n" for name, module in group)]
    return "\n".join(lines)


def _public_names() -> dict[str, str]:
    """Return the module of each name that the package imports for type checkers."""
    tree = ast.parse((ROOT / "src/cytobatch/__init__.py").read_text(encoding="utf-8"))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return {alias.name: node.module or "" for node in imports for alias in node.names}
