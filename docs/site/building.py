"""Extensions of the Sphinx build: navigation, the pages of the reference, links to its entries."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

from contents import file_name, reference, reference_page, sections
from docutils import nodes
from pygments.lexers.special import TextLexer
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.ext.autodoc.mock import mock
from sphinx.transforms import SphinxTransform
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import inspect
from sphinx.util.inspect import stringify_signature
from sphinx.util.nodes import make_refnode


def write_reference(app: Sphinx) -> None:
    """Write a page for each group of public names and each module, from imported docstrings.

    They take the place of the shorter pages with the same names in git (``tools/make_reference.py``).
    """
    folder = Path(app.srcdir) / "docs" / "reference"
    folder.mkdir(exist_ok=True)
    with mock(app.config.autodoc_mock_imports):
        pages = {
            folder / f"{file_name(title)}.rst": reference_page(title, names)
            for title, names in reference().items()
        }
    for left_over in set(folder.glob("*.rst")) - pages.keys():
        left_over.unlink()
    for file, text in pages.items():
        file.write_text(text, encoding="utf-8")


def add_navigation(_: Sphinx, docname: str, source: list[str]) -> None:
    """Put below a page what stands below it in the navigation; on a code host links do that."""
    for caption, pages in _below(docname).items():
        options = [":hidden:", ":glob:"] + [f":caption: {caption}"] * bool(caption)
        lines = ["", "", "```{toctree}", *options, "", *(f"/{page}" for page in pages), "```", ""]
        source[0] += "\n".join(lines)


def _below(docname: str) -> dict[str, list[str]]:
    """Pages below a page by caption; the cells, of which there are many, stand in their families."""
    if docname == "README":
        return {"": ["docs/README"], **sections()}
    if docname == "docs/reference":
        return {"": [f"docs/reference/{file_name(title)}" for title in reference()]}
    if docname == "docs/zoo/README":
        return {"": ["docs/zoo/*/README", "docs/zoo/*"]}
    is_family = docname.startswith("docs/zoo/") and docname.endswith("/README")
    return {"": [docname.removesuffix("README") + "*"]} if is_family else {}


def shorten_signature(
    _app: Sphinx,
    what: str,
    _name: str,
    thing: Any,
    _options: Any,
    signature: str | None,
    returned: str | None,
) -> tuple[str | None, str | None]:
    """Leave out types that say nothing, and defaults without a text of their own, which a factory makes."""
    signature = signature and re.sub(r": ~?(typing\.)?Any\b", "", signature).replace("<factory>", "...")
    if what == "class" and signature == "(*args, **kwargs)":  # that of a mocked base class
        signature = stringify_signature(
            inspect.signature(thing.__init__, bound_method=True), show_return_annotation=False
        )
    return signature, None if returned and returned.endswith("Any") else returned


class PublicNames(SphinxPostTransform):
    """Public names in the text, ``zoo.train``, lead to their entries in the reference."""

    default_priority = 5

    def run(self, **_: object) -> None:
        """Wrap every literal that is the name of an entry, if it is no link already."""
        domain = self.env.get_domain("py")
        for node in list(self.document.findall(nodes.literal)):
            name = node.astext().partition("(")[0]
            entry = domain.objects.get(f"zoo.{name}" if name.startswith("kernels.") else name)
            if entry is not None and not isinstance(node.parent, nodes.reference | nodes.title):
                link = make_refnode(
                    self.app.builder, self.env.docname, entry.docname, entry.node_id, node.deepcopy()
                )
                node.replace_self(link)


class OpenPages(SphinxTransform):
    """Links to web pages open them. Sphinx would make them downloads."""

    default_priority = 5

    def apply(self, **_: object) -> None:
        """Replace the references to downloads that are pages."""
        for node in list(self.document.findall(addnodes.download_reference)):
            if node["reftarget"].endswith(".html"):
                node.replace_self(
                    nodes.reference("", "", *node.children, refuri=node["reftarget"], internal=True)
                )


def copy_pages(app: Sphinx, exception: Exception | None) -> None:
    """Copy the web pages of the documents."""
    if exception is None and app.builder.format == "html":
        source, target = (Path(folder) / "docs" / "demo" for folder in (app.srcdir, app.outdir))
        shutil.copytree(source, target, dirs_exist_ok=True)


def name_the_front_page(app: Sphinx, exception: Exception | None) -> None:
    """A host opens ``index.html``."""
    if exception is None and app.builder.format == "html":
        shutil.copy(Path(app.outdir) / "README.html", Path(app.outdir) / "index.html")


def setup(app: Sphinx) -> dict[str, bool]:
    """Files of the site that no extension writes."""
    app.add_lexer("output", TextLexer)
    app.add_transform(OpenPages)
    app.add_post_transform(PublicNames)
    app.connect("builder-inited", write_reference)
    app.connect("source-read", add_navigation)
    app.connect("autodoc-process-signature", shorten_signature)
    app.connect("build-finished", name_the_front_page)
    app.connect("build-finished", copy_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
