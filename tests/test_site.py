"""The site: every page has a place in the navigation, every public name one in the reference."""

from __future__ import annotations

import re
from pathlib import Path
from pkgutil import resolve_name

import contents
import pytest

import zoo

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
MODULES = [name for names in contents.groups().values() for name in names if contents.is_module(name)]


def written(folder: Path, text: str) -> Path:
    page = folder / "README.md"
    page.write_text(text, encoding="utf-8")
    return page


# ---- navigation ----------------------------------------------------------------------------------------


def test_every_page_is_in_one_section() -> None:
    """Except pages of cells and of names, which are below their index, and the page with the sections."""
    paths = [path for path in (ROOT / "docs").rglob("*.md") if "examples" not in path.parts]
    pages = {path.relative_to(ROOT).with_suffix("").as_posix() for path in paths}
    cells = {page for page in pages if page.startswith("docs/zoo/")} - {"docs/zoo/README"}
    pages -= {page for page in pages if page.startswith("docs/reference/")}
    placed = [page for section in contents.sections().values() for page in section]
    assert sorted(placed) == sorted(pages - cells - {"docs/README"} | {"CHANGELOG"})


def test_page_belongs_to_first_list_that_names_it(tmp_path: Path) -> None:
    lists = "- [a](a.md), or\n  [its part](sub/b.md#part)\n- [far](https://example.org/c.md)\n"
    text = f"# Top\n\n[lost](lost.md)\n\n## One\n\nSee [two](two.md).\n\n{lists}\n"
    text += "## Two\n\n- [again](a.md)\n- [two](two.md)\n\n## None\n\n- a\n"
    index = written(tmp_path, text)
    sections = contents.sections(index)
    names = {heading: [Path(page).name for page in pages] for heading, pages in sections.items()}
    assert names == {"One": ["a", "b"], "Two": ["two"]}
    assert (ROOT / f"{sections['One'][1]}.md").resolve() == tmp_path / "sub" / "b.md"


# ---- mathematics ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", [path for path in PAGES if "$$" in path.read_text(encoding="utf-8")])
def test_formulas_are_closed(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    parts = re.split(r"^\$\$$", text, flags=re.MULTILINE)
    assert len(parts) % 2 == 1, "a line of $$ is missing"
    for formula in parts[1::2]:
        assert re.findall(r"\\begin{(.*?)}", formula) == re.findall(r"\\end{(.*?)}", formula)
        assert formula.count("{") == formula.count("}")


def test_formula_is_svg_in_colour_of_text() -> None:
    pytest.importorskip("ziamath")
    import typeset_math

    svg, offset = typeset_math.typeset("h_t < 1", inline=True)
    assert svg.startswith('<svg role="img" aria-label="h_t &lt; 1" ')
    assert svg.count("<path") == 4, "h, t, < and 1"
    assert "currentColor" in svg
    assert -10 < offset < 0


# ---- reference -----------------------------------------------------------------------------------------


def test_every_public_name_is_in_one_table() -> None:
    named = [name for group in contents.groups().values() for name in group]
    assert len(named) == len(set(named))
    public = {f"zoo.{name}" for name in zoo.__all__}
    assert public - set(named) == set()
    assert {f"zoo.{name}" for name in zoo._SUBMODULES.partition("|")[0].split()} <= set(MODULES)
    assert all(resolve_name(name) for name in set(named) - public), "and others that exist"


def test_model_entries_include_methods_of_base_class() -> None:
    page = contents.reference_page("Training", ["zoo.LanguageModel", "zoo.Run"])
    assert ".. autoclass:: zoo.LanguageModel\n   :members:\n   :inherited-members:\n" in page
    assert page.count(":inherited-members:") == 1


@pytest.mark.parametrize("module", MODULES)
def test_every_name_of_a_package_has_an_entry(module: str) -> None:
    try:
        page = contents.reference_page(module, [])
    except (ImportError, zoo.UsageError) as error:
        assert module not in ("zoo.kernels", "zoo.testing"), "these need no optional library"
        pytest.skip(str(error))
    assert [name for name in resolve_name(module).__all__ if f":: {module}.{name}\n" not in page] == []


def test_every_name_has_entry_of_its_kind(tmp_path: Path) -> None:
    table = "## Some names\n\n| name | what |\n|---|---|\n| `zoo.Cell`, `zoo.train` | see `zoo.load` |\n"
    table += "| `zoo.ZooError` | |\n| `zoo.testing` | |\n| `zoo.__version__` | |\n"
    pages = contents.reference(written(tmp_path, table))
    assert pages == {
        "Some names": ["zoo.Cell", "zoo.train", "zoo.ZooError", "zoo.__version__"],
        "zoo.testing": [],
    }
    assert [contents.file_name(title) for title in pages] == ["some-names", "zoo-testing"]
    assert contents.reference_page("Some names", pages["Some names"]).splitlines() == [
        "Some names", "==========", "",
        ".. autoclass:: zoo.Cell", "   :members:", "",
        ".. autofunction:: zoo.train", "",
        ".. autoexception:: zoo.ZooError", "   :members:", "",
        ".. autodata:: zoo.__version__",
    ]  # fmt: skip
    module = contents.reference_page("zoo.testing", [])
    assert ".. automodule:: zoo.testing\n" in module
    entry = "   - ``check_well_formed``: Card, docstring, sizes and gates are complete."
    assert f".. data:: zoo.testing.CELL_CHECKS\n\n{entry}" in module


def test_unknown_name_has_no_entry() -> None:
    with pytest.raises(AttributeError, match="module 'zoo' has no attribute 'nothing'"):
        contents.reference_page("A", ["zoo.nothing"])
