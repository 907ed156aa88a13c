"""A report as one self-contained HTML file: template, style, scripts and data.

Strings of runs (names, samples, errors) are JSON, and the scripts put them into text nodes: they are never
parsed as markup. A content security policy allows only the scripts and styles of this file.
"""

from __future__ import annotations

import base64
import hashlib
import json
from html import escape
from importlib.resources import files
from string import Template

import zoo
from zoo.report import palette
from zoo.report.blocks import Report, to_json

SCRIPTS = (
    "dom.js",
    "numbers.js",
    "scale.js",
    "controls.js",
    "marks.js",
    "axes.js",
    "levels.js",
    "tip.js",
    "hover.js",
    "chart.js",
    "table.js",
    "colours.js",
    "overview.js",
    "units.js",
    "blocks.js",
    "page.js",
)
STYLES = ("page.css", "charts.css", "text.css")


def html(report: Report) -> str:
    """The HTML page of a report; deterministic."""
    style, script = f"{_themes()}\n{_concatenate(STYLES)}", _script()
    return Template(_asset("page.html")).substitute(
        title=escape(report.title),
        policy=(
            f"default-src 'none'; img-src data:; style-src 'sha256-{_digest(style)}'; "
            f"script-src 'sha256-{_digest(script)}'; base-uri 'none'; form-action 'none'"
        ),
        style=style,
        data=_data(report),
        script=script,
        version=escape(zoo.__version__),
    )


def _themes() -> str:
    """CSS variables of both themes; dark by the system setting or the switch."""
    light, dark = palette.variables(0), palette.variables(1)
    return (
        f":root {{ color-scheme: light;\n{light} }}\n"
        f"@media (prefers-color-scheme: dark) {{ :root:not([data-theme=light]) "
        f"{{ color-scheme: dark;\n{dark} }} }}\n"
        f":root[data-theme=dark] {{ color-scheme: dark;\n{dark} }}"
    )


def _script() -> str:
    """All scripts in one function scope."""
    return f'"use strict";\n(() => {{\n{_concatenate(SCRIPTS)}\n}})();'


def _concatenate(names: tuple[str, ...]) -> str:
    return "\n".join(_asset(name if name.endswith(".css") else f"js/{name}") for name in names)


def _asset(name: str) -> str:
    return (files("zoo.report") / "assets" / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _data(report: Report) -> str:
    """The report as JSON that cannot end its script element."""
    style = {
        "series": len(palette.SERIES),
        "sequential": len(palette.SEQUENTIAL),
        "dashes": palette.DASHES,
        "markers": palette.MARKERS,
    }
    value = {**to_json(report), "style": style}
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
