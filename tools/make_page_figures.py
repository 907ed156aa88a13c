"""Save the figures that the code of a page draws, for the page to show: ``docs/images/*.png``.

    python tools/make_page_figures.py                          # all pages that save a figure
    python tools/make_page_figures.py docs/howto/neuroscience.md

A page saves a figure with ``figure.savefig("NAME.png")`` and shows it as ``images/NAME.png``. This program
runs the page in an empty directory and copies the figures. ``docs/images/pages.json`` has the digest of the
code that drew each figure, and a test compares it with the page.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
DIGESTS = IMAGES / "pages.json"
MAX_BYTES = 150_000  # of a picture in the documents
RUNNER = ROOT / "tests" / "support" / "docs_runner.py"
_BLOCK = re.compile(
    r"^```(?P<language>python|console)(?P<flags>[^\n]*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL
)
_COMMAND = re.compile(r"^\$ (?:[^\n]*\\\n)*[^\n]*$", re.MULTILINE)
_SAVED = re.compile(r"""\.savefig\("([\w-]+\.png)\"""")


def code_of(page: str) -> str:
    """Return the Python code and the commands of a page that run."""
    parts = []
    for block in _BLOCK.finditer(page):
        if "no-run" not in block["flags"].split():
            parts += [block["code"]] if block["language"] == "python" else _COMMAND.findall(block["code"])
    return "\n".join(parts)


def figures_of(page: str) -> list[str]:
    """Return the names of the figures that the code of a page saves."""
    return _SAVED.findall(code_of(page))


def digest(page: str) -> str:
    """Return the digest of the code of a page."""
    return hashlib.sha256(code_of(page).encode()).hexdigest()


def pages_with_figures() -> list[Path]:
    """Return the pages of the documents that save a figure."""
    pages = sorted((ROOT / "docs").rglob("*.md"))
    return [page for page in pages if figures_of(page.read_text(encoding="utf-8"))]


def make(page: Path) -> None:
    """Run a page, copy its figures, and store the digest of its code."""
    text = page.read_text(encoding="utf-8")
    subprocess.run([sys.executable, str(RUNNER), "--figures", str(IMAGES), str(page)], check=True)
    for name in figures_of(text):
        if (IMAGES / name).stat().st_size > MAX_BYTES:
            with Image.open(IMAGES / name) as figure:  # 64 colours need a quarter of the bytes
                reduced = figure.convert("RGB").quantize(64)
            reduced.save(IMAGES / name, optimize=True)
    digests = json.loads(DIGESTS.read_text(encoding="utf-8")) if DIGESTS.exists() else {}
    digests[page.relative_to(ROOT).as_posix()] = digest(text)
    DIGESTS.write_text(json.dumps(digests, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the figures of some pages, or of all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("pages", nargs="*", type=Path, help="pages; all with a figure by default")
    IMAGES.mkdir(exist_ok=True)
    for page in parser.parse_args(arguments).pages or pages_with_figures():
        make(page.resolve())


if __name__ == "__main__":
    main()
