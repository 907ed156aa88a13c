"""The registry of one kind and the public functions over it; no kernel runs here."""

from __future__ import annotations

import threading

import pytest

import zoo
from zoo.registry import Registry, Source, loader, split_name
from zoo.registry import plugins as list_plugins
from zoo.registry.loader import Loader

CARD = zoo.Card(title="A test", authors="Nobody", year=2026, url="https://example.org")


def make_cell(cell_name="toy", cell_family="other"):
    class Toy(zoo.Cell):
        """A cell that is only listed."""

        name = cell_name
        family = cell_family
        card = CARD
        W = zoo.Param("H", "H")
        h = zoo.State("H")
        slow = zoo.Option(0.5, low=0.0, high=1.0)

        def forward(params, x, state, slow): ...
        def backward(params, x, state, tape, dy, dlast, slow): ...

    return Toy


class ToySampler(zoo.Sampler):
    """A sampler that is only listed."""

    card = CARD

    def transform(logits): ...


class ToyOptimizer(zoo.Optimizer):
    """An optimizer that is only listed."""

    card = CARD
    lr = zoo.Option(0.1)

    def update(theta, grad, slots, step, lr): ...


@pytest.fixture
def empty(monkeypatch):
    """A process without plugins."""
    monkeypatch.setattr(loader, "LOADER", Loader(discover=lambda: (), environ={}))
    return loader.LOADER


def test_get_returns_an_instance_with_its_options():
    registry = Registry(zoo.Cell)
    toy = registry.register(make_cell())
    assert registry.cls("toy") is toy
    assert registry.get("toy", slow=0.25).slow == 0.25


def test_list_matches_names_and_families_and_is_sorted():
    registry = Registry(zoo.Cell)
    for name, family in [("mgu", "gated"), ("gru", "gated"), ("elman", "classic")]:
        registry.register(make_cell(name, family))
    assert registry.list() == ["elman", "gru", "mgu"]
    assert registry.list("g*") == ["gru", "mgu"]  # gru by its name, mgu by "gated/mgu"
    assert registry.list("gr?") == ["gru"]
    assert registry.list("gated/*") == ["gru", "mgu"]
    assert registry.list("GRU") == []


@pytest.mark.parametrize(
    ("unknown", "near"),
    [
        ("grü", "'gru'"),
        ("GRU", "'gru'"),
        ("peephole-lstm", "'peephole_lstm'"),
        ("PeepholeLSTM", "'peephole_lstm'"),
    ],
)
def test_unknown_name_gets_the_nearest(unknown, near):
    registry = Registry(zoo.Cell)
    for name in ("gru", "peephole_lstm", "vanilla"):
        registry.register(make_cell(name))
    with pytest.raises(zoo.UnknownNameError, match="unknown cell") as caught:
        registry.get(unknown)
    assert f"Did you mean {near}" in str(caught.value)
    assert "The cells are gru, peephole_lstm, vanilla." in str(caught.value)
    assert isinstance(caught.value, KeyError)


def test_unknown_name_among_many_names_list_command():
    registry = Registry(zoo.Cell)
    for i in range(13):
        registry.register(make_cell(f"cell_{i}"))
    with pytest.raises(
        zoo.UnknownNameError,
        match=r"^unknown cell 'qqq'\. `zoo cells` lists all 13\.$",
    ):
        registry.cls("qqq")


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("lstm", ("", "lstm", ())),
        ("lstm+a+b", ("", "lstm", ("a", "b"))),
        ("x(lstm)", ("x", "lstm", ())),
        ("a+b(c)/f.py:X(d(e)/g.py:Y+a)", ("a+b(c)/f.py:X", "d(e)/g.py:Y", ("a",))),
        ("x(lstm+f.py:X+a)", ("x", "lstm", ("f.py:X", "a"))),
        ("./a+b/f.py:X+./c+d(e)/g.py:Y", ("", "./a+b/f.py:X", ("./c+d(e)/g.py:Y",))),
    ],
)
def test_name_is_split_and_joined(name, parts):
    assert split_name(name) == parts
    assert str(split_name(name)) == name


def test_name_is_a_string():
    with pytest.raises(
        zoo.UsageError, match="None is not a name; give the name of a registered sampler as a string"
    ):
        Registry(zoo.Sampler).get(None)


def test_duplicate_name_raises_naming_both():
    registry = Registry(zoo.Cell)
    first = registry.register(make_cell(), source=Source("a", "zoo-a", "1.0"))
    with pytest.raises(zoo.UsageError) as caught:
        registry.register(make_cell(), source=Source("b", "zoo-b", "2.0"))
    assert str(caught.value).startswith(
        "cell name 'toy' is taken: zoo-a 1.0 (entry point 'a') registered it, "
        "and zoo-b 2.0 (entry point 'b') registers"
    )
    assert registry.cls("toy") is first
    second = registry.register(make_cell(), override=True)
    assert registry.cls("toy") is second
    assert str(registry.source("toy")) == "the running program"


def test_same_class_can_be_reregistered():
    registry = Registry(zoo.Cell)
    toy = registry.register(make_cell())
    assert registry.register(toy) is toy
    with pytest.raises(zoo.UsageError, match="is taken"):
        registry.register(toy, source=Source("b", "zoo-b", "2.0"))


class Base(zoo.Cell, abstract=True):
    pass


@pytest.mark.parametrize(
    ("thing", "text"),
    [
        (make_cell()(), "Toy(slow=0.5) is an instance; register the class Toy itself."),
        (7, "7 is not a class; what is registered as cell is a class derived from zoo.Cell."),
        (dict, "dict (builtins) is not a cell; derive it from zoo.Cell."),
        (
            ToyOptimizer,
            "is not a cell; pass it to zoo.register_optimizer or, in a plugin, zoo_register_optimizers.",
        ),
        (Base, "is abstract: others derive from it; register one of those."),
        (zoo.Cell, "is abstract"),
    ],
)
def test_invalid_cell_class_raises(thing, text):
    with pytest.raises(zoo.DefinitionError) as caught:
        Registry(zoo.Cell).register(thing)
    assert text in str(caught.value)


def test_forked_registry_is_separate_until_adopted():
    registry = Registry(zoo.Cell)
    registry.register(make_cell("one"))
    fork = registry.fork()
    fork.register(make_cell("two"))
    assert registry.list() == ["one"]
    registry.commit(fork)
    assert registry.list() == ["one", "two"]


def test_registering_by_hand(empty):
    toy = make_cell()
    assert zoo.register_cell(toy) is toy
    assert zoo.register_sampler(ToySampler) is ToySampler
    assert zoo.register_optimizer(ToyOptimizer) is ToyOptimizer
    assert (zoo.list_cells(), zoo.list_samplers(), zoo.list_optimizers()) == (
        ["toy"],
        ["toy_sampler"],
        ["toy_optimizer"],
    )
    assert type(zoo.get_cell("toy", slow=1)) is toy
    assert zoo.get_sampler("toy_sampler") == ToySampler()
    assert zoo.get_optimizer("toy_optimizer", lr=0.5).lr == 0.5
    with pytest.raises(zoo.UsageError, match="or pass override=True to replace it"):
        zoo.register_cell(make_cell())
    replaced = zoo.register_cell(make_cell(), override=True)
    assert type(zoo.get_cell("toy")) is replaced
    assert list_plugins() == ()


def test_register_is_a_decorator(empty):
    @zoo.register_sampler
    class Decorated(zoo.Sampler):
        """Decorated."""

        card = CARD

        def transform(logits): ...

    assert zoo.get_sampler("decorated") == Decorated()


def test_wrong_option_names_the_member(empty):
    zoo.register_cell(make_cell())
    with pytest.raises(
        zoo.UsageError, match=r"cell 'toy' has no option 'slw'; it has: slow\. Did you mean 'slow'\?"
    ):
        zoo.get_cell("toy", slw=1.0)


def test_registering_from_many_threads_loses_nothing(empty):
    cells = [make_cell(f"cell_{i}") for i in range(64)]
    barrier = threading.Barrier(8)

    def work(mine):
        barrier.wait()
        for cell in mine:
            zoo.register_cell(cell)
            zoo.list_cells()

    threads = [threading.Thread(target=work, args=(cells[i::8],)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(zoo.list_cells()) == 64
