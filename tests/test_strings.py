"""Vocabularies of strings: prompts of models, and runs of a corpus that no file holds."""

from __future__ import annotations

import numpy as np
import pytest
from click.testing import CliRunner

import zoo
from zoo.cli.app import cli
from zoo.data import BpttBatches, Corpus, Vocabulary
from zoo.errors import DataError, UsageError
from zoo.kernels import pure_python
from zoo.training import evaluate

WORDS = ("the ", "cat ", "sat ", "on ", "a ", "mat ")
SMALL = {"hidden": 3, "seq": 4, "batch": 2, "threads": 1, "eval_every": 2, "save_every": 2, "split": "80,20"}


@pytest.fixture(autouse=True)
def plain_python():
    """Run kernels as plain Python."""
    with pure_python():
        yield


def corpus(seed=0):
    tokens = np.random.default_rng(seed).integers(len(WORDS), size=60).astype(np.int32)
    return Corpus("words", "char", WORDS, tokens, f"{seed:064d}", 240)


def model(vocab=("the ", "cat ")):
    return zoo.LanguageModel(list(vocab), hidden_size=3, threads=1)


@pytest.mark.parametrize(
    "prompt", ["the cat ", ["the ", "cat "], [0, 1], np.array([0, 1], np.uint8), (np.int64(0), 1)], ids=repr
)
def test_prompt_is_a_text_or_symbols_or_tokens(prompt):
    assert model().sample(prompt, length=3) == model().sample("the cat ", length=3)
    assert model().sample(prompt, length=3).startswith("the cat ")


@pytest.mark.parametrize("prompt", ["", [], (), np.array([], int)], ids=repr)
def test_empty_prompt_lets_the_seed_draw(prompt):
    assert zoo.LanguageModel("ab", hidden_size=3).sample(prompt, length=4) == zoo.LanguageModel(
        "ab", hidden_size=3
    ).sample(length=4)


@pytest.mark.parametrize(
    ("prompt", "error", "sentence"),
    [
        (b"the ", DataError, "holds strings, found bytes; decode them first"),
        ("the dog ", DataError, "not among the 2 symbols of the vocabulary: 'd', 'o', 'g', ' '"),
        (["the ", "dog "], DataError, "not among the 2 symbols of the vocabulary: 'dog '"),
        ([0, 2], UsageError, "prompt: tokens hold 2; expected tokens from 0 to 1"),
        ([-1], UsageError, "tokens hold -1"),
        ([0.5], UsageError, "text holds 0.5; expected strings, or byte values"),
        (None, UsageError, "prompt is None; expected a string, bytes, symbols, or tokens"),
    ],
    ids=str,
)
def test_invalid_prompts(prompt, error, sentence):
    with pytest.raises(error, match=sentence):
        model().sample(prompt, length=1)


def test_unknown_strings_can_be_skipped():
    assert model().sample("the dog cat ", 0, on_unknown="skip") == "the cat "
    assert model().sample(["the ", "dog ", "cat "], 0, on_unknown="skip") == "the cat "


@pytest.mark.parametrize(
    ("symbols", "text", "parts"),
    [
        (["a", "b", "<end>"], "ab<end>a", ["a", "b", "<end>", "a"]),
        (["ab", "a", "b"], "aabb", ["a", "ab", "b"]),
        (["abc", "ab", "c"], "ababc", ["ab", "abc"]),
        (["é ", "é"], "éé é", ["é", "é ", "é"]),
        (["aa", "b"], "", []),
    ],
)
def test_string_is_cut_into_the_longest_symbols(symbols, text, parts):
    vocabulary = Vocabulary(symbols)
    tokens = vocabulary.encode(text)
    assert [vocabulary[token] for token in tokens] == parts
    assert vocabulary.decode(tokens) == text


def test_corpus_run_resumes_bit_exactly(tmp_path):
    whole = zoo.train(corpus(), out=tmp_path / "whole", steps=6, **SMALL)
    zoo.train(corpus(), out=tmp_path / "parts", steps=4, **SMALL)
    parts = zoo.train(corpus(), out=tmp_path / "parts", steps=6, resume=True, **SMALL)
    np.testing.assert_array_equal(parts.model.theta, whole.model.theta)
    assert parts.best_loss == whole.best_loss
    assert parts.model.vocab == Vocabulary(WORDS)


def test_corpus_run_is_evaluated_on_corpus(tmp_path):
    run = zoo.train(corpus(), out=tmp_path / "run", steps=2, **SMALL)
    model = zoo.Run(tmp_path / "run").model
    valid = corpus().tokens_in(model.vocab)[48:]
    assert evaluate(model, BpttBatches(valid, 2, 4)).nats == run.best_loss


def test_other_corpus_raises(tmp_path):
    zoo.train(corpus(), out=tmp_path / "run", steps=2, **SMALL)
    with pytest.raises(zoo.CheckpointError, match="the text has changed since"):
        zoo.train(corpus(1), out=tmp_path / "run", steps=4, resume=True, **SMALL)


@pytest.mark.parametrize("arguments", [["eval", "run"], ["train", "--resume", "--out", "run"]], ids=str)
def test_commands_read_the_stored_corpus(arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "words").write_text("a file of the name of the corpus is another text")
    zoo.train(corpus(), out="run", steps=2, **SMALL)
    assert CliRunner().invoke(cli, arguments).exit_code == 0
    (tmp_path / "run" / "corpus.safetensors").unlink()  # a run of an older version has none
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 1
    assert "was passed to zoo.train as a zoo.data.Corpus, and the run holds no copy" in result.output
