"""Make the web page of the documents that generates text: ``docs/demo/reference-manual.html``.

    python tools/make_demo.py

It trains a small GRU on the reference manual that every installation of Python contains, which takes some
minutes, and exports it with int8 weights. Another version of Python has another manual, and so another page.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import zoo

PAGE = Path(__file__).parents[1] / "docs" / "demo" / "reference-manual.html"
MAX_BYTES = 150_000
TITLE = "A model of the reference manual of Python"
SETTINGS = {"cell": "gru", "hidden": 96, "batch": 32, "seq": 64, "lr": 0.006, "steps": 2500, "seed": 0}


def main() -> None:
    """Train the model, and write the page.

    Raises:
        SystemExit: if the page is too large.
    """
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        zoo.train(data="builtin:pydoc", out=run, **SETTINGS)
        PAGE.parent.mkdir(exist_ok=True)
        page = zoo.export.to_html(zoo.Run(run), PAGE, title=TITLE, weights="int8", force=True)
    if page.bytes > MAX_BYTES:
        raise SystemExit(f"{PAGE}: {page.bytes:,} bytes; expected at most {MAX_BYTES:,}.")
    print(f"{PAGE.name}: {page.bytes:,} bytes")


if __name__ == "__main__":
    main()
