"""Every registered cell, optimizer and sampler, third parties' included, obeys every law."""

from __future__ import annotations

from smaller_cells import SMALLER

import zoo
from zoo.kernels import interpreted
from zoo.testing.domain import TOKENS32
from zoo.testing.laws import check_compiles_once, check_jit_equals_python, check_learns

# To compile a derived cell for both dtypes, with tokens and without, takes ten seconds. These have between
# them most kinds of things the compiler knows: gates, reductions, heads, matrices, complex numbers.
# The others obey the laws as plain Python here, which is the same source, and are compiled for what models
# of text are trained on, float32 and tokens. For what those are not, float64 and dense inputs, all are
# compiled to be compared with golden values in test_cells_golden.py, and `zoo check` compiles all four.
COMPILED = ("delta_net", "lru", "lstm", "slstm")


@zoo.testing.parametrize_cells()
def test_cell(cell, check):
    cell = type(cell)(**SMALLER.get(cell.name, {}))
    if not cell.is_derived() or cell.name in COMPILED:
        check(cell)
    elif check in (check_jit_equals_python, check_compiles_once):
        check(cell, kinds=(TOKENS32,), layers=(1,))
    elif check is check_learns:
        check(cell, kinds=(TOKENS32,))  # which is compiled by now: a descent in plain Python takes a second
    else:
        with interpreted():
            check(cell)


@zoo.testing.parametrize_optimizers()
def test_optimizer(optimizer, check):
    check(optimizer)


@zoo.testing.parametrize_samplers()
def test_sampler(sampler, check):
    check(sampler)
