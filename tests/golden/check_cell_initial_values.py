"""Compare initial values and defaults of official code with those that the tests expect of the cells.

    OFFICIAL_CODE=code python tests/golden/check_cell_initial_values.py [CELL ...]

needs the packages and the clones of ``make_cells.py``, and Equinox. The modules in ``initial_draws`` run the
constructors and initializers of the official code of a cell. For each of these cells the script prints that
the distributions and defaults in ``tests/support/initial_values.py`` hold, or which one does not hold, or the
clone that it lacks.
The exit status is 1 unless they hold for all cells.
"""

from __future__ import annotations

import importlib
import math
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import numpy as np
import torch
from initial_draws._draws import Draw, DrawCell, to_numpy
from official import MissingCloneError

import zoo

sys.path.append(str(Path(__file__).parents[1] / "support"))
from initial_values import DRAWN, EXPECTED, Expected

INPUTS, HIDDEN, DRAWS, HEADS = (
    32,
    64,
    8,
    8,
)  # the first three are those of tests/plugins/test_initial_values.py


def draw_functions() -> dict[str, DrawCell]:
    """Functions that draw the initial values of a cell, by its name."""
    functions: dict[str, DrawCell] = {}
    for file in sorted((Path(__file__).parent / "initial_draws").glob("[!_]*.py")):
        functions |= importlib.import_module(f"initial_draws.{file.stem}").DRAWS
    return dict(sorted(functions.items()))


def sizes_of(name: str) -> Iterator[Any]:
    """Sizes and options of the draws: the defaults, and several heads where the default is one.

    Parameters with one number for each head are then drawn more often.
    """
    options = zoo.get_cell(name).options
    for changed in ({}, {"heads": HEADS}) if options.get("heads") == 1 else ({},):
        yield SimpleNamespace(**{"I": INPUTS, "H": HIDDEN, **options, **changed})


def seeded(draw: DrawCell, sizes: Any, seed: int) -> Draw:
    """One draw from generators with a seed."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002  # official code uses this generator
    torch.manual_seed(seed)
    return draw(sizes)


def check(expected: Expected, draws: list[Draw], sizes: Any) -> None:
    """Raise AssertionError if the draws or defaults are not as expected.

    Args:
        expected: Distributions and defaults of the cell.
        draws: Draws of the official code.
        sizes: The sizes and options that the distributions depend on.
    """
    distributions = {**expected.arrays, **expected.official}
    drawn = {name: distribution for name, distribution in distributions.items() if distribution is not None}
    assert set(draws[0].arrays) == set(drawn), f"arrays {sorted(draws[0].arrays)}, expected {sorted(drawn)}"
    for name, distribution in drawn.items():
        try:
            distribution(sizes)(np.stack([to_numpy(draw.arrays[name]) for draw in draws]))
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from error
    defaults = {**expected.options, **expected.official_options}
    for name, default in draws[0].options.items():
        assert name in defaults, name
        expected_default = defaults[name]
        same = default == expected_default or (
            isinstance(default, float) and math.isclose(default, expected_default, rel_tol=1e-9)
        )
        assert same, f"default of {name} {default!r}, expected {expected_default!r}"


def main(chosen: list[str]) -> int:
    """Check the given cells, or all that have official code, and return the exit status."""
    torch.set_default_dtype(torch.float64)
    jax.config.update("jax_enable_x64", True)
    functions = draw_functions()
    kinds = {name for name, expected in EXPECTED.items() if expected.kind == DRAWN}
    assert kinds == set(functions), f"differently marked: {sorted(kinds ^ set(functions))}"
    failed = 0
    for name in chosen:
        if name not in functions:
            failed += 1
            print(f"{name}: no function draws its initial values", file=sys.stderr)
    for name in [name for name in functions if name in chosen or not chosen]:
        try:
            for sizes in sizes_of(name):
                check(EXPECTED[name], [seeded(functions[name], sizes, seed) for seed in range(DRAWS)], sizes)
        except (AssertionError, MissingCloneError) as error:
            failed += 1
            print(f"{name}: {error}", flush=True)
        else:
            print(f"{name}: as expected", flush=True)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
