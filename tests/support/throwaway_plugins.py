"""Throw-away distributions with plugins, and a loader that sees only them."""

from __future__ import annotations

from zoo.registry import entry_points
from zoo.registry.hookspecs import hook_name
from zoo.registry.loader import Loader

MEMBERS = """
import zoo

CARD = zoo.Card(title="A test", authors="Nobody", year=2026, url="https://example.org")

def make_cell(called):
    class Toy(zoo.Cell):
        "A cell that is only listed."
        name = called
        card = CARD
        W = zoo.Param("H", "H")
        h = zoo.State("H")
        def forward(params, x, state): ...
        def backward(params, x, state, tape, dy, dlast): ...
    return Toy

def make_block(called):
    class Toy(zoo.Block):
        "A block that is only listed."
        name = called
        card = CARD
    return Toy

def make_optimizer(called):
    class Toy(zoo.Optimizer):
        "An optimizer that is only listed."
        name = called
        card = CARD
        lr = zoo.Option(0.1)
        def update(theta, grad, slots, step, lr): ...
    return Toy

def make_modifier(called):
    class Toy(zoo.Modifier):
        "A modifier that is only listed."
        name = called
        card = CARD
    return Toy

def make_sampler(called):
    class Toy(zoo.Sampler):
        "A sampler that is only listed."
        name = called
        card = CARD
        def transform(logits): ...
    return Toy

@zoo.njit
def row_loss(row, target): ...

def make_loss(called):
    return zoo.Loss(called, row_loss, row_loss)

def make_task(called):
    class Toy(zoo.Task):
        "A task that is only listed."
        name = called
        card = CARD
        input_size = output_size = 2
        def draw_examples(self, rng, size, part): ...
        def baseline(self): ...
    return Toy

def make_constraint(called):
    class Toy(zoo.Constraint):
        "A constraint that is only listed."
        name = called
        card = CARD
        def project(self, values, initial): ...
    return Toy

def make_penalty(called):
    class Toy(zoo.Penalty):
        "A penalty that is only listed."
        name = called
        card = CARD
        def value_and_grad(self, values, weights): ...
    return Toy

def make_tracker(called):
    class Toy(zoo.Tracker):
        "A tracker that is only listed."
        name = called
        card = CARD
        def open(self, start_event): ...
    return Toy
"""


def hook(kind="cell", *names):
    calls = "".join(f"    register(make_{kind}({name!r}))\n" for name in names)
    return f"@zoo.hookimpl\ndef {hook_name(kind)}(register):\n{calls}"


def install(site, name, body, *, version="1.0", points=None, members=True):
    """Write a distribution of one module, ``zoo-x`` as ``zoo_x.py``, with its metadata."""
    module = name.replace("-", "_")
    (site / f"{module}.py").write_text((MEMBERS if members else "import zoo\n") + body, encoding="utf-8")
    info = site / f"{module}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    lines = [f"{key} = {value}" for key, value in (points or {module: module}).items()]
    (info / "entry_points.txt").write_text("[zoo]\n" + "\n".join(lines) + "\n")
    return info


def third_party():
    """Return the entry points of the test's own distributions."""
    return tuple(
        door
        for door in entry_points.installed_entry_points()
        if door.source.distribution.startswith(("zoo-t", "a damaged"))
    )


def load(**environ):
    return Loader(discover=third_party, environ=environ)


def record_of(loader, plugin):
    (record,) = [record for record in loader.plugins() if record.name == plugin]
    return record
