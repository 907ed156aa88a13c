"""Fast and slow cells: several copies of a cell, of which one updates less often."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import zoo


class FastSlow(zoo.Modifier):
    """Fast-slow network: k fast copies of the cell, one after the other within a step, and a slow copy.

    The fast copies share one state. The slow copy has a state of its own, reads the output of the first fast
    copy, and passes its output to the second. So the slow copy updates once while the fast ones update k
    times.

    Equations, with F1 .. Fk and S copies of the cell, each with parameters of its own::

        fast = F1(x, fast)
        slow = S(output of F1, slow)
        fast = F2(output of S, fast)
        fast = Fi(nothing, fast)        for i = 3 .. k
        y    = output of Fk

    Parameters have the names in the cell with the prefix ``fast1_``, ``slow_``, ``fast2_`` and so on. Copies
    that read no input have no input matrices. There are two copies of each state, with the prefixes ``fast_``
    and ``slow_``. All copies have H units.
    """

    card = zoo.Card(
        title="Fast-Slow Recurrent Neural Networks",
        authors="Asier Mujika, Florian Meier, Angelika Steger",
        year=2017,
        url="https://arxiv.org/abs/1705.08639",
        variant="All copies are of one kind, as in the FS-LSTM.",
        deviations="Fast and slow copies have one size, and there is no dropout or zoneout except in "
        "the cell.",
        when_to_use="Use it for text, where the paper reports good results at the level of characters: the "
        "slow copy keeps what changes rarely. It has up to k + 1 times the parameters and the products of "
        "the cell. With k = 2, the slow copy sits between the two fast ones.",
    )
    k = zoo.Option(2, help="fast copies", low=2, high=16)

    def edit(self, spec: Any) -> None:
        """Replace the declarations of the cell by declarations for every copy."""
        groups = (spec.params, spec.buffers, spec.inputs)
        per_copy, states = (
            {name: each for group in groups for name, each in group.items()},
            dict(spec.states),
        )
        if any("I" in size.names for state in states.values() for size in state.shape):
            raise spec.unsupported("the sizes of its states depend on the sizes of its input")
        for name, declared in spec.inputs.items():
            if declared.between_steps:
                raise spec.unsupported(
                    f"its input {name!r} is a value between steps, and each copy would apply it within one "
                    f"step; choose a cell without such an input"
                )
        for group in (*groups, spec.states):
            group.clear()
        for copy in self._copies():
            sizes = {} if copy == "fast1" else {"I": spec.output}
            for name, declared in per_copy.items():
                if _has_array(spec, copy, name):
                    spec.declare_like(declared, f"{copy}_{name}", sizes)
        for kind in ("fast", "slow"):
            for name, state in states.items():
                spec.declare_like(state, f"{kind}_{name}")

    def _copies(self) -> list[str]:
        return ["fast1", "slow", *(f"fast{i}" for i in range(2, self.k + 1))]

    def matmul(self, ctx: Any, matmul: Any, operand: Any, matrix: Any) -> Any:
        """The product, or zero for the input of a copy that reads none."""
        if matmul.is_recurrent or not _has_no_input(ctx.memo["copy"]):
            return matmul.multiply(operand, matrix)
        return np.zeros_like(matrix[:, 0] if matmul.is_left else matrix[0])

    def step(self, ctx: Any, inner_step: Callable[..., Any], x: Any, states: Mapping[str, Any]) -> Any:
        """Run the copies in turn."""
        cell = ctx.spec.cell
        before = {kind: {name: states[f"{kind}_{name}"] for name in cell.states} for kind in ("fast", "slow")}
        for copy in self._copies():
            kind = "slow" if copy == "slow" else "fast"
            ctx.memo["copy"] = copy
            result = inner_step(x, before[kind], _arrays_of(ctx, copy))
            before[kind], x = result.states, result.output
        after = {f"{kind}_{name}": value for kind, group in before.items() for name, value in group.items()}
        return type(result)(result.y, after)


def _has_no_input(copy: str) -> bool:
    """Whether a copy reads no input."""
    return copy not in ("fast1", "slow", "fast2")


def _has_array(spec: Any, copy: str, name: str) -> bool:
    """Whether a copy has an array. It lacks arrays that only multiply an input which it does not read."""
    matmuls = [matmul for matmul in spec.matmuls if matmul.param == name]
    is_of_input = (
        bool(matmuls)
        and not any(matmul.is_recurrent for matmul in matmuls)
        and name not in spec.non_matmul_params
    )
    return not (_has_no_input(copy) and is_of_input)


def _arrays_of(ctx: Any, copy: str) -> dict[str, Any]:
    """The arrays of a copy under their names in the cell."""
    prefix = f"{copy}_"
    return {name.removeprefix(prefix): each for name, each in ctx.arrays.items() if name.startswith(prefix)}


@zoo.hookimpl
def zoo_register_modifiers(register: Callable[[type[zoo.Modifier]], None]) -> None:
    """Register fast and slow cells."""
    register(FastSlow)
