"""The page of expected values is up to date, and the program reads the source of references correctly."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import make_expected_values as program
import pytest
from make_expected_values import PublishedCode

import zoo

REMEDY = f"run {program.COMMAND}"
LIBRARY = 'LIBRARY = ("owner/name", "0123456789")'


def source(tmp_path: Path, **files: str) -> program.Source:
    """Write references, and read the one with the name ``cell``."""
    for name, text in files.items():
        path = tmp_path / f"{name}.py"
        path.write_text(textwrap.dedent(text), encoding="utf-8")
    return program.read_source(tmp_path / "cell.py")


def code(path: str, *names: str) -> PublishedCode:
    """Return published code of the repository of these tests."""
    return PublishedCode("owner/name", "0123456789", path, names)


def test_page_is_up_to_date() -> None:
    assert program.main(["--check"]) == 0, REMEDY


def test_check_fails_if_page_is_out_of_date(tmp_path, monkeypatch, capsys) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- made by: hand -->\n<!-- end of what was made -->\n", encoding="utf-8")
    monkeypatch.setattr(program, "PAGE", page)
    monkeypatch.setattr(program, "ROOT", tmp_path)
    monkeypatch.setattr(program, "block", lambda: ["text"])
    assert program.main(["--check"]) == 1
    assert capsys.readouterr().err == f"page.md is out of date: {REMEDY}\n"
    assert program.main([]) == 0
    assert program.main(["--check"]) == 0


def test_every_cell_has_one_row() -> None:
    rows = re.findall(r"^\| \[`(\w+)`\]\(zoo/\w+/\1\.md\) \|", program.PAGE.read_text("utf-8"), re.MULTILINE)
    assert sorted(rows) == sorted(zoo.list_cells())


def test_every_reference_has_a_row() -> None:
    names = {path.stem for path in program.REFERENCES.glob("[!_]*.py")}
    assert names == {cls.name for cls in program.shipped_cells()} - program.OTHER_REFERENCES.keys()


def test_constant_of_the_reference(tmp_path) -> None:
    text = f'''
        {LIBRARY}

        def run(options, p, x, state):
            """Run ``f`` of Kim et al. 2017. It is short."""
            file, names = "a/b.py", ("g", "h")
            tools = {{"torch": torch}}
            first = official(*LIBRARY, "a.py", "f", **tools)
            return official(*LIBRARY, file, *names, torch=torch)[-1](x)
    '''
    result = source(tmp_path, cell=text)
    assert result.published == [code("a.py", "f"), code("a/b.py", "g", "h")]
    assert (result.kind, result.sentence) == (program.PUBLISHED, "Run ``f`` of Kim et al. 2017.")
    assert program.code_of(result) == (
        "[owner/name](https://github.com/owner/name) at "
        "[`01234567`](https://github.com/owner/name/commit/0123456789): "
        "`f` in [a.py](https://github.com/owner/name/blob/0123456789/a.py), "
        "`g`, `h` in [b.py](https://github.com/owner/name/blob/0123456789/a/b.py)"
    )


def test_imported_constant(tmp_path) -> None:
    text = '''
        from references.other import LIBRARY as THEIRS, unit

        def run(options, p, x, state):
            """Run ``f``."""
            return official(*THEIRS, "a.py", "f")(unit(x))
    '''
    other = (
        f"{LIBRARY}\n\n\ndef unit(x):\n    return x\n\n\ndef run():\n    official(*LIBRARY, 'b.py', 'g')\n"
    )
    assert source(tmp_path, cell=text, other=other).published == [code("a.py", "f")]


def test_helper_of_another_reference(tmp_path) -> None:
    text = '''
        from references.other import load

        def run(options, p, x, state):
            """Run ``Big``."""
            names = "f", "g"
            return load("Big", *names, folder="src")(x)
    '''
    other = f"""
        {LIBRARY}

        def load(name, *more, folder):
            tools = official(*LIBRARY, f"{{folder}}/tools.py", *more)
            return official(*LIBRARY, f"{{folder}}/{{name.lower()}}.py", name, **tools)
    """
    result = source(tmp_path, cell=text, other=other)
    assert result.published == [code("src/tools.py", "f", "g"), code("src/big.py", "Big")]


def test_names_that_depend_on_options_and_conditions(tmp_path) -> None:
    text = f'''
        {LIBRARY}
        CASES = {{"cell": {{"kind": "a"}}, "cell_b": {{"kind": "b"}}}}

        def run(options, p, x, state):
            """Run ``f_a`` or ``f_b``."""
            names = ["one", "two"]
            if len(x) > 2:
                names = ["one", "three"]
            more = ("four",) if x else ()
            return official(*LIBRARY, "a.py", *names, *more, f"f_{{options['kind']}}")
    '''
    names = "one", "two", "three", "four"
    assert source(tmp_path, cell=text).published == [code("a.py", *names, "f_a"), code("a.py", *names, "f_b")]


def test_code_that_only_checks_the_values(tmp_path) -> None:
    text = f'''
        {LIBRARY}

        def agree(x):
            assert official(*LIBRARY, "a.py", "f")(x) == x

        def run(options, p, x, state):
            """State the equations."""
            agree(x)
            return x
    '''
    assert source(tmp_path, cell=text).kind == program.COMPARED


@pytest.mark.parametrize(
    ("call", "kind", "listed"),
    [
        ("torch.nn.GRU(3, 4)", program.PACKAGE, "`torch.nn.GRU` of PyTorch"),
        ("torchrecurrent.NewCell(3, 4)", program.PACKAGE, "`NewCell` of torchrecurrent"),
        ("torch.nn.functional.linear(x)", program.OWN, ""),
        ("unit(x)", program.OWN, ""),
    ],
)
def test_reference_without_published_code(call, kind, listed, tmp_path) -> None:
    text = f'''
        from references.other import unit

        def run(options, p, x, state):
            """Compute the equations."""
            return {call}
    '''
    other = f"{LIBRARY}\n\n\ndef unit(x):\n    return x\n"
    result = source(tmp_path, cell=text, other=other)
    assert (result.kind, program.code_of(result)) == (kind, listed)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return official(*LIBRARY, x.name, 'f')", "cell.py:5: the value of x.name in `official` is unknown"),
        ("return 1\ndef lost():\n    official(*LIBRARY, 'a.py', 'f')", "`run` does not reach this call"),
        ("name = 'f'\n    name += x\n    official(*LIBRARY, 'a.py', name)", "the value of name in"),
        ("for name in x:\n        official(*LIBRARY, 'a.py', name)", "the value of name in"),
        ("official(*MISSING, 'a.py', 'f')", "the value of MISSING in"),
    ],
)
def test_source_that_is_unclear_is_an_error(body, message, tmp_path) -> None:
    text = f'{LIBRARY}\n\ndef run(options, p, x, state):\n    """Run ``f``."""\n    {body}\n'
    with pytest.raises(ValueError, match=re.escape(message)):
        source(tmp_path, cell=text)


def test_run_needs_a_docstring(tmp_path) -> None:
    with pytest.raises(ValueError, match=r"cell\.py: expected a function `run` with a docstring"):
        source(tmp_path, cell="def run():\n    pass\n")


@pytest.mark.parametrize(
    ("docstring", "sentence"),
    [
        ("One.\n\nTwo.", "One."),
        ("See ``f`` of a/b.py, by M. Name.\nMore.", "See ``f`` of a/b.py, by M. Name."),
        ("As in Kim et al. 2017. ``f`` is new.", "As in Kim et al. 2017."),
        ("Two\nlines, no stop", "Two lines, no stop"),
    ],
)
def test_first_sentence(docstring, sentence) -> None:
    assert program.first_sentence(docstring) == sentence
