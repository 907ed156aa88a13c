"""A web page with a model: generate text with a language model, or forecast or predict rows of a table.

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
from zoo.data import Vocabulary
from zoo.errors import UsageError
from zoo.export.exported_data import TableExport
from zoo.export.exported_model import ExportedModel
from zoo.export.html_table import table_facts, table_fields
from zoo.export.js_model import JsModule, js_module
from zoo.export.js_source import asset, js_value

_UNITS = {"char": "character", "byte": "byte", "word": "word"}


# The files of the script of a page, which share one block after the module.
_LANGUAGE_PAGE = ("page.js", "language_page.js")
_TABLE_PAGE = ("page.js", "csv.js", "times.js", "series.js", "charts.js")


def check_has_page(model: ExportedModel) -> None:
    """Check that a model has a vocabulary, or the columns of a table.

    Raises:
        UsageError: if it has neither.
    """
    if model.vocabulary is None and model.data is None:
        raise UsageError(
            "export: a web page is for a language model or a model of a table, and this model has neither a "
            "vocabulary nor columns; export it as JavaScript, NAME.js, for a page of your own."
        )


def html_page(
    model: ExportedModel, int8: bool, title: str, loss: float | None = None, example: str | None = None
) -> tuple[str, JsModule]:
    """The text of the page, and the module in it.

    Args:
        model: A language model, or a model of a table.
        int8: Whether matrices of products are int8 numbers with scales.
        title: The title.
        loss: The validation loss of a language model in nats for each symbol; None if it is unknown.
        example: Rows to begin with, as CSV, for a model of a table; None for random ones.
    """
    module, cells = js_module(model, int8), list(dict.fromkeys(each.spec.cell for each in model.directions))
    if model.vocabulary is None:
        assert model.data is not None  # check_has_page
        kind, fields, facts = "table", table_fields(model, example), table_facts(model.data)
    else:
        kind, fields = "language", {"prompt": _prompt(model.vocabulary)}
        facts = _language_facts(model.vocabulary, any(module.is_int8.values()), loss)
    description = {
        "facts": [*_facts(model, module, cells), *facts],
        "equations": "\n\n".join(filter(None, map(_equations, cells))),
        **fields,
    }
    parts = "\n".join(map(asset, page_parts(model)))
    # In a block, no name of a part is one of the module.
    script = f"{module.source}\nconst page = {js_value(description)};\n\n{{\n{parts}}}\n"
    style = asset("page.css") + asset(f"{kind}_page.css")
    policy = (
        f"default-src 'none'; style-src 'sha256-{_digest(style)}'; script-src 'sha256-{_digest(script)}'; "
        f"base-uri 'none'; form-action 'none'"
    )
    text = Template(asset("page.html")).substitute(
        title=escape(title),
        policy=policy,
        style=style,
        body=asset(f"{kind}_page.html").rstrip("\n"),
        script=script,
        version=escape(zoo.__version__),
    )
    return text, module


def page_parts(model: ExportedModel) -> tuple[str, ...]:
    """The files of the script of a page, in their order."""
    if model.vocabulary is not None:
        return _LANGUAGE_PAGE
    results = "forecast_results.js" if isinstance(model.data, TableExport) else "predict_results.js"
    return (*_TABLE_PAGE, results, "table_page.js")


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _facts(model: ExportedModel, module: JsModule, cells: list[Cell]) -> Iterator[tuple[str, str]]:
    metadata = model.metadata
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


def _language_facts(vocabulary: Vocabulary, is_int8: bool, loss: float | None) -> Iterator[tuple[str, str]]:
    unit = _UNITS.get(vocabulary.level, "token")
    yield "vocabulary", f"{len(vocabulary):,} different {unit}s"
    if loss is not None:
        weights = " (float weights)" if is_int8 else ""
        yield f"validation loss{weights}", f"{loss:.4f} nats per {unit}"


def _equations(cell: Cell) -> str:
    """The block of equations in the docstring of a cell; empty if it has none."""
    text = inspect.cleandoc(type(cell).__doc__ or "")
    block = re.search(r"^Equations[^\n]*::\n\n((?: +[^\n]*\n|\n)+)", f"{text}\n", re.MULTILINE)
    return textwrap.dedent(block[1]).strip("\n") if block else ""


def _prompt(vocabulary: Vocabulary) -> str:
    """A prompt to begin with: a short text of the vocabulary."""
    if vocabulary.level in ("char", "byte"):
        for text in ("The ", "the ", "a"):
            symbols = text.encode() if vocabulary.level == "byte" else text
            if all(symbol in vocabulary.symbols for symbol in symbols):
                return text
    return "The" if vocabulary.level == "word" and "The" in vocabulary.symbols else ""
