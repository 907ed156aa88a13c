"""Configuration of Sphinx: ``python -m sphinx --fail-on-warning --conf-dir docs/site . build/site``."""

from __future__ import annotations

import sys
from importlib import metadata
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

project = "zoo"
author = "The zoo authors"
copyright = author
version = release = metadata.version("recurrent-zoo")

# The pages are the repository's own, where they lie, so that their links are the same here and there.
root_doc = "README"
include_patterns = ["README.md", "CHANGELOG.md", "docs/*.md", "docs/**/*.md", "docs/reference/*.rst"]
exclude_patterns = [".*", "build", "dist", "runs", "plugins", "tests", "zoo", "docs/examples", "docs/site"]
exclude_patterns += ["docs/reference/*.md"]  # the pages for code hosts; the site has its own (building.py)
extensions = [
    "myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode", "building",
    "typeset_math",
]  # fmt: skip
myst_enable_extensions = ["dollarmath"]
myst_dmath_allow_space = False  # `$ zoo` in a line is a command
myst_heading_anchors = 4

# Roles in docstrings must lead somewhere; types in signatures need not, since those of other projects do
# not, nor attributes, which have no entries.
nitpicky = True
nitpick_ignore_regex = [("py:(attr|class|data|exc|obj)", ".*")]

default_role = "literal"  # single backticks too
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
# What the modules of other libraries import; the same page comes out with and without them.
autodoc_mock_imports = [
    "dask", "darts", "distributed", "flax", "jax", "keras", "matplotlib", "mlflow", "mpi4py", "onnx",
    "onnxruntime", "pandas", "sklearn", "sktime", "tensorboardX", "torch",
]  # fmt: skip
python_maximum_signature_line_length = 88
napoleon_numpy_docstring = False
napoleon_use_ivar = True  # a list: some attributes are properties, which have entries of their own
napoleon_use_rtype = False
napoleon_attr_annotations = False  # the text says what an attribute is
toc_object_entries_show_parents = "hide"

html_math_renderer = "svg"
html_theme = "furo"
html_title = "zoo"
pygments_dark_style = "github-dark"  # as its like on code hosts, and without underlines
html_static_path = ["static"]
html_css_files = ["zoo.css"]
html_copy_source = False
html_show_search_summary = False  # it would be fetched, which pages opened as files may not
html_show_sourcelink = False
