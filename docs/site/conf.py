"""How Sphinx makes the site: ``python -m sphinx --fail-on-warning --conf-dir docs/site . build/site``."""

from __future__ import annotations

import re
import shutil
import sys
from importlib import metadata
from pathlib import Path

from docutils import nodes
from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx
from sphinx.ext.autodoc.mock import mock
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.nodes import make_refnode

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
from contents import file_name, reference, reference_page, sections  # noqa: E402

project = "zoo"
author = "The zoo authors"
copyright = author
version = release = metadata.version("recurrent-zoo")

# The pages are the repository's own, where they lie, so that their links are the same here and there.
root_doc = "README"
include_patterns = ["README.md", "CHANGELOG.md", "docs/*.md", "docs/**/*.md", "docs/reference/*.rst"]
exclude_patterns = [".*", "build", "dist", "runs", "plugins", "tests", "zoo", "docs/examples", "docs/site"]
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
myst_heading_anchors = 4

# Roles in docstrings must lead somewhere; types in signatures need not, for those of other projects do not.
nitpicky = True
nitpick_ignore_regex = [("py:(class|data|exc|obj)", ".*")]

default_role = "literal"  # single backticks too
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
# What the rooms of other libraries import; the same page comes out with and without them.
autodoc_mock_imports = ["jax", "matplotlib", "onnx", "sklearn", "tensorboardX", "torch"]
python_maximum_signature_line_length = 88
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_attr_annotations = False  # the text says what an attribute is
toc_object_entries_show_parents = "hide"

html_theme = "furo"
html_title = "zoo"
pygments_dark_style = "github-dark"  # as its like on code hosts, and without underlines
html_static_path = ["static"]
html_css_files = ["zoo.css"]
html_copy_source = False
html_show_search_summary = False  # it would be fetched, which pages opened as files may not
html_show_sourcelink = False


def write_reference(app: Sphinx) -> None:
    """Write a page for each group of public names and each room; ``docs/reference`` is not kept in git."""
    folder = Path(app.srcdir) / "docs" / "reference"
    folder.mkdir(exist_ok=True)
    with mock(app.config.autodoc_mock_imports):
        pages = {
            folder / f"{file_name(title)}.rst": reference_page(title, names)
            for title, names in reference().items()
        }
    for left_over in set(folder.iterdir()) - pages.keys():
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
    if docname == root_doc:
        return {"": ["docs/README"], **sections()}
    if docname == "docs/reference":
        return {"": [f"docs/reference/{file_name(title)}" for title in reference()]}
    if docname == "docs/zoo/README":
        return {"": ["docs/zoo/*/README", "docs/zoo/*"]}
    is_family = docname.startswith("docs/zoo/") and docname.endswith("/README")
    return {"": [docname.removesuffix("README") + "*"]} if is_family else {}


def shorten_signature(_: Sphinx, *what: object) -> tuple[str, object] | None:
    """Leave out types that say nothing, and defaults without a text of their own, which a factory makes."""
    signature, returned = what[-2:]
    if not isinstance(signature, str):
        return None
    signature = re.sub(r": ~?(typing\.)?Any\b", "", signature).replace("<factory>", "...")
    return signature, None if str(returned).endswith("Any") else returned


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


def name_the_front_page(app: Sphinx, exception: Exception | None) -> None:
    """A host opens ``index.html``."""
    if exception is None and app.builder.format == "html":
        shutil.copy(Path(app.outdir) / f"{root_doc}.html", Path(app.outdir) / "index.html")


def setup(app: Sphinx) -> None:
    """What the site needs beside the extensions."""
    app.add_lexer("output", TextLexer)
    app.add_post_transform(PublicNames)
    app.connect("builder-inited", write_reference)
    app.connect("source-read", add_navigation)
    app.connect("autodoc-process-signature", shorten_signature)
    app.connect("build-finished", name_the_front_page)
