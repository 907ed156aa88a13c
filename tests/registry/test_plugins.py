"""The loader, on throw-away distributions: each way in which a plugin can fail, and that it fails alone."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from functools import partial

import pytest
from click.testing import CliRunner
from throwaway_plugins import MEMBERS, hook, install, load, record_of

import zoo
from zoo.base.loss import loss_table
from zoo.cli.app import cli
from zoo.registry import entry_points, hookspecs, load_class_file, loader
from zoo.registry.entry_points import EntryPoint
from zoo.registry.loader import Loader, error_text
from zoo.registry.registry import Source

ALL_HOOKS = f"the hooks are {', '.join(loader.HOOKS)}"


def test_every_hook_of_a_plugin_is_called(site):
    install(site, "zoo-t", hook("cell", "c1", "c2") + hook("optimizer", "o1") + hook("sampler", "s1"))
    loader = load()
    assert loader.plugins() == (
        entry_points.PluginRecord(
            name="zoo_t",
            distribution="zoo-t",
            version="1.0",
            module="zoo_t",
            status="loaded",
            provides=("cell c1", "cell c2", "optimizer o1", "sampler s1"),
        ),
    )
    assert loader.registry(zoo.Cell).list() == ["c1", "c2"]
    assert loader.registry(zoo.Optimizer).list() == ["o1"]
    assert loader.registry(zoo.Sampler).list() == ["s1"]
    assert str(loader.registry(zoo.Cell).source("c1")) == "zoo-t 1.0 (entry point 'zoo_t')"


def test_hook_zoo_register_blocks(site):
    install(site, "zoo-t", hook("block", "b1"))
    assert load().plugins()[0].provides == ("block b1",)


def test_hook_zoo_register_cells(site):
    install(site, "zoo-t", hook("cell", "c1"))
    assert load().plugins()[0].provides == ("cell c1",)


def test_hook_zoo_register_losses(site):
    install(site, "zoo-t", hook("loss", "l1"))
    loader = load()
    assert loader.plugins()[0].provides == ("loss l1",)
    assert loss_table()["l1"].name == "l1"
    assert str(loader.registry(zoo.Loss).source("l1")) == "zoo-t 1.0 (entry point 'zoo_t')"
    loader.registry(zoo.Loss).clear()
    assert "l1" not in loss_table()


def test_losses_of_a_failing_plugin_are_forgotten(site):
    install(site, "zoo-t1", hook("loss", "l1") + hook("task", "bad name"))
    install(site, "zoo-t2", hook("loss", "l2"))
    loader = load()
    assert [record.status for record in loader.plugins()] == ["failed", "loaded"]
    assert "l1" not in loss_table()
    assert "l2" in loss_table()
    loader.registry(zoo.Loss).clear()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (hook("loss", "huber"), "loss name 'huber' is taken: recurrent-zoo .* registered it, and zoo-t 1.0 "),
        (
            hook("loss") + "    register(make_task('t1'))",
            "register a loss: found <class .*>; expected a zoo.Loss",
        ),
    ],
)
def test_invalid_losses_of_plugins_raise(site, body, words):
    install(site, "zoo-t", body)
    (record,) = load().plugins()
    assert re.search(words, record.error)


def test_hook_zoo_register_optimizers(site):
    install(site, "zoo-t", hook("optimizer", "o1"))
    assert load().plugins()[0].provides == ("optimizer o1",)


def test_hook_zoo_register_modifiers(site):
    install(site, "zoo-t", hook("modifier", "m1"))
    assert load().plugins()[0].provides == ("modifier m1",)


def test_hook_zoo_register_constraints(site):
    install(site, "zoo-t", hook("constraint", "c1"))
    assert load().plugins()[0].provides == ("constraint c1",)


def test_hook_zoo_register_penalties(site):
    install(site, "zoo-t", hook("penalty", "p1"))
    assert load().plugins()[0].provides == ("penalty p1",)


def test_hook_zoo_register_samplers(site):
    install(site, "zoo-t", hook("sampler", "s1"))
    assert load().plugins()[0].provides == ("sampler s1",)


def test_hook_zoo_register_tasks(site):
    install(site, "zoo-t", hook("task", "t1"))
    assert load().plugins()[0].provides == ("task t1",)


def test_hook_zoo_register_trackers(site):
    install(site, "zoo-t", hook("tracker", "t1"))
    assert load().plugins()[0].provides == ("tracker t1",)


def test_every_hook_has_a_specification_and_a_test():
    specified = {name for name in vars(hookspecs) if name.startswith("zoo_register_")}
    assert specified == set(loader.HOOKS)
    assert {f"test_hook_{name}" for name in specified} <= set(globals())
    for name in specified:
        assert len(getattr(hookspecs, name).__doc__.splitlines()) == 1


FAILURES = {
    "missing import": (
        "import nowhere_to_be_found",
        "ModuleNotFoundError: No module named 'nowhere_to_be_found' (zoo_t.py, line {last})",
    ),
    "any exception": ("1 / 0", "ZeroDivisionError: division by zero (zoo_t.py, line {last})"),
    "exit": ("raise SystemExit(3)", "SystemExit: 3 (zoo_t.py, line {last})"),
    "syntax": ("def f(:", "SyntaxError: invalid syntax (zoo_t.py, line {last})"),
    "hook raises": (hook() + "    raise OSError('no\\nway')", "OSError: no way (zoo_t.py, line {last})"),
    "hook exits": (hook() + "    raise SystemExit", "SystemExit (zoo_t.py, line {last})"),
    "unprintable": (
        "class E(Exception):\n    def __str__(self): raise ValueError\n" + hook() + "    raise E",
        "E: <",
    ),
    "misspelt hook": (
        hook("cell", "c1").replace("register_cells", "register_cell"),
        f"zoo_register_cell is not a hook; {ALL_HOOKS}. Did you mean 'zoo_register_cells'?",
    ),
    "misspelt hook without a marker": (
        "def zoo_register_sampler(register): ...",
        f"zoo_register_sampler is not a hook; {ALL_HOOKS}. Did you mean 'zoo_register_samplers'?",
    ),
    "no marker": (
        hook("cell", "c1").replace("@zoo.hookimpl\n", ""),
        "zoo_register_cells is not marked as a hook; put @zoo.hookimpl above it",
    ),
    "a marked function of another name": (
        "@zoo.hookimpl\ndef register_cells(register): ...",
        "unknown hook 'register_cells' in plugin",
    ),
    "wrong argument": (
        "@zoo.hookimpl\ndef zoo_register_cells(registry): ...",
        "zoo_register_cells(registry); Argument(s) {{'registry'}} are declared in the hookimpl but can not "
        f"be found in the hookspec; {ALL_HOOKS}, and each takes one argument, register",
    ),
    "nothing": (
        "",
        "it registers nothing; add a function zoo_register_cells(register), marked @zoo.hookimpl",
    ),
    "empty hook": (hook() + "    pass", "it registers nothing"),
    "wrong kind": (
        hook() + "    register(make_optimizer('o1'))",
        "is not a cell; pass it to zoo.register_optimizer or, in a plugin, zoo_register_optimizers. "
        "(zoo_t.py, line {last})",
    ),
    "an instance": (
        hook() + "    register(make_cell('c1')())",
        "Toy() is an instance; register the class Toy itself. (zoo_t.py, line {last})",
    ),
    "ill-formed class": (
        "class Bare(zoo.Cell):\n    pass",
        "cell class Bare (zoo_t): the docstring is missing;",
    ),
    "without a card": (
        "CARD = None\n" + hook("cell", "c1"),
        "cell class make_cell.<locals>.Toy (zoo_t): the card has no authors, year and url, and a "
        "component of an installed plugin needs a reference; add `card = zoo.Card(title=...",
    ),
    "a variant without a card of its own": (
        "class Own(make_cell('c1')):\n    'Own.'\n" + hook() + "    register(Own)\n",
        "cell class Own (zoo_t): the card has no authors, year and url",
    ),
    "a card without a reference": (
        "CARD = zoo.Card('An idea')\n" + hook("task", "t1"),
        "task class make_task.<locals>.Toy (zoo_t): the card has no authors, year and url",
    ),
    "twice the same name": (
        hook("cell", "c1", "c1"),
        "cell name 'c1' is taken: zoo-t 1.0 (entry point 'zoo_t') registered it, and zoo-t 1.0 ",
    ),
    "override": (
        hook() + "    register(make_cell('c1'), override=True)",
        "unexpected keyword argument 'override'",
    ),
}


@pytest.mark.parametrize("case", FAILURES)
def test_failing_plugin_is_named_and_fails_alone(site, case):
    body, reason = FAILURES[case]
    install(site, "zoo-t", body)
    install(site, "zoo-tz", hook("cell", "fine"))
    loader = load()
    record = record_of(loader, "zoo_t")
    last = len((MEMBERS + body).splitlines())
    assert (record.distribution, record.version, record.module) == ("zoo-t", "1.0", "zoo_t")
    assert (record.status, record.provides) == ("failed", ())
    assert reason.format(last=last) in record.error
    assert "\n" not in record.error
    assert isinstance(record.cause, (Exception, SystemExit))
    assert loader.registry(zoo.Cell).list() == ["fine"]


EVERY_KIND = pytest.mark.parametrize("kind", hookspecs.KINDS)
VALUES = {
    "a name": "'lstm'",
    "an instance": "object()",
    "nothing": "None",
    "a list": "[make_{kind}('a')]",
    "pairs": "[('a', make_{kind}('a'))]",
    "a mapping": "{{'a': make_{kind}('a')}}",
    "a generator": "(make_{kind}(name) for name in 'ab')",
    "a function": "make_{kind}",
    "a module": "zoo",
}
"""Values that are no component, for ``register`` and as the result of a hook."""


@EVERY_KIND
@pytest.mark.parametrize("value", VALUES)
def test_value_that_is_no_component_is_an_error(site, kind, value):
    install(site, "zoo-t", hook(kind) + f"    register({VALUES[value].format(kind=kind)})\n")
    record = record_of(load(), "zoo_t")
    expected = f"is not a class; what is registered as {kind} is a class derived from zoo."
    if kind == "loss":
        expected = "; expected a zoo.Loss."
    if value == "an instance" and kind != "loss":
        expected = "<object object at "
    assert (record.status, record.provides) == ("failed", ())
    assert expected in record.error
    assert f"(zoo_t.py, line {len(MEMBERS.splitlines()) + 3})" in record.error


@EVERY_KIND
@pytest.mark.parametrize("is_registered", [False, True], ids=["alone", "with a component"])
@pytest.mark.parametrize("value", [value for value in VALUES if value != "nothing"])
def test_result_of_a_hook_is_an_error(site, kind, value, is_registered):
    """zoo would ignore it, and what it names would be missing without a word."""
    register = f"    register(make_{kind}('c1'))\n" if is_registered else ""
    install(site, "zoo-t", hook(kind) + register + f"    return {VALUES[value].format(kind=kind)}\n")
    record = record_of(load(), "zoo_t")
    assert (record.status, record.provides) == ("failed", ())
    assert record.error.startswith(f"{hookspecs.hook_name(kind)} returns ")
    assert record.error.endswith(f"; expected nothing. Call register for each {kind} instead.")


@EVERY_KIND
@pytest.mark.parametrize("result", ["", "return None", "return register(make_{kind}('c2'))"])
def test_hook_may_return_nothing_or_its_component(site, kind, result):
    install(site, "zoo-t", hook(kind, "c1") + f"    {result.format(kind=kind)}\n")
    loader = load()
    assert record_of(loader, "zoo_t").status == "loaded"
    if kind == "loss":
        loader.registry(zoo.Loss).clear()


@EVERY_KIND
@pytest.mark.parametrize(("prefix", "word"), [("", "yield "), ("async ", ""), ("async ", "yield ")])
def test_hook_that_would_not_run_is_an_error(site, kind, prefix, word):
    body = hook(kind).replace("def ", f"{prefix}def ")
    install(site, "zoo-t", body + f"    {word}register(make_{kind}('c1'))\n")
    assert record_of(load(), "zoo_t").error == (
        f"{hookspecs.hook_name(kind)} is a generator or an asynchronous function, whose body would not run; "
        f"write a function without yield and async"
    )


@EVERY_KIND
def test_duplicate_name_names_both_plugins(site, kind):
    install(site, "zoo-tb", hook(kind, "c1"), version="2.5")
    install(site, "zoo-ta", hook(kind, "c1"))
    loader = load()
    assert record_of(loader, "zoo_ta").status == "loaded"
    error = record_of(loader, "zoo_tb").error
    assert error.startswith(
        f"{kind} name 'c1' is taken: zoo-ta 1.0 (entry point 'zoo_ta') registered it, and zoo-tb 2.5 (entry "
        f"point 'zoo_tb') registers "
    )
    assert "under the same; choose another name." in error
    if kind == "loss":
        loader.registry(zoo.Loss).clear()


SHIPPED = {
    **{base.kind: loader.LOADER.registry(base).list()[0] for base in hookspecs.COMPONENT_CLASSES},
    "loss": "huber",
}


@EVERY_KIND
def test_name_of_a_shipped_component_names_both_plugins(site, kind):
    install(site, "a-shadow", hook(kind, SHIPPED[kind]))
    error = record_of(Loader(environ={}), "a_shadow").error
    owner = r"recurrent-zoo [\d.]+" + ("" if kind == "loss" else r" \(entry point '.*'\)")
    assert re.match(
        rf"{kind} name '{SHIPPED[kind]}' is taken: {owner} registered it, and a-shadow 1\.0 \(entry point "
        rf"'a_shadow'\) registers ",
        error,
    )


@pytest.mark.parametrize(
    ("point", "reason"),
    [
        ("zoo_t:Toy", "the entry point is 'zoo_t:Toy'; name the module alone, 'zoo_t', and put hooks in it"),
        ("zoo_absent", "ModuleNotFoundError: No module named 'zoo_absent'"),
        ("zoo t", "No module named 'zoo t'"),
        (".zoo_t", "relative import"),
    ],
)
def test_entry_point_must_name_a_module(site, point, reason):
    install(site, "zoo-t", hook("cell", "c1"), points={"toy": point})
    assert reason in record_of(load(), "toy").error


def test_failing_plugin_is_rolled_back(site):
    body = "zoo.register_cell" + "(make_cell('c0'))\n" + hook("cell", "c1", "c2") + hook("sampler", "s1")
    install(site, "zoo-t", body + "    raise RuntimeError('late')")
    loader = load()
    assert record_of(loader, "zoo_t").error.startswith("RuntimeError: late")
    assert loader.registry(zoo.Cell).list() == []
    assert loader.registry(zoo.Sampler).list() == []


def test_duplicate_name_goes_to_first_distribution(site):
    install(site, "zoo-tb", hook("cell", "c1") + hook("sampler", "s1"), version="2.5")
    install(site, "zoo-ta", hook("cell", "c1"))
    loader = load()
    assert record_of(loader, "zoo_ta").status == "loaded"
    assert record_of(loader, "zoo_tb").error.startswith(
        "cell name 'c1' is taken: zoo-ta 1.0 (entry point 'zoo_ta') registered it, and zoo-tb "
        "2.5 (entry point 'zoo_tb') registers make_cell.<locals>.Toy (zoo_tb) under the same; "
        "choose another name."
    )
    assert loader.registry(zoo.Sampler).list() == []


def test_plugin_cannot_replace_shipped_component(site):
    install(site, "a-shadow", hook("cell", "vanilla"))
    loader = Loader(environ={})
    record = record_of(loader, "a_shadow")
    assert "cell name 'vanilla' is taken: recurrent-zoo" in record.error
    assert loader.registry(zoo.Cell).cls("vanilla").__module__ == "zoo_cells.classic.vanilla"
    assert [record.distribution for record in loader.plugins()].index(
        "a-shadow"
    ) >= 15  # the shipped come first


def test_duplicate_distribution_counts_once(site, monkeypatch):
    install(site, "zoo-t", hook("cell", "old"), version="1.0")
    front = site / "front"
    front.mkdir()
    install(front, "zoo-t", hook("cell", "new"), version="2.0", points={"renamed": "zoo_t"})
    monkeypatch.syspath_prepend(front)
    loader = load()
    assert [(record.name, record.version, record.provides) for record in loader.plugins()] == [
        ("renamed", "2.0", ("cell new",))
    ]


@pytest.mark.parametrize(
    ("file", "text"),
    [("METADATA", None), ("entry_points.txt", "[zoo]\nno equals sign\n"), ("METADATA", "\n")],
)
def test_damaged_metadata_affects_no_other_plugin(site, file, text):
    info = install(site, "zoo-t", hook("cell", "c1"))
    (info / file).unlink() if text is None else (info / file).write_text(text)
    install(site, "zoo-tz", hook("cell", "fine"))
    loader = load()
    (damaged,) = [record for record in loader.plugins() if record.status == "failed"]
    assert damaged.error.startswith("its installed metadata cannot be read (")
    assert damaged.error.endswith("; install it again")
    assert damaged.distribution in ("zoo-t", f"a damaged distribution in {site}")
    assert loader.registry(zoo.Cell).list() == ["fine"]


def test_broken_metadata_of_other_distribution_is_ignored(site):
    info = install(site, "zoo-tx", "")
    (info / "entry_points.txt").write_text("[console_scripts]\nno equals sign\n")
    assert load().plugins() == ()


@pytest.mark.parametrize(
    ("chosen", "cells"),
    [
        (None, ["c1", "c2"]),
        ("", []),
        (" ", []),
        ("zoo-ta", ["c1"]),
        ("Zoo_TA", ["c1"]),  # names compare as on package indexes
        ("second", ["c2"]),  # an entry point
        ("zoo-ta, zoo-tb,", ["c1", "c2"]),
    ],
)
def test_zoo_plugins_chooses(site, chosen, cells):
    install(site, "zoo-ta", hook("cell", "c1"), points={"first": "zoo_ta"})
    install(site, "zoo-tb", hook("cell", "c2"), points={"second": "zoo_tb"})
    loader = load() if chosen is None else load(ZOO_PLUGINS=chosen)
    assert loader.registry(zoo.Cell).list() == cells
    skipped = [record for record in loader.plugins() if record.status == "skipped"]
    assert len(skipped) == 2 - len(cells)
    assert all(record.error == "ZOO_PLUGINS does not name it" for record in skipped)


def test_skipped_plugin_is_not_imported(site):
    install(site, "zoo-t", "raise SystemExit")
    assert record_of(load(ZOO_PLUGINS=""), "zoo_t").status == "skipped"
    assert "zoo_t" not in sys.modules


def test_shipped_plugins_always_load(site):
    install(site, "zoo-t", hook("cell", "c1"))
    assert (
        Loader(environ={"ZOO_PLUGINS": ""}).registry(zoo.Cell).list()
        == Loader(environ={"ZOO_PLUGINS": "recurrent-zoo"}).registry(zoo.Cell).list()
    )


def shipped_points():
    return tuple(point for point in entry_points.installed_entry_points() if point.shipped)


@pytest.mark.parametrize(
    ("look_up", "modules"),
    [
        ("zoo.get_cell('gru')", "cells cells.gated cells.gated.gru"),
        ("zoo.get_optimizer('adam')", "optimizers optimizers.adam"),
        ("registry_of(zoo.Task).source('parity'); 'gru' in registry_of(zoo.Task)", "tasks tasks.parity"),
        ("zoo.get_cell('gru+residual')", "cells cells.gated cells.gated.gru modifiers modifiers.residual"),
        ("foreign_plugins()", ""),
        ("zoo.get_loss('huber')", ""),
        ("import pytest, zoo.errors as e; pytest.raises(e.UnknownNameError, zoo.get_loss, 'hubert')", ""),
    ],
)
def test_look_up_imports_only_the_plugin_of_that_name(look_up, modules):
    script = (
        f"import sys, zoo; from zoo.registry import foreign_plugins, registry_of; {look_up}; "
        "print(*sorted(name[4:] for name in sys.modules if name.startswith('zoo_') and '._' not in name))"
    )
    output = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert output.stdout.split() == modules.split()


@pytest.mark.parametrize(
    ("target", "error"),
    [
        ("zoo_cells.gated.nowhere", "ModuleNotFoundError: No module named 'zoo_cells.gated.nowhere'"),
        ("zoo_cells.nowhere", "ModuleNotFoundError: No module named 'zoo_cells.nowhere'"),
        ("zoo_cells.gated", "unknown cell 'gated'. No cell is registered."),
        ("zoo_tasks.gated.gru", "ModuleNotFoundError: No module named 'zoo_tasks.gated'"),
    ],
)
def test_broken_shipped_plugin_fails_alone(target, error):
    broken = EntryPoint(Source("broken", "recurrent-zoo", "0"), target)
    points = (broken, *(point for point in shipped_points() if point.source.plugin in ("gru", "adam")))
    name = target.rpartition(".")[2]

    def make(**environ):
        return Loader(discover=lambda: points, environ=environ)

    cells = make().registry(zoo.Cell)
    assert cells.cls("gru").name == "gru"
    loader = make()
    if name != "gru":
        assert name not in loader.registry(zoo.Cell)
        with pytest.raises(
            zoo.UnknownNameError, match="1 plugin failed to load; `zoo plugins` shows why"
        ) as caught:
            loader.registry(zoo.Cell).cls(name)
        assert f"Did you mean {name!r}" not in str(caught.value)
    assert loader.registry(zoo.Cell).list() == cells.list() == cells.list("gated/*") == ["gru"]
    status = {record.module: record.status for record in loader.plugins()}
    assert status == {target: "failed", "zoo_cells.gated.gru": "loaded", "zoo_optimizers.adam": "loaded"}
    assert error in record_of(loader, "broken").error
    with pytest.raises(zoo.PluginError, match=re.escape(error)):
        make(ZOO_STRICT_PLUGINS="1").registry(zoo.Optimizer)


def test_interrupted_import_of_a_shipped_plugin_starts_over(monkeypatch):
    cells = Loader(discover=shipped_points, environ={}).registry(zoo.Cell)

    def interrupted(point):
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules[Loader.__module__], "_import", interrupted)
    with pytest.raises(KeyboardInterrupt):
        cells.cls("gru")
    monkeypatch.undo()
    assert cells.cls("gru").name == "gru"


def test_threads_that_look_up_and_register_do_not_wait_for_each_other():
    """Before Python 3.12, all functools.cached_property of a class share one lock."""
    lstm = Loader(discover=shipped_points, environ={}).registry(zoo.Cell).cls("lstm")
    for _ in range(3):
        loader = Loader(discover=shipped_points, environ={})
        calls = (
            loader.registry(zoo.Cell).list,
            partial(loader.register, "cell", lstm, override=True),
            partial(loader.registry(zoo.Cell).cls, "gru"),
        )
        threads = [threading.Thread(target=call, daemon=True) for call in calls]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in threads)


def test_threads_get_one_class_of_a_shipped_plugin():
    cells, classes = Loader(discover=shipped_points, environ={}).registry(zoo.Cell), []
    names = ["gru", "lstm", "mamba"] * 8
    threads = [threading.Thread(target=lambda name=name: classes.append(cells.cls(name))) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(classes) == len(names)
    assert len(set(classes)) == 3


def test_unknown_name_in_zoo_plugins_is_reported(site):
    install(site, "zoo-t", hook("cell", "c1"))
    loader = load(ZOO_PLUGINS="zoo-q,zoo-t")
    record = record_of(loader, "zoo-q")
    assert (record.status, record.distribution) == ("failed", "")
    assert record.error == "ZOO_PLUGINS names 'zoo-q', but no such plugin is installed. Did you mean 'zoo-t'?"


def test_strict_raises_with_the_cause(site):
    install(site, "zoo-t", "1 / 0")
    loader = load(ZOO_STRICT_PLUGINS="1")
    for ask in (loader.plugins, lambda: loader.registry(zoo.Cell), loader.plugins):
        with pytest.raises(
            zoo.PluginError, match=r"^plugin zoo-t 1\.0 \(entry point 'zoo_t'\): ZeroDivisionError"
        ) as caught:
            ask()
        assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_strict_accepts_loading_plugins(site):
    install(site, "zoo-t", hook("cell", "c1"))
    assert load(ZOO_STRICT_PLUGINS="1").registry(zoo.Cell).list() == ["c1"]


@pytest.mark.parametrize("off", ["", "0"])
def test_strict_can_be_switched_off(site, off):
    install(site, "zoo-t", "1 / 0")
    assert load(ZOO_STRICT_PLUGINS=off).registry(zoo.Cell).list() == []


def test_unknown_name_error_mentions_failed_plugins(site):
    install(site, "zoo-ta", "1 / 0")
    with pytest.raises(zoo.UnknownNameError, match=r"1 plugin failed to load; `zoo plugins` shows why\.$"):
        load().registry(zoo.Cell).get("c1")
    install(site, "zoo-tb", "1 / 0")
    with pytest.raises(zoo.UnknownNameError, match=r"2 plugins failed to load; `zoo plugins` shows why\.$"):
        load().registry(zoo.Cell).get("c1")


def test_unknown_name_error_mentions_disabled_plugins(site):
    install(site, "zoo-ta", hook("cell", "c1"))
    with pytest.raises(zoo.UnknownNameError, match=r"registered\. ZOO_PLUGINS leaves out 1 plugin\.$"):
        load(ZOO_PLUGINS="").registry(zoo.Cell).get("c1")


def test_list_without_a_match_mentions_disabled_plugins(site, monkeypatch):
    install(site, "zoo-ta", hook("cell", "c1"))
    monkeypatch.setattr(loader, "LOADER", load(ZOO_PLUGINS=""))
    for command in ("cells", "losses"):
        result = CliRunner().invoke(cli, [command, "c1*"])
        assert result.exit_code == 2
        assert result.stderr.endswith(
            f"`zoo {command}` lists all of them. ZOO_PLUGINS leaves out 1 plugin.\n"
        )


def test_plugins_are_loaded_once(site):
    counter = "import sys\nsys.zoo_counter = getattr(sys, 'zoo_counter', 0) + 1\n"
    install(site, "zoo-t", counter + hook("cell", "c1") + "    sys.zoo_counter += 10\n")
    loader = load()
    barrier = threading.Barrier(8)
    seen = []

    def look():
        barrier.wait()
        seen.append(loader.registry(zoo.Cell).list())

    threads = [threading.Thread(target=look) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [["c1"]] * 8
    assert sys.zoo_counter == 11
    del sys.zoo_counter


def test_interrupted_loading_starts_over(site):
    install(site, "zoo-ta", hook("cell", "c1"))
    install(
        site,
        "zoo-tb",
        "import signal, sys\nif not hasattr(sys, 'zoo_again'):\n    sys.zoo_again = 1\n"
        "    signal.raise_signal(signal.SIGINT)\n" + hook("cell", "c2"),
    )
    loader = load()
    with pytest.raises(KeyboardInterrupt):
        loader.plugins()
    assert [record.status for record in loader.plugins()] == ["loaded", "loaded"]
    assert loader.registry(zoo.Cell).list() == ["c1", "c2"]
    del sys.zoo_again


def test_plugin_can_look_up_earlier_components(site, monkeypatch):
    install(site, "zoo-ta", hook("cell", "c1"))
    install(site, "zoo-tb", hook() + "    assert zoo.list_cells() == ['c1']\n    register(make_cell('c2'))\n")
    loader = load()
    monkeypatch.setattr("zoo.registry.loader.LOADER", loader)
    assert loader.registry(zoo.Cell).list() == ["c1", "c2"]


def test_decorator_registers_for_loading_plugin(site, monkeypatch):
    install(site, "zoo-ta", "@zoo.register_cell\nclass Own(make_cell('c1')):\n    'Own.'\n    card = CARD\n")
    loader = load()
    monkeypatch.setattr("zoo.registry.loader.LOADER", loader)
    assert loader.plugins()[0].provides == ("cell own",)
    assert str(loader.registry(zoo.Cell).source("own")) == "zoo-ta 1.0 (entry point 'zoo_ta')"


def test_error_names_innermost_foreign_line():
    with pytest.raises(zoo.ZooError) as caught:
        zoo.Card(title="", authors="A", year=2000, url="https://example.org")
    line = caught.tb.tb_lineno
    assert (
        error_text(caught.value)
        == f"zoo.Card: title is ''; give a non-empty string. (test_plugins.py, line {line})"
    )


@pytest.mark.parametrize(("base", "size"), [("Cell", "H"), ("Block", "D")])
def test_error_of_a_size_names_the_line_of_its_declaration(base, size, tmp_path):
    file = tmp_path / "mine.py"
    arrays = f"    h = zoo.State('{size}')\n    W = zoo.Param('{size}', '4Q')\n"
    file.write_text(f"import zoo\n\n\nclass Mine(zoo.{base}):\n    'Mine.'\n\n{arrays}")
    with pytest.raises(zoo.PluginError, match=r"parameter 'W' has size '4Q', .* \(mine\.py, line 8\)$"):
        load_class_file(f"{file}:Mine", getattr(zoo, base))


def test_entry_point_names():
    point = EntryPoint(Source("Leaky_RNN", "Zoo.Leaky", "1"), "zoo_leaky")
    assert point.names == {"leaky-rnn", "zoo-leaky"}
    assert not point.shipped
    assert EntryPoint(Source("x", "Recurrent_Zoo", "1"), "x").shipped


def test_importing_zoo_loads_no_plugin(site):
    install(site, "zoo-t", "import sys; sys.order.append('loaded')\n" + hook("cell", "c1"))
    script = (
        "import sys; sys.order = []; import zoo; zoo.Cell; zoo.hookimpl; sys.order.append('imported'); "
        "print('c1' in zoo.list_cells(), *sys.order)"
    )
    environ = os.environ | {"PYTHONPATH": str(site)}
    output = subprocess.run(
        [sys.executable, "-c", script], env=environ, capture_output=True, text=True, check=True
    )
    assert output.stdout.split() == ["True", "imported", "loaded"]
