"""The generated reference is up to date, and signatures are read from the source as Python sees them."""

from __future__ import annotations

import inspect
from pkgutil import resolve_name

import contents
import make_reference
import pytest

PAGES = make_reference.reference_pages()
REMEDY = "run python tools/make_reference.py"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_page_of_names_is_up_to_date(path):
    assert path.exists(), REMEDY
    assert path.read_text(encoding="utf-8") == PAGES[path], REMEDY


def test_there_is_no_other_page():
    assert set(make_reference.FOLDER.glob("*.md")) == set(PAGES), REMEDY


def test_help_of_every_command_is_up_to_date():
    page = make_reference.CLI_PAGE.read_text(encoding="utf-8")
    assert page == make_reference.command_page(page), REMEDY


@pytest.mark.parametrize(
    "name",
    [
        "zoo.train",
        "zoo.Recurrent",
        "zoo.split",
        "zoo.Run",
        "zoo.LanguageModel",
        "zoo.SequenceModel",
        "zoo.data.LabelledSequences",
        "zoo.data.Panel",
    ],
)
def test_parameters_are_those_that_python_sees(name):
    source = make_reference.find_definition(name)
    if isinstance(source.node, make_reference.ast.ClassDef):
        texts = make_reference._class_parameters(source)
    else:
        texts = make_reference._parameters(source.node, source.module, bound=False)
    names = [text.lstrip("*").partition(":")[0].partition("=")[0] for text in texts if text not in ("*", "/")]
    assert names == list(inspect.signature(resolve_name(name)).parameters)


@pytest.mark.parametrize(
    ("name", "has_marker"), [("zoo.data.LabelledSequences", True), ("zoo.data.Panel", False)]
)
def test_fields_that_are_keywords_only_follow_an_asterisk(name, has_marker):
    texts = make_reference._class_parameters(make_reference.find_definition(name))
    kinds = {each.kind.name for each in inspect.signature(resolve_name(name)).parameters.values()}
    assert (texts[0] == "*") is has_marker is (kinds == {"KEYWORD_ONLY"})


def test_every_name_of_the_tables_has_a_definition():
    for names in contents.groups().values():
        for name in names:
            if not contents.is_module(name):
                assert make_reference.find_definition(name)
    with pytest.raises(LookupError, match="is not defined"):
        make_reference.find_definition("zoo.nothing")


def test_entry_has_signature_and_first_paragraph():
    page = PAGES[make_reference.FOLDER / "registry.md"]
    entry = page.partition("## zoo.get_cell\n")[2].partition("\n## ")[0]
    assert "zoo.get_cell(" in entry
    assert "```" in entry
    assert make_reference._first_paragraph(make_reference.find_definition("zoo.get_cell").node) in entry
