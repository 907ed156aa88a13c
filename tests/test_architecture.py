"""The page about the architecture names existing files, every package, and the order that the gate checks."""

from __future__ import annotations

import re
import sys
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
CONTRACT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]


def test_named_files_exist():
    files = re.findall(r"\b(?:zoo|plugins|tests|tools)/[\w/]+(?:\.py|/)", PAGE)
    assert len(files) > 40
    assert [file for file in files if not (ROOT / file).exists()] == []


def test_every_package_is_named():
    packages = {file.parent.name for file in (ROOT / "zoo").glob("*/__init__.py")}
    assert {name for name in packages if f"`zoo.{name}`" not in PAGE} == set()


def test_levels_equal_those_of_import_linter():
    (layers,) = (contract["layers"] for contract in CONTRACT["contracts"] if contract["type"] == "layers")
    checked = re.findall(r"zoo\.\w+", " ".join(layers))
    table = PAGE.partition("| level | packages |")[2].partition("\n\n")[0]
    named = re.findall(r"`(zoo\.\w+)`", table)
    assert [name for name in checked if name in named] == named
