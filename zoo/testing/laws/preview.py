"""Calls of the kernels that the laws of a cell compile, for a second process that compiles some of them."""

from __future__ import annotations

from zoo.base import Cell
from zoo.testing.laws.model import TOKENS, language_model
from zoo.testing.trials import ALL_KINDS, Case, make_trial, run, suitable_sizes


def call_kernels(cell: Cell) -> None:
    """Call each kernel once with arguments of each type, in about the order of the laws."""
    for kind in ALL_KINDS:
        run(make_trial(Case(cell, 1, 1, suitable_sizes(cell)[0], *kind, seed=0)))
    for kind in TOKENS:
        model, tokens = language_model(
            Case(cell, 1, 1, suitable_sizes(cell, least_inputs=2)[0], *kind, seed=0)
        )
        model.logits(tokens)
        model.loss_and_grad(tokens, tokens)
