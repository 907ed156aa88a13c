"""``--set``, and how flags, stored settings and samplers are combined."""

from __future__ import annotations

import pytest

import zoo
from zoo.base.set_options import Target, assign, component_target
from zoo.cli.commands.compare import parse_options
from zoo.cli.commands.sample import SHORTHANDS, make_chain
from zoo.cli.commands.train import default_loss, train_arguments
from zoo.cli.component_lookup import find_component
from zoo.errors import UnknownNameError, UsageError
from zoo.training import Config

CELL = Target("cell", "cell 'c'", {"alpha": float, "n": int})
OPTIMIZER = Target("optimizer", "optimizer 'o'", {"beta": float, "n": int})
TARGETS = (CELL, OPTIMIZER)


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ([], {"cell": {}, "optimizer": {}}),
        (["alpha=0.5"], {"cell": {"alpha": 0.5}, "optimizer": {}}),
        (["beta=1e-3", "alpha=2"], {"cell": {"alpha": 2.0}, "optimizer": {"beta": 0.001}}),
        (["cell.n=3", "optimizer.n=4"], {"cell": {"n": 3}, "optimizer": {"n": 4}}),
        ([" alpha = 1 "], {"cell": {"alpha": 1.0}, "optimizer": {}}),
    ],
)
def test_assignments(texts, expected):
    assert assign(texts, TARGETS) == expected


@pytest.mark.parametrize("texts", [["alpha=1", "alpha=2"], ["cell.alpha=1", "alpha=1"]])
def test_repeated_set_of_option_raises(texts):
    with pytest.raises(UsageError, match=r"--set alpha=\d: alpha of cell 'c' is set twice; set it once\."):
        assign(texts, TARGETS)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("alpha", "--set 'alpha' is not an assignment; write NAME=VALUE."),
        ("=3", "is not an assignment"),
        ("n=3", "could mean cell 'c' or optimizer 'o'; write cell.n or optimizer.n."),
        ("alfa=3", "cell 'c' has alpha, n; optimizer 'o' has beta, n. Did you mean 'alpha'?"),
        ("optimizer.alpha=3", "unknown option 'alpha': optimizer 'o' has beta, n."),
        ("cel.alpha=3", "unknown prefix 'cel'; expected cell or optimizer. Did you mean 'cell'?"),
    ],
)
def test_invalid_assignments_are_errors(text, words):
    with pytest.raises(UsageError) as refused:
        assign([text], TARGETS)
    assert words in str(refused.value)


def test_values_are_parsed_by_the_option():
    target = component_target("optimizer", type(zoo.get_optimizer("adam")))
    assert assign(["amsgrad=yes", "eps=1e-6"], [target])["optimizer"] == {"amsgrad": True, "eps": 1e-6}


def test_prefix_is_a_kind_or_a_name():
    adam, copying = type(zoo.get_optimizer("adam")), type(zoo.get_task("copying"))
    targets = [component_target("task", copying), component_target("optimizer", adam)]
    expected = {"task": {"delay": 7}, "optimizer": {}}
    assert assign(["task.delay=7"], targets) == assign(["copying.delay=7"], targets) == expected
    with pytest.raises(UsageError, match=r"unknown prefix 'copyin'.* Did you mean 'copying'"):
        assign(["copyin.delay=7"], targets)
    with pytest.raises(UsageError, match="delay of task 'copying' is set twice"):
        assign(["copying.delay=7", "delay=8"], targets)


def test_prefixes_come_before_names():
    lstm = type(zoo.get_cell("lstm"))
    targets = [component_target("lstm", lstm), component_target("(lstm,gru).l0", lstm)]
    assert assign(["lstm.forget_bias=0"], targets)["lstm"] == {"forget_bias": 0.0}


@pytest.mark.parametrize(
    ("settings", "loss", "assignment"),
    [
        ({"target": "load"}, "interval", "low=0.2"),
        ({"label": "kind"}, "cross_entropy", "label_smoothing=0.1"),
    ],
)
def test_options_of_the_default_loss(settings, loss, assignment):
    assert default_loss(settings) == loss
    name, text = assignment.split("=")
    data = {**settings, "data": "x.csv"}
    assert parse_options(["vanilla"], [], data, [assignment])[1] == {"loss_options": {name: float(text)}}


# ---- train --------------------------------------------------------------------------------------------


def test_only_given_flags_are_passed_on():
    arguments = train_arguments({"hidden": 7}, [], None, resume=False)
    assert arguments.pop("cell").name == "vanilla"
    assert arguments == {"hidden": 7, "optimizer_options": {}, "schedule_options": {}, "trackers": []}


def test_settings_become_train_arguments():
    given = {"schedule": "cosine"}
    arguments = train_arguments(given, ["beta1=0.8", "warmup=10", "floor=0.1"], None, resume=False)
    assert arguments["optimizer_options"] == {"beta1": 0.8}
    assert arguments["schedule_options"] == {"warmup": 10, "floor": 0.1}


@pytest.fixture
def stored(monkeypatch):
    config = Config(
        data=("a.txt",), hidden=9, steps=50, optimizer="sgd", optimizer_options={"lr": 0.5}, split="90,10"
    )
    monkeypatch.setattr("zoo.training.resume.resume_config", lambda out: config if out == "there" else None)
    return config


def test_resumed_run_keeps_its_settings(stored):
    arguments = train_arguments({"keep": 9}, [], "there", resume=True)
    assert (arguments["data"], arguments["hidden"], arguments["keep"]) == (("a.txt",), 9, 9)
    assert (arguments["optimizer"], arguments["optimizer_options"]) == ("sgd", {"lr": 0.5})


def test_resume_without_a_run_uses_flags(stored):
    assert "hidden" not in train_arguments({}, [], "elsewhere", resume=True)


def test_stored_settings_are_ignored_without_resume(stored):
    assert "hidden" not in train_arguments({}, [], "there", resume=False)


def test_options_of_a_replaced_optimizer_are_dropped(stored):
    arguments = train_arguments({"optimizer": "adam"}, [], "there", resume=True)
    assert (arguments["optimizer"], arguments["optimizer_options"]) == ("adam", {})


def test_optimizer_in_a_file(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("from zoo_optimizers.sgd import SGD\n\n\nclass Mine(SGD):\n    'A copy of it.'\n")
    arguments = train_arguments({"optimizer": f"{file}:Mine"}, ["momentum=0.5"], None, resume=False)
    assert arguments["optimizer"].name == "mine"
    assert arguments["optimizer_options"] == {"momentum": 0.5}


def test_optimizer_of_a_stored_run_is_never_a_file(monkeypatch, tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("raise SystemExit('imported')\n")
    config = Config(optimizer=f"{file}:Mine")
    monkeypatch.setattr("zoo.training.resume.resume_config", lambda out: config)
    with pytest.raises(UnknownNameError, match=r"name its file again, --optimizer FILE\.py:Class"):
        train_arguments({}, [], "there", resume=True)
    with pytest.raises(UnknownNameError, match="unknown optimizer"):
        zoo.train("builtin:hello", optimizer=config.optimizer)


def test_epochs_replace_stored_steps(stored):
    arguments = train_arguments({"epochs": 2.0}, [], "there", resume=True)
    assert (arguments["steps"], arguments["epochs"]) == (None, 2.0)


@pytest.mark.parametrize(
    ("stored", "given"),
    [("mine", {}), ("prenorm(mine.py:Mine)", {}), ("prenorm(mine.py:Mine)", {"block": "glu"})],
)
def test_unregistered_stored_cell_is_an_error(monkeypatch, stored, given):
    monkeypatch.setattr("zoo.training.resume.resume_config", lambda out: Config(cell=stored))
    with pytest.raises(UnknownNameError, match=r"name it again, --cell FILE\.py:Class"):
        train_arguments(given, [], "there", resume=True)


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({"cell": "2*gru,lstm+zoneout"}, ["gru", "gru", "lstm+zoneout"]),
        ({"cell": "2*(gru,lstm)", "block": "prenorm"}, ["prenorm(gru)", "prenorm(lstm)"] * 2),
    ],
)
def test_notation_of_a_stack(given, names):
    assert [cell.name for cell in train_arguments(given, [], None, resume=False)["cell"]] == names


@pytest.mark.parametrize(
    ("block", "names", "eps"),
    [("prenorm", ["prenorm(lstm+zoneout)", "prenorm(gru)"], 0.1), ("bare", ["lstm+zoneout", "gru"], None)],
)
def test_block_replaces_the_stored_one(monkeypatch, block, names, eps):
    options = ({"prenorm_eps": 0.1}, {})
    config = Config(cell=("prenorm(lstm+zoneout)", "prenorm(gru)"), cell_options=options, layers=2)
    monkeypatch.setattr("zoo.training.resume.resume_config", lambda out: config)
    cells = train_arguments({"block": block}, [], "there", resume=True)["cell"]
    assert [cell.name for cell in cells] == names
    assert cells[0].options.get("prenorm_eps") == eps


# ---- samplers -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "flags", "assignments", "expected"),
    [
        ([], {}, [], "softmax"),
        (["greedy"], {}, [], "greedy"),
        ([], {"top_k": 5, "temperature": 0.5}, [], "temperature=0.5, top_k=5"),
        (
            [],
            {"typical": 0.6, "min_p": 0.1, "top_p": 0.9, "top_k": 5, "temperature": 2.0},
            [],
            "temperature=2.0, top_k=5, top_p=0.9, min_p=0.1, typical=0.6",
        ),
        (["top_p", "temperature"], {}, ["p=0.5"], "top_p=0.5, temperature=1.0"),
        (["top_p"], {"temperature": 0.5}, [], "top_p=0.95, temperature=0.5"),
        (["top_p", "greedy"], {"top_p": 0.25}, [], "top_p=0.25, greedy"),
        (["top_p", "min_p"], {}, ["min_p.p=0.2"], "top_p=0.95, min_p=0.2"),
    ],
)
def test_make_chain(names, flags, assignments, expected):
    given = {row.flag: flags.get(row.flag) for row in SHORTHANDS}
    assert make_chain(names, given, assignments).describe() == expected


@pytest.mark.parametrize("row", SHORTHANDS, ids=lambda row: row.flag)
def test_shorthands_match_sampler_options(row):
    assert zoo.get_sampler(row.sampler).declared_options[row.option].type is row.type


# ---- members ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["vanilla", "cell:vanilla", "adam", "optimizer:adam", "sampler:greedy"])
def test_find_component(text):
    assert find_component(text).name == text.rpartition(":")[2]


def test_ambiguous_name_is_an_error(monkeypatch):
    lists = {"cell": ["twice"], "sampler": ["twice"]}

    class Fake:
        def __init__(self, contract):
            self.kind = contract.kind

        def __contains__(self, name):
            return name in lists.get(self.kind, [])

    monkeypatch.setattr("zoo.cli.component_lookup.registry_of", Fake)
    with pytest.raises(
        UsageError, match="'twice' is a cell and a sampler; write cell:twice or sampler:twice"
    ):
        find_component("twice")
