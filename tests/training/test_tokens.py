"""Texts of words, token numbers and tokenizers, and texts in memory, from training to the report."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner, Result
from text_loss import mean_loss

import zoo
from zoo.cli.app import cli
from zoo.data import Corpus, parse_split, split
from zoo.errors import CheckpointError, DataError, UsageError
from zoo.training.run_text import text_of_run


def run_zoo(*args: str) -> Result:
    return CliRunner(env={"ZOO_PLUGINS": ""}).invoke(cli, args, prog_name="zoo", catch_exceptions=False)


SMALL = {"hidden": 8, "batch": 4, "seq": 8, "threads": 1, "eval_every": 5}
WORDS = "the cat sat on the mat. the dog sat on the cat.\n" * 160


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """Arguments of ``zoo.train`` of each kind of text, and a prompt."""
    path = tmp_path_factory.mktemp("texts")
    (path / "words.txt").write_text(WORDS, newline="")
    tokens = np.random.default_rng(0).integers(0, 12, 3000)
    np.save(path / "tokens.npy", tokens)
    symbols = ("the ", "cat ", "sat ", "on ", "mat. ")
    corpus = Corpus("memory", "char", symbols, (tokens % 5).astype(np.int32), "a" * 64, 9000)
    cases = {
        "word": ({"data": path / "words.txt", "level": "word", "min_count": 2}, "the cat"),
        "token": ({"data": path / "tokens.npy", "level": "token", "vocab_size": 15}, "7 11"),
        "memory": ({"data": corpus}, "the cat "),
    }
    try:
        (path / "t.json").write_text(zoo.data.train_bpe([WORDS], 280).text)
    except DataError:
        return cases
    return {**cases, "tokenizer": ({"data": path / "words.txt", "tokenizer": path / "t.json"}, "the cat")}


@pytest.mark.parametrize("kind", ["word", "token", "memory", "tokenizer"])
def test_a_text_of_tokens_works_everywhere(sources, kind, tmp_path):
    if kind not in sources:
        pytest.skip("needs the package tokenizers")
    arguments, prompt = sources[kind]
    whole = zoo.train(**arguments, **SMALL, steps=20, out=tmp_path / "whole")
    zoo.train(**arguments, **SMALL, steps=10, out=tmp_path / "run")
    run = str(tmp_path / "run")
    result = run_zoo("train", "--resume", "--out", run, "--steps", "20", "--quiet")
    assert result.exit_code == 0, result.output
    resumed = zoo.Run(tmp_path / "run")
    assert resumed.model.theta.tobytes() == whole.model.theta.tobytes()

    model = zoo.load(run)
    text = model.sample(prompt, length=5, seed=1)
    assert text.startswith(prompt)
    result = run_zoo("sample", run, "--prompt", prompt, "--length", "5", "--seed", "1")
    assert result.exit_code == 0, result.output
    assert result.stdout.rstrip("\n") == text.rstrip("\n")

    result = run_zoo("eval", run, "--json")
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)
    assert facts["loss"] == pytest.approx(np.log(2) * facts["bits"])
    assert ("bits_per_byte" in facts) == (kind != "token")
    result = run_zoo("eval", run, "--part", "valid", "--json")
    assert result.exit_code == 0, result.output
    logged = [event for event in resumed.history if event["event"] == "eval" and event["best"]][-1]
    corpus = text_of_run(run, resumed.config, model.vocab, None)
    shares = parse_split(resumed.config.split)
    tokens, sizes = split(corpus.tokens, shares).valid, corpus.byte_sizes()
    count = (len(tokens) - 1) // 32 * 32 + 1
    for event, end in ((json.loads(result.stdout), len(tokens)), (logged, count)):
        assert event["loss"] == pytest.approx(mean_loss(model, tokens[:end], batch=4, seq=8), rel=1e-6)
        if kind != "token":
            token_bytes = split(sizes, shares).valid[1:end].mean()
            assert event["bits_per_byte"] == pytest.approx(event["bits"] / token_bytes, rel=1e-6)

    result = run_zoo("report", run, "--out", str(tmp_path / "report.html"))
    assert result.exit_code == 0, result.output
    result = run_zoo("export", run, "--out", str(tmp_path / "model.c"))
    assert result.exit_code == 0, result.output


def test_bits_per_byte_is_exact(tmp_path):
    (tmp_path / "words.txt").write_text(WORDS)
    run = zoo.train(tmp_path / "words.txt", level="word", **SMALL, steps=5, split="100", out=tmp_path / "run")
    event = next(event for event in run.history if event["event"] == "eval")
    words = zoo.data.split_words(WORDS)
    predicted = (len(words) - 1) // 32 * 32
    size = sum(map(len, words[1 : predicted + 1]))
    assert event["bits_per_byte"] == pytest.approx(event["loss"] / np.log(2) * predicted / size)


def test_levels_of_the_command_line(tmp_path):
    (tmp_path / "words.txt").write_text(WORDS)
    data = str(tmp_path / "words.txt")
    flags = ["--hidden", "8", "--steps", "2", "--batch", "4", "--seq", "8", "--threads", "1"]
    result = run_zoo(
        "train", "--data", data, "--level", "word", "--max-vocab", "4", *flags, "--out", data[:-4]
    )
    assert "words (" in result.stderr
    assert "unknown), 4 different" in result.stderr
    assert "bits/byte" in result.stdout


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"level": "lines"}, "level is 'lines'; expected one of char, byte, word, token"),
        ({"min_count": 2}, "min_count is given and `level` is 'char'; it applies to level 'word'"),
        (
            {"level": "word", "vocab_size": 9},
            "vocab_size is given and `level` is 'word'; it applies to level 'token'",
        ),
        ({"level": "word", "max_vocab": 1}, "max_vocab is 1; expected an integer of at least 2"),
        ({"level": "token", "token_dtype": "f4"}, "token_dtype is 'f4'; expected one of uint8"),
        ({"level": "word", "tokenizer": "t.json"}, "level is 'word' and a `tokenizer` is given"),
    ],
)
def test_invalid_settings(settings, words):
    with pytest.raises(UsageError, match=words):
        zoo.train("builtin:hello", **settings)


def test_damaged_text_of_a_run(sources, tmp_path):
    arguments, _ = sources["memory"]
    zoo.train(**arguments, **SMALL, steps=2, out=tmp_path / "run")
    path = tmp_path / "run" / "corpus.safetensors"
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(CheckpointError, match=r"corpus\.safetensors"):
        zoo.train("corpus:memory", **SMALL, steps=4, resume=True, out=tmp_path / "run")
    path.unlink()
    with pytest.raises(DataError, match="the run holds no copy"):
        zoo.train("corpus:memory", **SMALL, steps=4, resume=True, out=tmp_path / "run")


def test_tokenize(tmp_path):
    pytest.importorskip("tokenizers")
    out = str(tmp_path / "t.json")
    result = run_zoo("tokenize", "builtin:pydoc", "--vocab-size", "300", "--out", out)
    assert result.exit_code == 0, result.output
    assert "300 tokens; pydoc has" in result.stdout
    assert len(zoo.data.load_tokenizer(out)) == 300
    result = run_zoo("tokenize", "builtin:pydoc", "--out", out)
    assert result.exit_code != 0
    assert "exists; give another --out, or --force" in result.stderr
