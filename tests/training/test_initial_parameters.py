"""``init_from``: a run starts from the parameters of another, and needs that one for its first step only."""

from __future__ import annotations

import gc
import json
import shutil
import weakref

import numpy as np
import pytest
from crash_tests.equality import compare_runs

import zoo
from zoo.cli.commands.train import train_arguments
from zoo.cli.format import header
from zoo.errors import CheckpointError, DataError, UsageError
from zoo.storage import Checkpoint, RunDirectory, digest, load, save
from zoo.training import initial_parameters
from zoo.training.initial_parameters import _SETTINGS, InitialParameters

TEXT = "".join(f"{n} times {n} is {n * n}; " for n in range(20))
OTHER = "".join(f"{n} is {n}; " for n in range(60))
SMALL = {"hidden": 8, "batch": 2, "steps": 4, "lr": 0.01, "threads": 1, "eval_every": 2}


def write_tokens(path, text):
    np.save(path, np.array([min(ord(letter) % 16, 15) for letter in text], np.uint8))


def write_text(path, text):
    path.write_text(text)


def write_table(path, text):
    values = np.sin(np.arange(len(text) // 2) / 3.0 + len(text))
    path.write_text("load\n" + "\n".join(f"{value:.4f}" for value in values) + "\n")


def write_sequences(path, text):
    rng = np.random.default_rng(len(text))
    rows = [f"{n},{n % 2},{n % 2 + rng.normal():.3f}" for n in range(24) for _ in range(5)]
    path.write_text("id,label,x\n" + "\n".join(rows) + "\n")


LEVELS = {
    "char": (".txt", write_text, {}),
    "byte": (".txt", write_text, {"level": "byte"}),
    "word": (".txt", write_text, {"level": "word", "split": "100"}),
    "token": (".npy", write_tokens, {"level": "token"}),
}
KINDS = {
    **{name: (*entry[:2], {"seq": 6, **entry[2]}) for name, entry in LEVELS.items()},
    "table": (".csv", write_table, {"target": "load", "context": 12}),
    "sequences": (".csv", write_sequences, {"series": "id", "label": "label"}),
    "task": (None, None, {"task": "adding", "task_options": {"length": 5}}),
}
"""Ending, writer and settings of each kind of data."""


@pytest.fixture(params=KINDS)
def kind(request, tmp_path):
    """Arguments of two runs of one kind of data, on other data of the same symbols."""
    ending, write, settings = KINDS[request.param]
    if ending is None:
        return {**SMALL, **settings}, {**SMALL, **settings, "seed": 1}
    paths = [tmp_path / f"{name}{ending}" for name in ("first", "second")]
    for path, text in zip(paths, (TEXT, OTHER), strict=True):
        write(path, text)
    return tuple({**SMALL, **settings, "data": str(path)} for path in paths)


def parameters(path):
    arrays = load(path).arrays
    return {name: array for name, array in arrays.items() if name.startswith(("params.", "buffers."))}


def stop_at(kind, step):
    """Raise at the first event of a kind and a step."""

    def watch(event):
        if (event["event"], event["step"]) == (kind, step):
            raise RuntimeError

    return watch


def test_start_from_trained_model(kind, tmp_path):
    """The first checkpoint has its bits and a new optimizer, the log its digest. A crash changes no bit."""
    first, second = kind
    source = zoo.train(**first, out=tmp_path / "source")
    _, best = RunDirectory(source.path).load_best(print)

    def go(name, on_event=None):
        return zoo.train(**second, init_from=source, out=tmp_path / name, resume=True, on_event=on_event)

    run = go("whole")
    start = parameters(run.path / "checkpoints" / "step-00000000.safetensors")
    for name, array in start.items():
        np.testing.assert_array_equal(array, best.arrays[name])
    assert run.history[0]["init_from"] == {
        "run": str(source.path),
        "step": best.meta["training"]["step"],
        "sha256": digest(best),
        "renamed": [],
    }
    optimizer = load(run.path / "checkpoints" / "step-00000000.safetensors").arrays["optimizer.m"]
    assert not optimizer.any()
    assert (run.model.theta != source.model.theta).any()

    with pytest.raises(RuntimeError):
        go("part", stop_at("eval", 4))
    shutil.rmtree(source.path)
    go("part")
    compare_runs(run.path, tmp_path / "part")


def test_crash_before_first_step_rereads_the_source(tmp_path, monkeypatch):
    monkeypatch.setattr(RunDirectory, "discard", lambda *_, **__: None)  # as if the process were killed
    source = zoo.train(task="adding", **SMALL, out=tmp_path / "source")

    settings = {**SMALL, "task": "adding", "out": tmp_path / "run", "init_from": source.path, "resume": True}
    with pytest.raises(RuntimeError):
        zoo.train(**settings, on_event=stop_at("compiled", 0))
    zoo.train(**settings)
    start = parameters(tmp_path / "run" / "checkpoints" / "step-00000000.safetensors")
    assert all((array == parameters_of(source)[name]).all() for name, array in start.items())


def parameters_of(run):
    _, best = RunDirectory(run.path).load_best(print)
    return best.arrays


@pytest.mark.parametrize(("then", "now"), [("float32", "float64"), ("float64", "float32")])
def test_other_dtype_rounds(tmp_path, then, now):
    source = zoo.train(task="adding", **SMALL, dtype=then, out=tmp_path / "source")
    source.model.save(tmp_path / "model.safetensors")
    run = zoo.train(
        task="adding", **SMALL, dtype=now, out=tmp_path / "run", init_from=tmp_path / "model.safetensors"
    )
    start = parameters(run.path / "checkpoints" / "step-00000000.safetensors")
    for name, array in start.items():
        np.testing.assert_array_equal(array, parameters_of(source)[name].astype(now))
    assert run.history[0]["init_from"]["step"] is None


CHANGES = {
    "hidden": {"hidden": 9},
    "layers": {"layers": 2},
    "bidirectional": {"bidirectional": True},
    "learned_state": {"learned_state": True},
    "residual": {"residual": True, "layers": 2},
    "embedding": {"embedding": 8},
    "tie": {"embedding": 8, "tie": True},
    "cell": {"cell": "gru"},
    "inputs": {"task": "flip_flop", "task_options": {}},
    "outputs": {"task": "flip_flop", "task_options": {}},
    "categories": {"embedding": 2},
}
"""A change of each setting that must be equal."""


@pytest.mark.parametrize("name", ["cell", *_SETTINGS.values()])
def test_other_model_is_error(tmp_path, name):
    data = {"task": "adding"}
    if name in ("embedding", "tie"):
        (tmp_path / "text.txt").write_text(TEXT)
        data = {"data": str(tmp_path / "text.txt"), "seq": 6}
    if name == "categories":
        rows = [f"{'ab'[n % 2]},{np.sin(n / 3):.3f}" for n in range(200)]
        (tmp_path / "table.csv").write_text("\n".join(["kind,load", *rows]) + "\n")
        data = {"data": str(tmp_path / "table.csv"), "target": "load", "context": 12}
    source = zoo.train(**{**SMALL, **data}, out=tmp_path / "source")
    changed = {**SMALL, **data, **CHANGES[name]}
    with pytest.raises(CheckpointError, match=rf"cannot start from .*source.*[(; ]{name}: .* -> .*give the"):
        zoo.train(**changed, init_from=source, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_other_options_are_error(tmp_path):
    source = zoo.train(task="adding", cell="lstm", **SMALL, out=tmp_path / "source")
    with pytest.raises(CheckpointError, match=r"options of lstm: \{.*'forget_bias': 0.0.* -> .*1.0"):
        zoo.train(
            task="adding",
            cell="lstm",
            cell_options={"forget_bias": 1.0},
            **SMALL,
            init_from=source,
            out=tmp_path / "run",
        )


@pytest.mark.parametrize("then", LEVELS)
@pytest.mark.parametrize("now", LEVELS)
def test_other_level_is_error(tmp_path, then, now):
    paths = {}
    for level, (ending, write, _) in LEVELS.items():
        paths[level] = tmp_path / f"{level}{ending}"
        write(paths[level], TEXT)
    settings = {level: {"seq": 6, **SMALL, **LEVELS[level][2], "data": str(paths[level])} for level in LEVELS}
    source = zoo.train(**settings[then], out=tmp_path / "source")
    if then == now:
        zoo.train(**settings[now], init_from=source, out=tmp_path / "run")
        return
    with pytest.raises(
        UsageError, match=rf"level is '{now}', and the model of `init_from` reads level '{then}'"
    ):
        zoo.train(**settings[now], init_from=source, out=tmp_path / "run")


def test_unknown_symbols_are_error(tmp_path):
    for name, text in (("first", TEXT), ("second", OTHER + "é")):
        (tmp_path / f"{name}.txt").write_text(text, encoding="utf-8")
    source = zoo.train(tmp_path / "first.txt", **SMALL, seq=6, out=tmp_path / "source")
    with pytest.raises(
        DataError, match=r"^second: not among the \d+ symbols of the model of `init_from`: 'é';"
    ):
        zoo.train(tmp_path / "second.txt", **SMALL, seq=6, init_from=source, out=tmp_path / "run")


def test_other_vocabulary_size_is_error(tmp_path):
    write_tokens(tmp_path / "tokens.npy", TEXT)
    settings = {**SMALL, "seq": 6, "level": "token", "data": str(tmp_path / "tokens.npy")}
    source = zoo.train(**settings, out=tmp_path / "source")
    with pytest.raises(UsageError, match=r"vocab_size is 99, and the model of `init_from` has 14 symbols"):
        zoo.train(**settings, vocab_size=99, init_from=source, out=tmp_path / "run")


def test_other_kind_is_error(tmp_path):
    (tmp_path / "text.txt").write_text(TEXT)
    source = zoo.train(tmp_path / "text.txt", **SMALL, seq=6, out=tmp_path / "source")
    with pytest.raises(
        CheckpointError, match="source holds a language model, and this run trains a sequence model"
    ):
        zoo.train(task="adding", **SMALL, init_from=source, out=tmp_path / "run")
    zoo.Recurrent("vanilla", 2, 8).save(tmp_path / "layer.safetensors")
    with pytest.raises(CheckpointError, match=r"holds a .*, and this run trains a sequence model"):
        zoo.train(task="adding", **SMALL, init_from=tmp_path / "layer.safetensors", out=tmp_path / "run")


def test_resumed_run_keeps_its_source(tmp_path):
    source = zoo.train(task="adding", **SMALL, out=tmp_path / "source")
    settings = {**SMALL, "task": "adding", "out": tmp_path / "run"}
    zoo.train(**settings, init_from=source)
    assert zoo.train(**settings, resume=True).config.init_from == str(source.path)
    with pytest.raises(CheckpointError, match=r"init_from: .*source.* -> '.*other'"):
        zoo.train(**settings, resume=True, init_from="other")


def test_path_of_the_source_is_absolute(tmp_path, monkeypatch):
    """A run that stops before its first checkpoint can be resumed from another directory."""
    source = zoo.train(task="adding", **SMALL, out=tmp_path / "source")
    settings = {**SMALL, "task": "adding", "out": tmp_path / "run"}
    monkeypatch.setattr(RunDirectory, "discard", lambda *_, **__: None)  # as if the process were killed
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RuntimeError):
        zoo.train(**settings, init_from="source", on_event=stop_at("compiled", 0))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert zoo.train(**settings, resume=True).config.init_from == str(source.path)
    shutil.rmtree(source.path)
    monkeypatch.chdir(tmp_path)
    assert zoo.train(**settings, resume=True, init_from="source").ended == "finished"


@pytest.mark.parametrize("name", ["run", "run/config.json", "run.toml"])
def test_config_of_a_run_leaves_out_its_source(tmp_path, name):
    """A file in TOML names its source itself, and is read as it is."""
    source = zoo.train(task="adding", **SMALL, out=tmp_path / "source")
    run = zoo.train(task="adding", **SMALL, init_from=source, out=tmp_path / "run")
    (tmp_path / "run.toml").write_text(f'task = "adding"\ninit_from = "{source.path.as_posix()}"\n')
    config = str(tmp_path / name)
    kept = source.path.as_posix() if name == "run.toml" else None
    assert train_arguments({}, [], None, resume=False, config=config)["init_from"] == kept
    given = {"init_from": str(run.path)}
    assert train_arguments(given, [], None, resume=False, config=config)["init_from"] == str(run.path)


def test_arrays_of_the_source_are_freed(tmp_path, monkeypatch):
    source = zoo.train(task="adding", **SMALL, out=tmp_path / "source")
    references, alive = [], []

    class Watched(InitialParameters):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            references.append(weakref.ref(self))

    monkeypatch.setattr(initial_parameters, "InitialParameters", Watched)

    def watch(event):
        if any(reference() is not None for reference in references):
            gc.collect()
        alive.extend(event["event"] for reference in references if reference() is not None)

    zoo.train(task="adding", **SMALL, init_from=source, out=tmp_path / "run", on_event=watch)
    assert references
    assert not alive


def write_rows(path, header, rows):
    path.write_text("\n".join([header, *rows]) + "\n")


def write_columns(path, names, kinds="ab"):
    """A table with a column of text values and two columns of numbers."""
    rows = [f"{kinds[n % len(kinds)]},{np.sin(n / 3):.3f},{np.cos(n / 5):.3f}" for n in range(200)]
    write_rows(path, ",".join(names), rows)


def write_labels(path, names):
    """Labelled sequences of two classes."""
    rng = np.random.default_rng(0)
    rows = [f"{n},{names[n % 2]},{n % 2 + rng.normal():.3f}" for n in range(24) for _ in range(5)]
    write_rows(path, "id,label,x", rows)


TABLE = {"context": 12, "input": ("kind", "load", "wind"), "horizon": 2}
NAMES = {
    "classes": (write_labels, (["cat", "dog"],), {"series": "id", "label": "label"}),
    "columns": (write_columns, (["kind", "load", "wind"],), {"target": "load", **TABLE}),
}
SECOND = {
    "classes": (
        "classes",
        (["dog", "zebra"],),
        {},
        "'dog' is output 2 .* output 1 .*'cat', 'dog' -> 'dog', 'z",
    ),
    "targets": ("columns", (["kind", "load", "wind"],), {"target": "wind"}, "'wind' is input 5 .* input 2"),
    "inputs": (
        "columns",
        (["kind", "load", "wind"],),
        {"input": ("wind", "kind", "load")},
        r"'wind' is input 5 .* input 3 .*'kind=a', 'kind=b', 'wind' -> .*'wind', 'kind=a'",
    ),
    "values": ("columns", (["kind", "load", "wind"], "bx"), {}, "'kind=b' is input 4 .* input 3"),
}
"""Other data with a name at another position, and the error."""


def train_named(tmp_path, name, key, arguments, changes, **others):
    write, _, settings = NAMES[key]
    write(tmp_path / f"{name}.csv", *arguments)
    settings = {**settings, **changes, **others}
    return zoo.train(tmp_path / f"{name}.csv", **SMALL, **settings, out=tmp_path / name)


@pytest.mark.parametrize("name", SECOND)
def test_permuted_names_are_error(tmp_path, name):
    key, arguments, changes, words = SECOND[name]
    source = train_named(tmp_path, "source", key, NAMES[key][1], {})
    with pytest.raises(CheckpointError, match=rf"cannot start from .*source: {words}.*leave out `init_from`"):
        train_named(tmp_path, "run", key, arguments, changes, init_from=source)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("key", "arguments", "changes", "renamed"),
    [
        ("classes", (["fox", "zebra"],), {}, ["outputs"]),
        ("classes", (["cat", "zebra"],), {}, ["outputs"]),
        (
            "columns",
            (["sort", "use", "sun"],),
            {"target": "use", "input": ("sort", "sun")},
            ["inputs", "outputs"],
        ),
        ("columns", (["kind", "load", "wind"], "xy"), {}, ["inputs"]),
    ],
)
def test_other_names_are_matched_by_position(tmp_path, key, arguments, changes, renamed):
    source = train_named(tmp_path, "source", key, NAMES[key][1], {})
    run = train_named(tmp_path, "run", key, arguments, changes, init_from=source)
    start = run.history[0]
    assert start["init_from"]["renamed"] == renamed
    assert header(start)["start"].endswith(f"; other names of {' and '.join(renamed)}, matched by position")


def write_texts(path, names, kinds="ab"):
    """Labelled sequences with a channel of texts."""
    rng = np.random.default_rng(0)
    rows = [
        f"{n},{'xy'[n % 2]},{kinds[step % len(kinds)]},{n % 2 + rng.normal():.3f}"
        for n in range(24)
        for step in range(5)
    ]
    write_rows(path, ",".join(names), rows)


TEXTS = {
    "table": (write_columns, ["kind", "load", "wind"], {"target": "load", **TABLE}),
    "sequences": (write_texts, ["id", "label", "kind", "x"], {"series": "id", "label": "label"}),
}


@pytest.mark.parametrize("embedding", [None, 2])
@pytest.mark.parametrize("key", TEXTS)
def test_text_values_keep_their_positions(tmp_path, key, embedding):
    """Data in which they occur in another order, or some do not occur, have the same inputs as before."""
    write, names, settings = TEXTS[key]
    settings = {**SMALL, **settings, "embedding": embedding}
    for name, kinds in (("first", "abc"), ("second", "cb")):
        write(tmp_path / f"{name}.csv", names, kinds)
    source = zoo.train(tmp_path / "first.csv", **settings, out=tmp_path / "source")
    second = {**settings, "data": tmp_path / "second.csv", "out": tmp_path / "run", "resume": True}
    run = zoo.train(**second, init_from=source)
    for name in ("categories", "channels"):
        before, after = (each.history[0][key]["spec"].get(name) for each in (source, run))
        assert before == after
    assert run.history[0]["init_from"]["renamed"] == []
    shutil.rmtree(source.path)
    assert zoo.train(**{**second, "steps": 6}).ended == "finished"


@pytest.mark.parametrize("factor", [0.125, 8])
def test_units_come_from_the_new_data(tmp_path, factor):
    """A power of two changes the units and no loss."""
    values = np.sin(np.arange(200) / 3) + np.cos(np.arange(200) / 5)
    settings = {**SMALL, "target": "load", "context": 12}
    source = zoo.train({"load": values}, **settings, out=tmp_path / "source")
    losses = []
    for name, scale in (("one", 1), ("other", factor)):
        run = zoo.train({"load": values * scale}, **settings, init_from=source, out=tmp_path / name)
        losses.append([event["loss"] for event in run.history if event["event"] == "eval"])
    assert losses[0] == losses[1]


class Letters(zoo.Task):
    """Predict the next of three letters."""

    loss, metric = "cross_entropy", "nats"
    vocabulary = "abc"
    input_size = output_size = 3

    def draw_examples(self, rng, size, part):
        tokens = rng.integers(0, 3, 9, size)
        return zoo.Batch(tokens, (tokens + 1) % 3, np.ones(tokens.shape))

    def baseline(self):
        return 0.0


class PermutedLetters(Letters):
    """The same letters in another order."""

    vocabulary = "acb"


class OtherLetters(Letters):
    """Other letters, of which one has its old token."""

    vocabulary = "axy"


def test_symbols_of_a_task_are_compared(tmp_path):
    source = zoo.train(task=Letters, **SMALL, out=tmp_path / "source")
    with pytest.raises(
        CheckpointError, match=r"'c' is symbol 3 .* symbol 2 .*'a', 'b', 'c' -> 'a', 'c', 'b'"
    ):
        zoo.train(task=PermutedLetters, **SMALL, init_from=source, out=tmp_path / "run")
    run = zoo.train(task=OtherLetters, **SMALL, init_from=source, out=tmp_path / "run")
    assert run.history[0]["init_from"]["renamed"] == ["symbols"]


def test_description_of_other_sizes_is_error(tmp_path):
    source = train_named(tmp_path, "source", "columns", NAMES["columns"][1], {})
    checkpoint = load(source.path / "checkpoints" / "step-00000004.safetensors")
    meta = json.loads(json.dumps(checkpoint.meta))
    meta["table"]["spec"]["horizon"] = 10**12
    save(tmp_path / "model.safetensors", Checkpoint(checkpoint.arrays, meta))
    with pytest.raises(CheckpointError, match="its description of the data does not fit its model"):
        train_named(
            tmp_path, "run", "columns", NAMES["columns"][1], {}, init_from=tmp_path / "model.safetensors"
        )


def test_trials_start_from_the_trained_model(tmp_path):
    settings = {**SMALL, "task": "adding", "steps": 1000, "lr": None, "eval_every": 500}
    source = zoo.train(task="adding", **SMALL, out=tmp_path / "source")
    del settings["lr"]
    losses = []
    for name, start in (("with", {"init_from": source}), ("without", {})):
        run = zoo.train(**settings, auto=True, patience=1, **start, out=tmp_path / name)
        losses.append([trial["loss"] for trial in run.history[0]["trials"]])
    assert losses[0] != losses[1]


def test_in_memory_corpus(tmp_path):
    source = zoo.train(zoo.data.read_text("builtin:hello"), **SMALL, seq=2, out=tmp_path / "source")
    (tmp_path / "other.txt").write_text("oleh" * 9 + "ohe")
    corpus = zoo.data.read_text(tmp_path / "other.txt")
    run = zoo.train(corpus, **SMALL, seq=2, init_from=source, out=tmp_path / "run")
    assert run.model.vocab == source.model.vocab
    shutil.rmtree(source.path)
    assert (
        zoo.train(**{**SMALL, "steps": 6}, seq=2, data=corpus, out=run.path, resume=True).ended == "finished"
    )
