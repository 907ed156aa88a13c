"""The laws of blocks: which cells they try, and the blocks that break them."""

from __future__ import annotations

import random
import re
from unittest import SkipTest

import numpy as np
import pytest
from click.testing import CliRunner
from law_options import plain_kinds

import zoo
import zoo.testing
from zoo.cli.app import cli
from zoo.cli.commands import check as command
from zoo.errors import UsageError
from zoo.kernels import pure_python
from zoo.testing.blocks import BLOCK_CHECKS, CELLS_OF_EVERY_KIND, _around_cells, check_around
from zoo.testing.laws import CELL_CHECKS
from zoo.testing.laws.sequence import Y
from zoo.testing.report import law_of, name_of
from zoo.testing.suites import parse_spec
from zoo.testing.trials import run

CHECKS = {name_of(check): check for check in BLOCK_CHECKS}
COMPILING = ("check_jit_equals_python", "check_compiles_once")
# In plain Python, the first two take half of the time of all laws. Modified cells obey them in
# test_modifiers_conformance.py, and blocks the third in test_blocks.py of the plugins.
SLOW = ("check_learns", "check_large_sizes", "check_every_kind")

FILE = """
import zoo


class Skip(zoo.Block):
    '''y = x + cell(x).'''

    def step(self, x, cell):
        return x + cell(x)


class Wide(zoo.Block):
    '''The input of the cell has another size.'''

    cell_input = "2D"

    def step(self, x, cell):
        return x + cell(x)
"""


def test_kinds_are_kinds_of_cells():
    cells = {name: zoo.get_cell(name) for name in CELLS_OF_EVERY_KIND}
    assert len(cells["lstm"].states) == 2
    assert any(state.complex for state in cells["lru"].states.values())
    assert any(len(state.shape) == 3 for state in cells["matrix_lstm"].states.values())
    assert cells["gla"].card.scope == "mixer"
    assert cells["lif"].family == "spiking"
    assert list(cells["ctrnn"].inputs) == ["dt"]
    assert any(isinstance(each, zoo.Noise) for each in cells["lstm+zoneout"].inputs.values())


def test_laws_of_cells_are_laws_of_blocks():
    assert {name_of(check) for check in CELL_CHECKS} - {*CHECKS} == {"check_help"}
    assert {*CHECKS} - {name_of(check) for check in CELL_CHECKS} == {"check_card", "check_every_kind"}
    assert len({law_of(check) for check in BLOCK_CHECKS}) == len(BLOCK_CHECKS)


def test_law_of_cells_is_tried_around_each_cell(monkeypatch):
    seen = []
    monkeypatch.setattr("zoo.testing.blocks.EXAMPLE_CELLS", ("gru", "gla"))
    block = zoo.get_block("mamba", width=2)
    law = _around_cells(lambda cell, **changes: seen.append((cell, changes)))
    law(block, kinds=())
    assert [cell.name for cell, _ in seen] == ["mamba(gru)", "mamba(gla)"]
    assert all(cell.options["mamba_width"] == 2 and changes == {"kinds": ()} for cell, changes in seen)


@zoo.testing.parametrize_blocks("prenorm")
def test_block_obeys_every_law(block, check, monkeypatch):
    monkeypatch.setenv("ZOO_TEST_EXAMPLES", "1")
    if name_of(check) in (*COMPILING, *SLOW):
        pytest.skip("compiles kernels, or takes seconds in plain Python")
    law = next((law for law in CELL_CHECKS if name_of(law) == name_of(check)), None)
    with pure_python():
        check(block, **(plain_kinds(law, block.name) if law else {}))


class Skip(zoo.Block):
    """y = x + cell(x)."""

    def step(self, x, cell):
        return x + cell(x)


class Wide(Skip):
    """The input of the cell has another size than the block declares."""

    cell_input = "2D"


class Published(Skip):
    """A card and a parameter without help."""

    card = zoo.Card(title="None", authors="The tests", year=2024, url="https://example.org", variant="One.")
    gain = zoo.Param("D", init="ones")

    def step(self, x, cell):
        return x + cell(x) * self.gain


def draw_without_rng(rng, shape):
    """Values of another generator than the one of the seed."""
    return np.array([random.random() for _ in range(int(np.prod(shape)))]).reshape(shape)


class Unseeded(Skip):
    """Initial values that do not depend on the seed."""

    gain = zoo.Param("D", init=draw_without_rng, help="scale")

    def step(self, x, cell):
        return x + cell(x) * self.gain


class Explosive(Skip):
    """Large inputs overflow around a mixer."""

    def step(self, x, cell):
        return x + cell(x * np.exp(x * x) if self.is_mixer else x)


@pytest.mark.parametrize(
    ("block", "law", "message"),
    [
        (Wide, "check_well_formed", r"block 'wide': found an exception, .*; expected \(2D,\)"),
        (Published, "check_card", r"block 'published': found \['gain'\] without help, expected"),
        (Unseeded, "check_initialisation", r"cell 'unseeded\(lstm\)': initial value of l[01].block_gain"),
        (Explosive, "check_finite", r"cell 'explosive\(gla\)': "),
    ],
)
def test_law_catches_broken_block(block, law, message):
    with pure_python():
        report = zoo.testing.run_checks(block(), [CHECKS[law]], on_fail="collect")
    (outcome,) = report.failures
    assert report.component == f"block {block.name!r}"
    assert re.search(message, outcome.message)


class Divided(Skip):
    """A size that no small width allows."""

    gain = zoo.Param("D/50", init="ones")

    def step(self, x, cell):
        return x + cell(x) * self.gain.sum()


def test_block_without_suitable_size_is_an_error_of_one_sentence():
    with pytest.raises(AssertionError) as caught:
        check_around(Divided(), "vanilla")
    assert str(caught.value) == (
        "cell 'divided(vanilla)': sizes near I=2 and H=4: found none that suit it, expected some."
    )


class MixersOnly(Skip):
    """A block that rejects recurrences."""

    def step(self, x, cell):
        if not self.is_mixer:
            raise UsageError("block 'mixers_only' surrounds mixers only; choose one, for example gla.")
        return x + cell(x)


class NoCells(Skip):
    """A block that rejects every cell."""

    def step(self, x, cell):
        raise UsageError("block 'no_cells' surrounds nothing.")


def test_block_is_checked_around_the_cells_that_it_accepts():
    laws = [CHECKS[name] for name in ("check_well_formed", "check_every_kind", "check_parameter_count")]
    report = zoo.testing.run_checks(MixersOnly(), laws, on_fail="collect")
    assert [outcome.status for outcome in report.outcomes] == ["passed"] * 3
    assert report.warnings[0].startswith(
        "block 'mixers_only' is not checked around lstm: block 'mixers_only' surrounds mixers only;"
    )
    report = zoo.testing.run_checks(NoCells(), laws, on_fail="collect")
    assert "surrounds nothing" in report.failures[0].message


@pytest.mark.parametrize(
    ("skipped", "is_skipped"), [(["lstm"], False), (["gla"], False), (["lstm", "gla"], True)]
)
def test_law_is_skipped_if_it_applies_to_no_cell(skipped, is_skipped):
    seen = []

    def law(cell):
        seen.append(cell.name)
        if cell.name in [f"prenorm({name})" for name in skipped]:
            raise SkipTest("does not apply")

    (outcome,) = zoo.testing.run_checks(zoo.get_block("prenorm"), [_around_cells(law)]).outcomes
    assert seen == ["prenorm(lstm)", "prenorm(gla)"]
    assert (outcome.status, outcome.message) == (
        ("skipped", "does not apply") if is_skipped else ("passed", "")
    )


def test_wrong_kernel_of_a_block_has_no_advice_on_sizes(monkeypatch):
    monkeypatch.setattr("zoo.testing.blocks._compare_derivative", lambda case: None)
    monkeypatch.setattr("zoo.testing.laws.kernels.run", run_with_wrong_output)
    with pytest.raises(AssertionError, match="expected") as caught:
        check_around(Skip(), "vanilla")
    assert "Kernels differ from the equations of `step`" in str(caught.value)
    assert "Small sizes" not in str(caught.value)


def run_with_wrong_output(trial):
    """Results of the kernels, with another output."""
    results = run(trial)
    return {**results, Y: results[Y] + 1}


def test_command_checks_blocks_and_blocks_in_files(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(FILE, encoding="utf-8")
    for text in (f"{file}:Skip", f"block:{file}:Skip", "block:mamba"):
        suite, name = parse_spec(text)
        assert (suite.kind, suite.resolve(name).kind) == ("block", "block")
    assert command._full_name("prenorm") == "block:prenorm"
    assert command._full_name("mamba") == "cell:mamba"
    result = CliRunner().invoke(cli, ["check", f"{file}:Wide"])
    assert result.exit_code == 1
    assert result.output.startswith("BROKEN   Card, docstring, sizes and gates are complete.")
    assert "block 'wide': found an exception" in result.output
    assert "35 laws not tried, since check_well_formed failed." in " ".join(result.output.split())


def test_invalid_blocks_raise():
    with pytest.raises(zoo.UnknownNameError, match="Did you mean 'prenorm'"):
        zoo.testing.check_block("prenrm")
    with pytest.raises(UsageError, match="is not a block"):
        zoo.testing.check_block(zoo.get_cell("lstm"))
