"""The word list finds names and phrases, and accepts only exceptions with a reason."""

from __future__ import annotations

import re

import check_words
import pytest
from check_words import WordList, read_words


def read_table(name: str) -> dict[str, str]:
    return check_words.tomllib.loads(check_words.WORDS.read_text(encoding="utf-8"))[name]


WORDS = WordList({"told": "aux"}, {r"\bway back\b": "backward pass"}, {r"What \w+": "a noun"})
SOURCE = '''"""What is here."""


class ToldBy:
    """The way back."""

    def run(self, told_all):  # the way
        # the Way back
        self.was_told = told_all
        return untold(told=told_all)
'''


def test_names_docstrings_and_comments_are_searched():
    findings = [(finding.line, finding.word) for finding in WORDS.check("zoo/a.py", SOURCE)]
    assert sorted(findings) == [
        (1, "What is"),
        (4, "Told"),
        (5, "way back"),
        (7, "told"),
        (8, "Way back"),
        (9, "told"),
    ]
    assert [finding.word for finding in WORDS.check("zoo/as_told.py", "")] == ["told"]


def test_code_in_documents_is_not_searched():
    text = "the\n`way back`\n```python\nthe way back\n```\nThe way back.\n"
    assert [finding.line for finding in WORDS.check("docs/a.md", text)] == [6]


SCRIPT = """// The way back.
function read(told) {
  const text = told.split(/"told`/), node = el("p", {class: "told"}, "from the way back of the told run");
  return `${node} and ${text}`; // told
}
/* The
   way back. */
"""


def test_names_comments_and_texts_of_scripts_are_searched():
    findings = [(finding.line, finding.word) for finding in WORDS.check("zoo/a.js", SCRIPT)]
    assert findings == [(1, "way back"), (2, "told"), (3, "told"), (7, "way back")]
    style = [(finding.line, finding.word) for finding in WORDS.check_style("zoo/a.js", SCRIPT)]
    assert style == [(3, "way back")]
    findings = [
        (finding.line, finding.word) for finding in WORDS.check("zoo/a.css", ".a {}\n.told { top: 0; }\n")
    ]
    assert findings == [(2, "told")]
    assert list(STYLE.check_style("zoo/a.js", 'const text = "It goes on and on.";'))
    assert list(STYLE.check_style("zoo/a.js", "/** It goes on. */"))


def test_exceptions_need_a_reason():
    exception = {"files": ["zoo/*"], "words": ["told"]}
    with pytest.raises(ValueError, match="has no reason"):
        WordList({}, {}, {}, [exception])
    words = WordList({"told": "aux"}, {}, {}, [{**exception, "reason": "a paper's name"}])
    assert not list(words.check("zoo/a.py", "told = 1\n"))
    assert len(list(words.check("tests/a.py", "told = 1\n"))) == 1


def test_word_list_of_the_project_is_valid():
    words = read_words()
    assert words.names
    assert all(word == word.lower() and re.fullmatch("[a-z]+", word) for word in words.names)


def test_program_lists_findings_and_fails(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(check_words, "ROOT", tmp_path)
    monkeypatch.setattr(
        check_words.subprocess, "run", lambda *a, **k: type("Done", (), {"stdout": "a.py\0b.md\0"})
    )
    (tmp_path / "a.py").write_text("found = 1\n", encoding="utf-8")
    (tmp_path / "b.md").write_text("It goes on.\n", encoding="utf-8")
    assert check_words.main([]) == 1
    assert capsys.readouterr().out.startswith("a.py:1: found: write ")
    (tmp_path / "a.py").write_text("values = 1\n", encoding="utf-8")
    assert check_words.main([]) == 1
    assert capsys.readouterr().out.startswith("b.md:1: goes on: write ")
    (tmp_path / "b.md").write_text("Nothing to change.\n", encoding="utf-8")
    assert check_words.main([]) == 0
    monkeypatch.setattr(
        check_words.subprocess, "run", lambda *a, **k: type("Done", (), {"stdout": "a.js\0b.html\0"})
    )
    (tmp_path / "a.js").write_text("let n = 1;\n", encoding="utf-8")
    (tmp_path / "b.html").write_text(
        "<p\nclass='goes on'>It\n goes on.</p><style>.told</style>", encoding="utf-8"
    )
    assert check_words.main([]) == 1
    assert capsys.readouterr().out.startswith("b.html:3: goes on: write ")


# Style


STYLE = WordList({}, {}, {}, style=read_table("style"), semicolons={"per_1000_words": 60})


@pytest.mark.parametrize(
    "sentence",
    [
        "What came of it is in a file.",
        "Which steps are read, weights say.",
        "See below. How many there are is a choice.",
        "- What a symbol is, `level` decides.",
        "Each has the shape of what it is the gradient of.",
        "The result is that of the cell.",
        "Errors are told in layers.md.",
        "The option is\nrefused.",
        "They are alike but for the cell.",
        "A cell of yours.",
        "There are so many of them.",
        "It stands beside the input.",
        "Where runs are done is no matter.",
        "So are the others.",
        "Tasks go on, as do the others. As does `zoo`: it goes on.",
        "`model` says what it means.",
        "The network knows the answer.",
        "Nobody recalls.",
        "One; two; three; four.",
    ],
)
def test_style_finds_each_habit(sentence):
    assert list(STYLE.check_style("docs/a.md", f"# Heading\n\n{sentence}\n"))


def test_style_counts_lines_and_ignores_headings_and_comments():
    text = "# It goes on\n\n<!-- it goes on; and on -->\n\n## Then\n\nIt goes on.\n"
    assert [finding.line for finding in STYLE.check_style("docs/a.md", text)] == [7]


@pytest.mark.parametrize(
    "text",
    [
        "`weights` selects the steps that enter the loss.",
        "## What a run is\n\nA run is a directory.",
        "What is it? An example.",
        "You see how many there are.",
        "```text\nWhat is told beside x.\n```",
        "`that of the`, and [a link](what-is-told.md).",
        "Twenty words of text are enough to be allowed two semicolons here; this is the first of them and "
        "there is no other one in it.",
    ],
)
def test_style_accepts_plain_sentences(text):
    assert not list(STYLE.check_style("docs/a.md", text))


def test_style_reads_public_docstrings_and_messages():
    source = '''"""It stands beside x."""


class Cell:
    """It stands beside x."""

    def run(self):
        """It stands beside x."""

    def _run(self):
        """It stands beside x."""


option("--x", help="It stands beside x.")  # It stands beside x.
note = "beside"
'''
    findings = list(STYLE.check_style("zoo/cli/a.py", source))
    assert sorted(finding.line for finding in findings if finding.word == "beside") == [1, 5, 8, 14]
    assert not list(STYLE.check_style("tests/a.py", source))


@pytest.mark.parametrize(
    "line",
    [
        'raise UsageError("It is beside x.")',
        'raise UsageError(f"{name} is beside {x}.")',
        'raise UsageError(f"{name} is "\n    f"right beside {x}.") from None',
        "raise UsageError(f\"{a if b else 'it is beside x'}\")",
        'click.echo("It is beside x.", err=True)',
        'warnings.warn(f"It is beside {x}.", ZooWarning, stacklevel=2)',
        'text = f"It is beside {x}."\nwarnings.warn(text)',
        'card = zoo.Card(title="x", variant="It is beside x.")',
        'TABLE = {"a": Row(f, "it is beside x")}',
        'report("It is " + ("far" if far else "right beside x"))',
    ],
)
def test_strings_of_several_words_are_messages(line):
    (finding,) = STYLE.check_style("zoo/a.py", f"import x\n\n{line}\n")
    assert finding.word == "beside"
    assert finding.line >= 3
    assert not list(STYLE.check_style("tests/a.py", line))


def test_words_of_prose_are_searched_in_messages():
    words = WordList({}, {r"\blearnt\b": "learned"}, {})
    (finding,) = words.check_style("plugins/a.py", 'raise ValueError(f"{x} is learnt in a second")')
    assert (finding.word, finding.instead) == ("learnt", "learned")
    assert not list(words.check_style("plugins/a.py", 'name = "learnt"'))


def test_exceptions_hold_for_messages():
    exception = {"files": ["zoo/a.py"], "words": ["beside"], "reason": "a mark in files"}
    words = WordList({}, {}, {}, [exception], {r"\bbeside\b": "next to"})
    assert not list(words.check_style("zoo/a.py", 'MARK = "it is beside x"'))
    assert list(words.check_style("zoo/b.py", 'MARK = "it is beside x"'))
