"""The web page of the documents has the script and the style of today, and is small."""

from __future__ import annotations

import make_demo

from zoo.export.js_source import HELPERS, asset


def test_page_is_up_to_date_and_small():
    text = make_demo.PAGE.read_text(encoding="utf-8")
    assert len(text.encode()) <= make_demo.MAX_BYTES
    for name in ("page.js", "page.css", "text.js", "longest.js", "sample.js"):
        assert asset(name).strip() in text, "python tools/make_demo.py writes it"
    assert HELPERS["add_product_int8"] in text
    assert f"<h1>{make_demo.TITLE}</h1>" in text
