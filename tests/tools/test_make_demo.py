"""The web pages of the documents have the scripts and the styles of the exports, and are small."""

from __future__ import annotations

import make_demo
import pytest

from zoo.export.js_source import HELPERS, asset

LANGUAGE = "language_page.js", "language_page.css", "text.js", "longest.js", "sample.js"
TABLE = (
    "table_page.js",
    "table_page.css",
    "csv.js",
    "times.js",
    "series.js",
    "charts.js",
    "forecast_results.js",
)
PARTS = {"reference-manual": LANGUAGE, "load-forecast": TABLE}


@pytest.mark.parametrize("name", make_demo.PAGES)
def test_page_is_up_to_date_and_small(name):
    text = (make_demo.FOLDER / f"{name}.html").read_text(encoding="utf-8")
    assert len(text.encode()) <= make_demo.MAX_BYTES
    for part in ("page.js", "page.css", *PARTS[name]):
        assert asset(part).strip() in text, f"python tools/make_demo.py {name} writes it"
    assert HELPERS["add_product_int8"] in text
