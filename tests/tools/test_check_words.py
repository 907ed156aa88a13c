"""The word list finds names and phrases, and accepts only exceptions with a reason."""

from __future__ import annotations

import re

import check_words
import pytest
from check_words import WordList, read_words

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
    (tmp_path / "b.md").write_text("Nothing to change.\n", encoding="utf-8")
    assert check_words.main([]) == 1
    assert capsys.readouterr().out.startswith("a.py:1: found: write ")
    (tmp_path / "a.py").write_text("values = 1\n", encoding="utf-8")
    assert check_words.main([]) == 0
