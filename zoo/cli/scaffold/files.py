"""The files of a new package, made from the templates beside this module."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from importlib import resources
from string import Template

import zoo
from zoo.cli.scaffold.names import Names

# Path in the package -> its template, and what the file is. Both texts are filled in.
_FILES = {
    "pyproject.toml": ("pyproject.toml", "the package, and the entry point by which zoo finds it"),
    "$module.py": ("module.py", "the cell $cell; change its equations into yours"),
    "test_$module.py": ("test.py", "the laws that every cell obeys"),
    "README.md": ("README.md", "what is in the package, and how to use it"),
}


@dataclass(frozen=True)
class Described:
    """The text of a file, and what it is, in one line."""

    text: str
    about: str


def package_files(names: Names) -> dict[str, Described]:
    """Every file of a package under its path, in the order in which one reads them.

    Args:
        names: Checked names: they are filled in as they are.
    """
    values = {**asdict(names), "zoo_version": zoo.__version__}

    def fill(text: str) -> str:
        return Template(text).substitute(values)

    return {
        fill(path): Described(fill(_template(template)), fill(about))
        for path, (template, about) in _FILES.items()
    }


def _template(name: str) -> str:
    folder = resources.files("zoo.cli.scaffold") / "templates"
    return (folder / f"{name}.template").read_text(encoding="utf-8")
