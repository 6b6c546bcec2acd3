"""Pages of HTML that need no other file: templates, styles and scripts of the package, and who may run."""

import base64
import functools
import hashlib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from cytobatch.config.plural import count, plural
from cytobatch.errors import brief
from cytobatch.report.compiled_templates import CompiledTemplates
from cytobatch.report.numbers import duration, measure, moment, size

_PACKAGE, _TEMPLATES = "cytobatch.report", "templates"
_OPTIONS: Mapping[str, Any] = {"autoescape": True, "trim_blocks": True, "lstrip_blocks": True}


@functools.cache
def page_template(name: str) -> tuple[Template, Mapping[str, Any]]:
    """Return the template of a page, and its own values: `style`, `script` and the script's `script_hash`.

    A process compiles a template once. The page's policy lets no other script run, and nothing be loaded.
    """
    script = _packaged(f"{name}.js")
    own = {
        "style": Markup(_packaged("page.css") + "\n" + _packaged(f"{name}.css")),
        "script": Markup(script),
        "script_hash": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    }
    return fragment_template(name), own


@functools.cache
def fragment_template(name: str) -> Template:
    """Return the template of a page, or of a part of another program's page. Text from outside is escaped."""
    environment = Environment(
        loader=PackageLoader(_PACKAGE, _TEMPLATES),
        undefined=StrictUndefined,
        finalize=_shown,
        bytecode_cache=CompiledTemplates(Path(__file__).with_name(_TEMPLATES), _OPTIONS),
        **_OPTIONS,
    )
    environment.filters |= {
        "thousands": count,
        "moment": moment,
        "bytes": size,
        "duration": duration,
        "measure": measure,
        "plural": plural,
    }
    return environment.get_template(f"{name}.html.j2")


def _shown(value: object) -> object:
    """Return a value of the page; text from outside in a form that is fit to be shown. Jinja escapes it afterwards."""
    return brief(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _packaged(name: str) -> str:
    return resources.files(_PACKAGE).joinpath(_TEMPLATES, name).read_text(encoding="utf-8").strip()
