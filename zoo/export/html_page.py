"""A web page with a language model: type a prompt, generate text, and look into the states.

The page is one file that loads nothing. Strings of the model are JavaScript strings, and the script puts them
into text nodes, so they are never parsed as markup. A content security policy allows only the script and the
style of the page.
"""

from __future__ import annotations

import base64
import hashlib
import inspect
import re
import textwrap
from collections.abc import Iterator
from html import escape
from string import Template

import zoo
from zoo.base import Cell
from zoo.errors import UsageError
from zoo.export.exported_model import ExportedModel
from zoo.export.js_model import JsModule, js_module
from zoo.export.js_source import asset, js_value

_UNITS = {"char": "character", "byte": "byte", "word": "word"}


def check_language_model(model: ExportedModel) -> None:
    """Check that a model has a vocabulary.

    Raises:
        UsageError: if it has none.
    """
    if model.vocabulary is None:
        raise UsageError(
            "export: a web page is for a language model, and this model has no vocabulary; export it as "
            "JavaScript, NAME.js, for a page of your own."
        )


def html_page(model: ExportedModel, int8: bool, title: str, loss: float | None) -> tuple[str, JsModule]:
    """The text of the page, and the module in it.

    Args:
        model: A language model.
        int8: Whether matrices of products are int8 numbers with scales.
        title: The title.
        loss: The validation loss in nats for each symbol; None if it is unknown.
    """
    module, cells = js_module(model, int8), list(dict.fromkeys(each.spec.cell for each in model.directions))
    description = {
        "facts": list(_facts(model, module, cells, loss)),
        "equations": "\n\n".join(filter(None, map(_equations, cells))),
        "prompt": _prompt(model),
    }
    script = f"{module.source}\nconst page = {js_value(description)};\n\n{asset('page.js')}"
    style = asset("page.css")
    policy = (
        f"default-src 'none'; style-src 'sha256-{_digest(style)}'; script-src 'sha256-{_digest(script)}'; "
        f"base-uri 'none'; form-action 'none'"
    )
    text = Template(asset("page.html")).substitute(
        title=escape(title), policy=policy, style=style, script=script, version=escape(zoo.__version__)
    )
    return text, module


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _facts(
    model: ExportedModel, module: JsModule, cells: list[Cell], loss: float | None
) -> Iterator[tuple[str, str]]:
    metadata, vocabulary = model.metadata, model.vocabulary
    assert vocabulary is not None  # check_language_model made sure of it
    unit = _UNITS.get(vocabulary.level, "token")
    for cell in cells:
        card = cell.card
        yield "cell", cell.name
        if card is not None and card.authors:
            yield "paper", f"{card.title}. {card.authors}, {card.year}"
    layers = metadata["num_layers"]
    yield "layers", f"{layers} of {metadata['hidden_size']} units"
    yield "parameters", f"{metadata['parameters']:,}"
    is_int8 = any(module.is_int8.values())
    yield "weights", f"{module.sizes['weights']:,} bytes{', int8' * is_int8}"
    yield "vocabulary", f"{len(vocabulary):,} different {unit}s"
    if loss is not None:
        weights = " (float weights)" if is_int8 else ""
        yield f"validation loss{weights}", f"{loss:.4f} nats per {unit}"


def _equations(cell: Cell) -> str:
    """The block of equations in the docstring of a cell; empty if it has none."""
    text = inspect.cleandoc(type(cell).__doc__ or "")
    block = re.search(r"^Equations[^\n]*::\n\n((?: +[^\n]*\n|\n)+)", f"{text}\n", re.MULTILINE)
    return textwrap.dedent(block[1]).strip("\n") if block else ""


def _prompt(model: ExportedModel) -> str:
    """A prompt to begin with: a short text of the vocabulary."""
    vocabulary = model.vocabulary
    assert vocabulary is not None  # check_language_model made sure of it
    if vocabulary.level in ("char", "byte"):
        for text in ("The ", "the ", "a"):
            symbols = text.encode() if vocabulary.level == "byte" else text
            if all(symbol in vocabulary.symbols for symbol in symbols):
                return text
    return "The" if vocabulary.level == "word" and "The" in vocabulary.symbols else ""
