"""Exported web pages: their elements, and their scripts in Node with a small document."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from js_modules import NODE

# A document for the script of a page: elements by their ids, with text, children and listeners.
_DOCUMENT = """
class Element {
    constructor() {
        Object.assign(this, { children: [], style: {}, dataset: {}, value: "", text: "", listeners: {} });
    }
    set textContent(text) { this.text = text; this.children = []; }
    get textContent() {
        return this.text + this.children.map((child) => child.textContent ?? child).join("");
    }
    append(...nodes) { this.children.push(...nodes); }
    replaceChildren(...nodes) { this.children = nodes; }
    setAttribute(name, value) { this[name] = value; }
    addEventListener(name, listener) { this.listeners[name] = listener; }
    getContext() { return { clearRect() {}, fillRect() {}, strokeRect() {} }; }
}
const elements = {}, made = [];
globalThis.document = {
    getElementById: (id) => elements[id] ??= new Element(),
    createElement: (tag) => { const node = new Element(); made.push([tag, node]); return node; },
    createElementNS: (_, tag) => document.createElement(tag),
    querySelectorAll: (tag) => made.filter(([name]) => name === tag).map(([, node]) => node),
};
globalThis.addEventListener = () => {};
for (const [id, value] of Object.entries(VALUES)) document.getElementById(id).value = value;
"""


class Page(HTMLParser):
    """The elements of a page: tags with their attributes, and the text of styles and scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remember a tag."""
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        """Remember the text of a style or a script."""
        if self.tags and self.tags[-1][0] in ("style", "script") and data.strip():
            self.texts.append((self.tags[-1][0], data))

    def text(self, tag: str) -> str:
        """The text of all styles or scripts."""
        return "".join(text for name, text in self.texts if name == tag)


def check_page(page: Page, tags: list[str]) -> None:
    """Check that a page has only some elements, and a policy for its own script and style alone."""
    assert [tag for tag, _ in page.tags] == tags
    assert not [attrs for _, attrs in page.tags if {"src", "href", "onclick", "style"} & set(attrs)]
    (policy,) = (attrs["content"] for tag, attrs in page.tags if tag == "meta" and "http-equiv" in attrs)
    assert policy is not None
    for tag in ("style", "script"):
        digest = base64.b64encode(hashlib.sha256(page.text(tag).encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; ")


def check_labels(page: Page) -> None:
    """Check that all controls have labels, ids are unique, and the script asks for no other ids."""
    labelled = {attrs["for"] for tag, attrs in page.tags if tag == "label" and "for" in attrs}
    positions = [tag for tag, _ in page.tags]
    for position, (tag, attrs) in enumerate(page.tags):
        if tag in ("input", "select", "textarea"):
            inside = "label" in positions[max(0, position - 2) : position]
            assert attrs["id"] in labelled or inside
    ids = [str(attrs["id"]) for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'by_id\("([\w-]+)"\)', page.text("script"))) <= set(ids)


def run_script(page: Page, folder: Path, before: str, after: str, **values: str) -> Any:
    """The value that a program logs around the script of a page, as JSON.

    Args:
        page: The page.
        folder: A folder for the program.
        before: Code between the document and the script of the page.
        after: Code after the script.
        **values: The values of fields by id.
    """
    document = _DOCUMENT.replace("VALUES", json.dumps(values))
    script = f"{document}\n{before}\n{page.text('script')}\n{after}"
    (folder / "page.mjs").write_text(script, encoding="utf-8")
    done = subprocess.run(
        [str(NODE), "page.mjs"], cwd=folder, capture_output=True, encoding="utf-8", check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)
