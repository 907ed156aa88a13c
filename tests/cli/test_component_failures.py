"""Components that raise exceptions or cannot be compiled: one sentence that names their plugin or file."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from run_asserts import zoo_command

import zoo
from zoo.registry import foreign_failure, loader
from zoo.registry.entry_points import EntryPoint
from zoo.registry.loader import Loader
from zoo.registry.registry import Source

TEXT = '''
import zoo
from zoo_cells.classic.vanilla import Vanilla

LINE = {}


def helper(x):
    return x


@zoo.njit
def raising_update(theta, grad, slots, step, lr):
    if step == 2:
        raise ValueError("no update")  # optimizer
    return theta, slots


@zoo.njit
def untyped_update(theta, grad, slots, step, lr):
    return helper(theta), slots  # untyped


@zoo.njit
def added_update(theta, grad, slots, step, lr):
    return theta + None, slots  # impossible


class Raising(zoo.Optimizer):
    """Raises at the second update."""

    lr = zoo.Option(1e-3, low=0.0)
    update = raising_update


class Untyped(Raising):
    """Cannot be compiled."""

    update = untyped_update


class Impossible(Raising):
    """Cannot be compiled either."""

    update = added_update


class Penalty(zoo.Penalty):
    """Raises."""

    factor = zoo.Option(0.1, low=0.0)

    def value_and_grad(self, values, weights):
        raise RuntimeError("no penalty")  # penalty


class Constraint(zoo.Constraint):
    """Raises."""

    def project(self, values, initial):
        raise RuntimeError("no projection")  # constraint


class Cell(Vanilla):
    """Has an initializer that raises."""

    bh = zoo.Param("H", init=lambda rng, shape: 1 / 0)  # cell


@zoo.njit
def raising_loss(row, target):
    return helper(row)  # loss


@zoo.njit
def raising_gradient(row, target, scale):
    return 0.0


LOSS = zoo.Loss("untyped", raising_loss, raising_gradient)
'''


@pytest.fixture(autouse=True)
def directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("faults.py").write_text(TEXT)
    yield
    for name in [name for name in sys.modules if name.startswith("zoo_file_")]:
        del sys.modules[name]


def line_of(comment: str) -> int:
    lines = Path("faults.py").read_text().splitlines()
    return next(n for n, line in enumerate(lines, 1) if line.endswith(f"# {comment}"))


@pytest.mark.parametrize(
    ("flags", "failure", "comment"),
    [
        (["--optimizer", "faults.py:Raising"], "raised ValueError: no update", "optimizer"),
        (["--optimizer", "faults.py:Untyped"], "cannot be compiled: Untyped global name 'helper'", "untyped"),
        (["--optimizer", "faults.py:Impossible"], "cannot be compiled: No implementation", "impossible"),
        (["--penalty", "activity=faults.py:Penalty"], "raised RuntimeError: no penalty", "penalty"),
        (["--penalty", "Whh=faults.py:Penalty"], "raised RuntimeError: no penalty", "penalty"),
        (["--constraint", "Whh=faults.py:Constraint"], "raised RuntimeError: no projection", "constraint"),
        (["--cell", "faults.py:Cell"], "raised ZeroDivisionError: division by zero", "cell"),
        (["--loss", "faults.py:LOSS"], "cannot be compiled: Untyped global name 'helper'", "loss"),
    ],
)  # fmt: skip
def test_failure_of_component_is_one_sentence(flags, failure, comment):
    Path("load.csv").write_text("\n".join(["load", *(f"{n % 7 / 7:.3f}" for n in range(300))]))
    cell = [] if "--cell" in flags else ["--cell", "vanilla"]
    data = ["--data", "load.csv", "--target", "load"] if "--loss" in flags else ["--task", "parity"]
    result = zoo_command(
        "train", *cell, *data, *flags, "--hidden", 4, "--steps", 4, "--out", "runs/x", "--quiet"
    )
    assert result.exit_code == 1
    last = result.output.splitlines()[-1]
    assert last.startswith(f"Error: faults.py {failure}"), result.output
    assert last.endswith(f" (faults.py, line {line_of(comment)}).")
    assert "Traceback" not in result.output


BODIES = {
    "raises": ('raise ValueError("stop")', "; `{name}` returns none"),
    "returns nothing": ("return", "; `{name}` returns none"),
    "returns several": ("return 1.0, 2.0", "; `{name}` returns UniTuple(float64 x 2)"),
    "returns the row": ("return row", "; `{name}` returns array(float32, 1d, "),
    "names nothing": ("return unknown(row)", "the kernel '{name}' uses the unknown name 'unknown'"),
    "names no function": ("return zoo.foo(row)", "uses the unknown name 'zoo.foo'"),
}


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("name", ["own_loss", "own_gradient"])
def test_loss_without_a_number_is_one_sentence(name, body):
    """A kernel that fails where the generated code calls it, whatever it does with its arguments."""
    statement, failure = BODIES[body]
    bodies = {"own_loss": "return 0.0", "own_gradient": "return 0.0", name: statement}
    parameters = {"own_loss": "row, target", "own_gradient": "row, target, scale"}
    kernels = [
        f"\n@zoo.njit  # {each}\ndef {each}({parameters[each]}):\n    {bodies[each]}\n" for each in bodies
    ]
    Path("faults.py").write_text(
        f"import zoo\n{''.join(kernels)}\nLOSS = zoo.Loss('own', own_loss, own_gradient)\n"
    )
    Path("load.csv").write_text("\n".join(["load", *(f"{n % 7 / 7:.3f}" for n in range(300))]))
    flags = ["--data", "load.csv", "--target", "load", "--loss", "faults.py:LOSS", "--cell", "vanilla"]
    result = zoo_command("train", *flags, "--hidden", 4, "--steps", 2, "--out", "runs/x", "--quiet")
    assert result.exit_code == 1
    last = result.output.splitlines()[-1]
    assert last.startswith("Error: faults.py cannot be compiled: "), result.output
    assert failure.format(name=name) in last
    line = line_of(name) + 2 * body.startswith("names")  # of the name, or of the kernel
    assert last.endswith(f" (faults.py, line {line}).")
    assert "Traceback" not in result.output


def test_bug_of_zoo_keeps_its_traceback(monkeypatch):
    def fail(*_arguments, **_settings):
        raise RuntimeError("a bug")

    monkeypatch.setattr("zoo.training.train", fail)
    with pytest.raises(RuntimeError, match="a bug"):
        zoo_command("train", "--cell", "faults.py:Cell", "--task", "parity", "--out", "runs/x")


@pytest.mark.parametrize("module", ["module", "package"])
def test_failure_names_the_package_of_the_plugin(module, monkeypatch, tmp_path):
    name = f"zoo_fails_{module}"
    text = (
        "import zoo\n@zoo.hookimpl\ndef zoo_register_cells(register):\n    register(Fails)\n"
        "class Fails(zoo.Cell):\n    'Fails.'\n"
        "    card = zoo.Card('A', authors='N', year=2026, url='https://example.org')\n"
        "    W = zoo.Param('I', 'H', init=lambda rng, shape: 1 / 0, help='w')\n"
        "    h = zoo.State('H', help='h')\n"
        "    def step(self, x, h):\n        return h + x @ self.W\n"
    )
    if module == "package":
        Path(name).mkdir()
        Path(name, "__init__.py").write_text("")
        Path(name, "cells.py").write_text(text)
        target = f"{name}.cells"
    else:
        Path(f"{name}.py").write_text(text)
        target = name
    monkeypatch.syspath_prepend(str(tmp_path))
    point = EntryPoint(Source("fails", "zoo-fails", "0.2"), target)
    monkeypatch.setattr(loader, "LOADER", Loader(discover=lambda: (point,), environ={}))
    with pytest.raises(ZeroDivisionError) as raised:
        zoo.Recurrent("fails", 2, 3)
    sentence = foreign_failure(raised.value)
    assert sentence.startswith(
        "plugin zoo-fails 0.2 (entry point 'fails') raised ZeroDivisionError: division by zero ("
    )
