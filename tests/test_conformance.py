"""Every registered cell, optimizer and sampler, third parties' included, obeys every law."""

from __future__ import annotations

import zoo


@zoo.testing.parametrize_cells()
def test_cell(cell, check):
    check(cell)


@zoo.testing.parametrize_optimizers()
def test_optimizer(optimizer, check):
    check(optimizer)


@zoo.testing.parametrize_samplers()
def test_sampler(sampler, check):
    check(sampler)
