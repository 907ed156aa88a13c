"""Laws about the backward pass: it is the derivative of the forward pass.

The differentiated scalar is ``sum(dy * y) + sum(dlast * last)`` with random ``dy`` and ``dlast``. The initial
states are not zero, so that every path contributes, including those that training from zero never uses.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from unittest import SkipTest

import numpy as np

from zoo.array_types import Array, Arrays
from zoo.base import Cell
from zoo.compiler.frontend.trace_step import step_graph_of
from zoo.compiler.passes.gradient_cuts import GradientCuts, find_gradient_cuts
from zoo.errors import DefinitionError
from zoo.testing.assertions import assert_close, assert_same
from zoo.testing.report import GradientWarning
from zoo.testing.trials import DENSE64, FLOAT64, Case, Trial, law, make_trial, named_gradients, run

# The error of a central difference in float64 is smallest, about 1e-10, for a step near the cube root of the
# epsilon. Wrong terms exceed the tolerance by orders of magnitude. The smaller steps are for cells with
# kinks, such as ReLU: a kink between the two points of the first step is rarely between closer points.
STEPS = (6e-6, 6e-7, 6e-8)
TOLERANCE = 1e-7
# Elements compared in one array, with two forward passes each, so that a large cell is checked in seconds.
# The directional derivative covers all elements.
MAX_ELEMENTS = 24


def _compares(variables: Callable[[Cell], Iterable[str]]) -> Callable[[Cell], None]:
    """Warn of cut gradients, and skip a law that compares cut gradients only, before its first case."""

    def warn_or_skip(cell: Cell) -> None:
        warn_of_cuts(cell)
        skip_if_all_cut(cell, variables(cell))

    return warn_or_skip


@law(before=_compares(lambda cell: cell.params), kinds=FLOAT64)
def check_parameter_gradients(case: Case) -> None:
    """The gradient of every parameter equals central differences in float64."""
    meaning = (
        "Usually a term of the chain rule is missing, or a sum over the steps, the rows or the uses of a "
        "weight."
    )
    trial = make_trial(case)
    _compare(trial, "gradient of parameter", trial.rnn.layout.views(trial.theta), meaning)


@law(before=_compares(lambda _: ["x"]), kinds=(DENSE64,))
def check_input_gradient(case: Case) -> None:
    """The gradient of the input equals central differences in float64."""
    meaning = (
        "Layers below learn from it; often it is the gradient at the pre-activation times the transposed "
        "weights."
    )
    trial = make_trial(case)
    _compare(trial, "gradient of", {"the input x": trial.x}, meaning)


@law(before=_compares(lambda cell: cell.states), kinds=FLOAT64)
def check_state_gradient(case: Case) -> None:
    """The gradient of every initial state equals central differences in float64; it is zero if discrete."""
    meaning = (
        "Back-propagation through time begins with `dlast` and ends with the gradient of the initial state; "
        "a state that is passed on unchanged passes its gradient on."
    )
    trial = make_trial(case)
    smooth = {name: value for name, value in trial.state.items() if name not in trial.discrete}
    _compare(trial, "gradient of the initial state", smooth, meaning)
    _check_discrete(trial)


@law(
    before=_compares(lambda cell: ["x", *cell.states, *cell.params]),
    kinds=FLOAT64,
    steps=(1, 9),
    batch=(1, 10),
    most_inputs=5,
    most_hidden=8,
)
def check_directional_derivative(case: Case) -> None:
    """The derivative in a random direction of all variables equals central differences in float64."""
    meaning = (
        "Where single gradients are right, look at what only long sequences, large batches and wide layers "
        "reach: a truncated sum, the first and last steps of a loop, the edges of blocks."
    )
    compare_direction(make_trial(case), meaning)


@law(kinds=FLOAT64)
def check_vjp_linear(case: Case) -> None:
    """The backward pass is linear: the gradient of a weighted sum is the weighted sum of the gradients."""
    meaning = "A backward pass that clips, normalises or adds is not a derivative; clip in training instead."
    trial, other = make_trial(case), make_trial(replace(case, seed=case.seed + 1))

    def backward(a: float, b: float) -> Arrays:
        _, _, tape = trial.apply()
        dlast = {name: a * trial.dlast[name] + b * other.dlast[name] for name in trial.dlast}
        return named_gradients(trial.rnn, *trial.rnn.vjp(tape, a * trial.dy + b * other.dy, dlast))

    first, second = backward(1, 0), backward(0, 1)
    expected = {name: 50 * first[name] - 0.3 * second[name] for name in first}
    assert_close(case.cell, backward(50, -0.3), expected, 50 * trial.rounding, meaning)
    zeros = {name: np.zeros_like(value) for name, value in first.items()}
    assert_same(
        case.cell, backward(0, 0), zeros, f"Zero gradients in must give zero gradients out. {meaning}"
    )


@functools.lru_cache(maxsize=256)
def gradient_cuts(cell: Cell) -> GradientCuts:
    """Variables whose gradient ``step`` cuts or replaces; none for a cell without a ``step``."""
    if not cell.has_step():
        return GradientCuts()
    try:
        return find_gradient_cuts(step_graph_of(cell))
    except DefinitionError:  # the cell has kernels, and a step for NumPy alone
        return GradientCuts()


def compare_direction(trial: Trial, meaning: str) -> None:
    """Compare the derivative in a random direction of all variables with central differences."""
    gradients = run(trial)
    moves = {name: _direction(trial, array) for name, array in _variables(trial).items()}
    if not moves:
        return
    slope = sum(float(np.sum(gradients[name] * direction)) for name, (_, direction) in moves.items())
    _assert_slopes(trial, "derivative in a random direction", np.array(slope), [()], [moves], meaning)


def warn_of_cuts(cell: Cell) -> None:
    """Warn of gradients that ``step`` cuts or replaces: laws do not compare them with finite differences."""
    cuts = gradient_cuts(cell)
    if cuts.names:
        warnings.warn(GradientWarning(_cut_text(cell, cuts)), stacklevel=2)


def skip_if_all_cut(cell: Cell, variables: Iterable[str]) -> None:
    """Skip a law if ``step`` cuts or replaces the gradients of all variables that the law compares.

    Args:
        cell: The cell.
        variables: ``x``, states and parameters, by name.

    Raises:
        SkipTest: if it does.
    """
    names = gradient_cuts(cell).names
    smooth = [name for name in variables if name not in cell.states or not cell.states[name].discrete]
    if names and names.issuperset(smooth):
        raise SkipTest("its step cuts or replaces all gradients that this law compares; see the warning")


def _cut_text(cell: Cell, cuts: GradientCuts) -> str:
    operands = cuts.stop_gradient_operands
    called = f"({', '.join(operands)})" if operands else ""
    facts = [
        (cuts.stopped, f"zoo.stop_gradient{called} cuts the gradient of"),
        (cuts.surrogate, "a surrogate derivative changes the gradient of"),
        (cuts.without_gradient, "no gradient at all reaches"),
    ]
    reasons = [f"{what} {_list_names(cell, names)}" for names, what in facts if names]
    return (
        f"{cell.label()}: {'; '.join(reasons)}. Finite differences check the other gradients only; "
        "check_large_sizes compares these with reverse mode that cuts and replaces the same derivatives. If "
        "you did not mean this, remove zoo.stop_gradient or zoo.heaviside from `step`."
    )


def _list_names(cell: Cell, names: tuple[str, ...]) -> str:
    """``x, states h, c and parameters W``."""
    states, params = ([name for name in names if name in group] for group in (cell.states, cell.params))
    parts = ["the input x"] if "x" in names else []
    for word, group in (("state", states), ("parameter", params)):
        parts += [f"{word}{'s' if len(group) > 1 else ''} {', '.join(group)}"] if group else []
    return " and ".join(parts)


def _cut_gradient_names(trial: Trial) -> set[str]:
    """Names of the gradients of a trial that are not derivatives.

    A cut input gradient also cuts the gradients of all layers below.
    """
    stack, names, above = trial.rnn.stack, set[str](), False
    for layer in reversed(stack.layers):
        for direction in layer.directions:
            cut = gradient_cuts(direction.cell).names
            groups = (
                ("gradient of parameter", direction.params),
                ("gradient of the initial state", direction.states),
            )
            names |= {
                f"{what} {name}"
                for what, arrays in groups
                for name in arrays
                if above or name.removeprefix(direction.prefix) in cut
            }
        above = above or any("x" in gradient_cuts(each.cell).names for each in layer.directions)
    if above:
        names.add("gradient of the input x")
    learned = stack.learned.items()
    return names | {
        f"gradient of parameter {name}"
        for name, state in learned
        if f"gradient of the initial state {state}" in names
    }


def _check_discrete(trial: Trial) -> None:
    gradients = run(trial)
    for name in trial.discrete:
        what, zeros = f"gradient of the initial state {name}", np.zeros_like(trial.state[name])
        meaning = "A discrete state is not differentiated: return zeros."
        assert_same(trial.cell, {what: gradients[what]}, {what: zeros}, meaning)


# An array of the trial, and the direction in which it moves.
Move = tuple[Array, Array]
Moves = Mapping[str, Move]


def _variables(trial: Trial) -> Arrays:
    """The arrays of a trial to differentiate, by the names of their gradients; cut gradients are left out."""
    named = {} if trial.tokens else {"gradient of the input x": trial.x}
    named |= {
        f"gradient of the initial state {name}": value
        for name, value in trial.state.items()
        if name not in trial.discrete
    }
    views = trial.rnn.layout.views(trial.theta)
    named |= {f"gradient of parameter {name}": view for name, view in views.items()}
    cut = _cut_gradient_names(trial)
    return {name: array for name, array in named.items() if name not in cut}


def _direction(trial: Trial, array: Array) -> Move:
    return array, trial.rng.normal(size=array.shape) / np.sqrt(array.size)


def _compare(trial: Trial, what: str, arrays: Arrays, meaning: str) -> None:
    """Compare some elements of each gradient with central differences."""
    gradients, cut = run(trial), _cut_gradient_names(trial)
    for name, array in arrays.items():
        if f"{what} {name}" in cut:
            continue
        indices = [np.unravel_index(i, array.shape) for i in trial.rng.permutation(array.size)[:MAX_ELEMENTS]]
        moves: list[Moves] = [{name: (array, _unit(array, index))} for index in indices]
        _assert_slopes(trial, f"{what} {name}", gradients[f"{what} {name}"], indices, moves, meaning)


def _unit(array: Array, index: tuple[np.intp, ...]) -> Array:
    direction = np.zeros_like(array)
    direction[index] = 1
    return direction


def _assert_slopes(
    trial: Trial,
    what: str,
    gradient: Array,
    indices: list[tuple[np.intp, ...]],
    moves: list[Moves],
    meaning: str,
) -> None:
    """Require that some elements of the gradient equal the slopes along the moves."""
    expected = gradient.copy()
    for index, move in zip(indices, moves, strict=True):
        expected[index] = _slope(trial, move, near=gradient[index])
    explained = f"Expected are central differences. {meaning}"
    assert_close(trial.cell, {what: gradient}, {what: expected}, TOLERANCE, explained)


def _slope(trial: Trial, moves: Moves, near: float) -> float:
    """Central difference with the first step size that agrees with ``near``, or else with the largest."""
    slopes = []
    for step in STEPS:
        slopes.append(_central_difference(trial, moves, step))
        if abs(slopes[-1] - near) <= TOLERANCE * max(1.0, abs(slopes[-1])):
            return slopes[-1]
    return slopes[0]


def _central_difference(trial: Trial, moves: Moves, step: float) -> float:
    """``(S(v + step d) - S(v - step d)) / (2 step)``; subtracting before summing loses no digits."""
    (y_up, up), (y_down, down) = (_forward_moved(trial, moves, signed) for signed in (step, -step))
    change = float(np.sum(trial.dy * (y_up - y_down)))
    change += sum(float(np.sum(trial.dlast[name] * (up[name] - down[name]))) for name in up)
    return change / (2 * step)


def _forward_moved(trial: Trial, moves: Moves, step: float) -> tuple[Array, Arrays]:
    """Outputs and last states with arrays moved along their directions; restore the arrays afterwards."""
    saved = {name: array.copy() for name, (array, _) in moves.items()}
    for array, direction in moves.values():
        array += step * direction
    y, last, _ = trial.apply()
    for name, (array, _) in moves.items():
        array[...] = saved[name]
    return y, last
