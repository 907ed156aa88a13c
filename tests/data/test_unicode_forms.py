"""Texts with composed and decomposed forms of a character."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import zoo
from zoo.cli.format import header
from zoo.data import Corpus
from zoo.data.unicode_forms import unicode_note
from zoo.errors import ZooWarning
from zoo.kernels import pure_python

LETTERS = st.text(st.sampled_from("aeo éêếñ한x\u0301\u0302"), min_size=2, max_size=12)


def corpus(symbols, level="char"):
    """A corpus of characters, or of a list of words."""
    vocabulary, tokens = np.unique(list(symbols), return_inverse=True)
    return Corpus("memory", level, tuple(vocabulary.tolist()), tokens.astype(np.int32), "a" * 64, 9)


@given(LETTERS)
def test_only_a_mix_of_forms_has_a_note(text):
    composed, decomposed = unicodedata.normalize("NFC", text), unicodedata.normalize("NFD", text)
    for each in (composed, decomposed):
        assert unicode_note(corpus(each + " xy")) == ""
    note = unicode_note(corpus(composed + " " + decomposed + " xy"))
    assert (not note) == (composed == decomposed)
    if note:
        assert "in two forms, which look the same and are different symbols; write the text in one" in note
        assert "unicodedata.normalize('NFC', text)" in note


@given(
    st.lists(
        st.sampled_from(
            [
                "a",
                "x",
                "\u1ebf",
                "\u00ea\u0301",
                "e\u0302\u0301",
                "\u00ea",
                "e\u0302",
                "e",
                "\u212b",
                "\u00c5",
                "A\u030a",
                "\ud55c",
                "\u1112\u1161\u11ab",
            ]
        ),
        min_size=2,
    )
)
def test_the_note_names_a_character_of_two_forms(characters):
    """Also if marks are stacked, and if both forms are composed."""
    forms = dict[str, set[str]]()
    for character in characters:
        forms.setdefault(unicodedata.normalize("NFC", character), set()).add(character)
    mixed = {name for name, each in forms.items() if len(each) > 1}
    note = unicode_note(corpus(" " + " ".join(characters)))
    assert (not note) == (not mixed)
    assert not note or any(note.startswith(f"the text has {name!r} in two forms, ") for name in mixed)


@given(LETTERS)
def test_a_mark_after_another_letter_is_no_mix(text):
    """A mark that no composed character has may follow a letter."""
    apart = unicodedata.normalize("NFC", text) + " x\u0301 e"
    assert unicode_note(corpus(apart)) == ""


@pytest.mark.parametrize("words", [["caf\u00e9", "cafe\u0301"], ["a", "n\u0303o", "\u00f1o"]])
def test_words_with_two_forms_have_a_note(words, tmp_path):
    name = unicodedata.normalize("NFC", words[-1])
    (tmp_path / "text.txt").write_text(" ".join(words * 3), encoding="utf-8")
    note = unicode_note(zoo.data.read_text([str(tmp_path / "text.txt")], level="word"))
    assert note.startswith(f"the text has {name!r} in two forms, ")
    (tmp_path / "text.txt").write_text(" ".join([*words[:-1], "b"] * 3), encoding="utf-8")
    assert unicode_note(zoo.data.read_text([str(tmp_path / "text.txt")], level="word")) == ""


def test_training_prints_one_note_and_changes_no_text(tmp_path):
    text = "caf\u00e9 cafe\u0301 " * 300
    (tmp_path / "mixed.txt").write_text(text, encoding="utf-8")
    given = {"cell": "vanilla", "hidden": 2, "steps": 1, "batch": 2, "seq": 4, "threads": 1}
    events = []
    with pure_python():
        run = zoo.train(str(tmp_path / "mixed.txt"), out=tmp_path / "run", on_event=events.append, **given)
        with pytest.warns(ZooWarning, match="^mixed: the text has 'é' in two forms, ") as caught:
            zoo.train(str(tmp_path / "mixed.txt"), out=tmp_path / "again", **given)
    assert len(caught) == 1
    assert header(events[0])["note"].startswith("the text has 'é' in two forms, ")
    assert set(zoo.load(run.path).vocab.symbols) == set(text)
