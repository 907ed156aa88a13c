"""The cases on which the laws try a cell: sizes, dtypes and arrays.

Sizes start at one, which reveals errors of broadcasting. Arrays are C-contiguous with standard normal values.
Inputs are dense or tokens, in float32 or float64, so each kernel has four compiled versions. Hypothesis
chooses the sizes and a seed. The values come from the seed, since sizes explain a failure and no law is about
rare values such as subnormal numbers.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from zoo._lazy import require
from zoo.array_types import Array, Arrays
from zoo.base import Cell, Input
from zoo.errors import UsageError
from zoo.layers import Recurrent, StackConfig, Tape
from zoo.layers.stack import Stack
from zoo.testing.assertions import skip_unless, try_examples
from zoo.testing.settings import example_count

InputKind = tuple[str, bool]
Sizes = tuple[int, int, int]
Span = tuple[int, int]

DENSE64: InputKind = ("float64", False)
TOKENS64: InputKind = ("float64", True)
DENSE32: InputKind = ("float32", False)
TOKENS32: InputKind = ("float32", True)
FLOAT64 = (DENSE64, TOKENS64)
DENSE = (DENSE64, DENSE32)
ALL_KINDS = (DENSE64, TOKENS64, DENSE32, TOKENS32)


@dataclass(frozen=True)
class Case:
    """The sizes, dtype and seed of a trial.

    Args:
        cell: The cell.
        steps: ``T``.
        batch: ``B``.
        sizes: ``I``, ``H`` and the number of layers.
        dtype: ``"float32"`` or ``"float64"``.
        tokens: Whether the input is tokens.
        seed: Seed of all arrays.
    """

    cell: Cell = field(repr=False)
    steps: int
    batch: int
    sizes: Sizes
    dtype: str
    tokens: bool
    seed: int

    def __str__(self) -> str:
        inputs, hidden, layers = self.sizes
        kind = "tokens" if self.tokens else "dense"
        return (
            f"T={self.steps} B={self.batch} I={inputs} H={hidden} layers={layers} {self.dtype} {kind} "
            f"seed={self.seed}"
        )


@dataclass(frozen=True)
class Trial:
    """A layer and the arguments of its forward and backward pass.

    Args:
        rnn: The layer, with its initial parameters.
        theta: Parameters, ``(P,)``.
        x: Inputs ``(T, B, I)`` or tokens ``(T, B)``.
        state: First states, not zero; small whole numbers where they are discrete.
        inputs: Auxiliary inputs of the cell that all layers can share, from 0.5 to 1.5.
        dy: Gradient of the outputs.
        dlast: Gradient of the last states, not zero; zero where they are discrete.
        rng: Generator for further random numbers of a law.
        lengths: Steps of each row, if they are not all steps of x.
        noise: Seed and step of noise and dropout; None for none.
    """

    rnn: Recurrent
    theta: Array
    x: Array
    state: Arrays
    inputs: Arrays
    dy: Array
    dlast: Arrays
    rng: np.random.Generator
    lengths: Array | None = None
    noise: tuple[int, int] | None = None

    @property
    def cell(self) -> Cell:
        """The cell on trial."""
        return self.rnn.cell

    @property
    def discrete(self) -> tuple[str, ...]:
        """The states that are not differentiated."""
        return self.rnn.stack.discrete_states

    def apply(self, theta: Array | None = None) -> tuple[Array, Arrays, Tape]:
        """Run the forward pass, with other parameters if given."""
        chosen = self.theta if theta is None else theta
        return self.rnn.apply(
            chosen, self.x, self.state or None, noise=self.noise, lengths=self.lengths, **self.inputs
        )

    @property
    def tokens(self) -> bool:
        """Whether the input is tokens."""
        return self.x.ndim == 2

    @property
    def eps(self) -> float:
        """Distance from one to the next number of the dtype."""
        return float(np.finfo(self.rnn.dtype).eps)

    @property
    def rounding(self) -> float:
        """The tolerance between two computations of the same array, relative to its largest element.

        Rounding errors add up over steps and layers. A factor of 64 allows for sums in another order, for
        other implementations of exp and tanh, and for weights that amplify errors. The error of a wrong term
        is much larger.
        """
        steps: int = self.x.shape[0]
        return 64 * self.eps * max(1, steps) * len(self.rnn.stack.directions)


def suitable_sizes(
    cell: Cell,
    most_inputs: int = 3,
    most_hidden: int = 4,
    layers: tuple[int, ...] = (1, 2),
    least_inputs: int = 1,
) -> tuple[Sizes, ...]:
    """Sizes ``(I, H, layers)`` that suit the cell's shapes, from one up; larger if no small size does."""
    for factor in (1, 4, 16):
        ranges = range(least_inputs, factor * most_inputs + 1), range(1, factor * most_hidden + 1), layers
        if suitable := tuple(sizes for sizes in itertools.product(*ranges) if _is_valid_size(cell, sizes)):
            return suitable
    raise AssertionError(
        f"{cell.label()}: found no I up to {16 * most_inputs} and H up to {16 * most_hidden} that its sizes "
        "allow, expected some. Check the divisions in the declared sizes."
    )


# Some twenty laws ask for the same sizes, and a stack takes 5 ms: half the time of the laws in plain Python.
@functools.lru_cache(maxsize=1024)
def _is_valid_size(cell: Cell, sizes: Sizes) -> bool:
    try:
        if cell.buffers:  # their initial values may need more of a size than its division
            Recurrent(cell, *sizes)
        else:
            Stack(StackConfig(cell, *sizes))
    except UsageError:
        return False
    return True


def nearest_size(cell: Cell, inputs: int, hidden: int) -> Sizes | None:
    """The sizes of one layer that suit the cell's shapes and are nearest to some I and H; None if none are.

    The input size is the given one if it suits any hidden size, else the hidden size.
    """
    near = sorted(range(1, hidden + 17), key=lambda size: abs(size - hidden))
    fitting = ((inputs, size, 1) for size in near)
    square = ((size, size, 1) for size in near)
    return next((sizes for sizes in itertools.chain(fitting, square) if _is_valid_size(cell, sizes)), None)


def make_trial(case: Case, rnn: Recurrent | None = None) -> Trial:
    """The arrays of a case.

    Parameters are their initial values plus noise. The noise makes biases nonzero, since a zero bias hides a
    missing term. The initial values keep a parameter positive or small if it has to be. For more than four
    hidden units the noise is smaller, since a chaotic cell doubles rounding errors at every step of a long
    sequence.

    Args:
        case: The choices.
        rnn: Other layers of the same I and dtype; None for plain ones of the case's cell.
    """
    inputs, hidden, layers = case.sizes
    rnn = rnn or Recurrent(
        case.cell, inputs, hidden, num_layers=layers, dtype=case.dtype, seed=case.seed, threads=1
    )
    rng = np.random.default_rng(case.seed)

    def normal(*shape: int) -> Array:
        return rng.normal(size=shape).astype(case.dtype)

    shapes, discrete = rnn.stack.state_shapes, rnn.stack.discrete_states

    def states() -> Arrays:
        return {name: normal(case.batch, *shape) / 2 for name, shape in shapes.items()}

    spread = 5 * max(1.0, hidden / 4) ** 0.5
    theta = rnn.theta + (normal(rnn.layout.size) / spread).astype(case.dtype)
    dense = normal(case.steps, case.batch, inputs)
    tokens = rng.integers(inputs, size=(case.steps, case.batch), dtype=np.int32)
    dy = normal(case.steps, case.batch, rnn.output_size)
    state, dlast = states(), states()
    for name in discrete:
        state[name] = rng.integers(8, size=state[name].shape).astype(case.dtype)
        dlast[name] = np.zeros_like(dlast[name])
    declared = rnn.stack.inputs
    inputs_at_steps = {
        name: _draw(rng, declared[name], (case.steps, case.batch, *shape)).astype(case.dtype)
        for name, shape in rnn.stack.input_shapes.items()
        # An input with different shapes in different layers cannot be given: every layer would get it.
        if all(layer.inputs.get(name, shape) == shape for layer in rnn.stack.directions)
    }
    return Trial(rnn, theta, tokens if case.tokens else dense, state, inputs_at_steps, dy, dlast, rng)


def _draw(rng: np.random.Generator, declared: Input, shape: tuple[int, ...]) -> Array:
    """Numbers that an auxiliary input allows: its choices, or else numbers near one."""
    if declared.choices is not None:
        return rng.choice(np.array(declared.choices, np.float64), shape)
    least = -math.inf if declared.low is None else declared.low
    most = math.inf if declared.high is None else declared.high
    return rng.uniform(min(max(0.5, least), most), max(min(1.5, most), least), shape)


def rebuild_layer(rnn: Recurrent, dtype: Any = None, threads: int = 1) -> Recurrent:
    """A layer of the same cell, sizes and buffers, with another dtype or number of threads."""
    inputs, hidden, layers = rnn.stack.input_size, rnn.stack.hidden_size, len(rnn.stack.directions)
    copy = Recurrent(rnn.cell, inputs, hidden, num_layers=layers, dtype=dtype or rnn.dtype, threads=threads)
    copy.fill(rnn.buffers)
    return copy


def astype(trial: Trial, dtype: str) -> Trial:
    """The same numbers in another dtype."""
    state, inputs, dlast = (
        {name: array.astype(dtype) for name, array in arrays.items()}
        for arrays in (trial.state, trial.inputs, trial.dlast)
    )
    x = trial.x if trial.tokens else trial.x.astype(dtype)
    rnn, theta, dy = rebuild_layer(trial.rnn, dtype), trial.theta.astype(dtype), trial.dy.astype(dtype)
    return Trial(rnn, theta, x, state, inputs, dy, dlast, trial.rng)


def is_well_conditioned(trial: Trial, expected: Arrays, eps: float, tolerance: float) -> bool:
    """Whether changes of the last bits of all arrays change no result by a quarter of the tolerance.

    A case that magnifies rounding errors more than that, such as a norm over few units of nearly equal size,
    does not tell a wrong kernel from a rounding error: two correct computations differ by as much.

    Args:
        trial: The case, in a dtype that resolves the change.
        expected: Its results.
        eps: Relative size of the change of every element; its signs are drawn three times.
        tolerance: Relative to the largest element of a result, or one.
    """
    return all(
        float(np.max(np.abs(changed[name] - value), initial=0.0))
        <= tolerance / 4 * max(1.0, float(np.max(np.abs(value), initial=0.0)))
        for changed in (run(_nudge(trial, eps, seed)) for seed in range(3))
        for name, value in expected.items()
    )


def _nudge(trial: Trial, eps: float, seed: int) -> Trial:
    """Change every element of the arrays of a trial by a relative ``eps`` of random sign."""
    rng = np.random.default_rng(seed)

    def nudge(array: Array) -> Array:
        if array.dtype.kind != "f" or not array.size:
            return array
        changed: Array = array * (1 + eps * rng.choice([-1.0, 1.0], array.shape))
        return changed.astype(array.dtype)

    discrete = {name for name, array in trial.dlast.items() if not array.any()}
    return replace(
        trial,
        theta=nudge(trial.theta),
        x=nudge(trial.x),
        state={name: array if name in discrete else nudge(array) for name, array in trial.state.items()},
        dy=nudge(trial.dy),
        dlast={name: nudge(array) for name, array in trial.dlast.items()},
    )


def run(trial: Trial) -> Arrays:
    """Run both passes and return the results by the names that errors use."""
    y, last, tape = trial.apply()
    dx, dstate, dtheta = trial.rnn.vjp(tape, trial.dy, trial.dlast)
    return named_outputs(y, last) | named_gradients(trial.rnn, dx, dstate, dtheta)


def named_outputs(y: Array, last: Arrays) -> Arrays:
    """The results of a forward pass by name."""
    return {"output y": y} | {f"last state {name}": value for name, value in last.items()}


def named_gradients(rnn: Recurrent, dx: Array | None, dstate: Arrays, dtheta: Array) -> Arrays:
    """The results of a backward pass by name."""
    named = {} if dx is None else {"gradient of the input x": dx}
    named |= {f"gradient of the initial state {name}": value for name, value in dstate.items()}
    return named | {
        f"gradient of parameter {name}": value for name, value in rnn.layout.views(dtheta).items()
    }


def inputs_of(trial: Trial) -> Iterator[tuple[str, Array]]:
    """All arguments of the two passes by name."""
    yield "the parameters", trial.theta
    yield "the input x", trial.x
    yield from ((f"the buffer {name}", value) for name, value in trial.rnn.buffers.items())
    yield from ((f"the initial state {name}", value) for name, value in trial.state.items())
    yield from ((f"the input {name}", value) for name, value in trial.inputs.items())
    yield "the gradient dy of the output", trial.dy
    yield from (
        (f"the gradient dlast of the last state {name}", value) for name, value in trial.dlast.items()
    )


def for_all(
    cell: Cell,
    law: Callable[[Case], None],
    *,
    kinds: tuple[InputKind, ...] = ALL_KINDS,
    steps: Span = (1, 4),
    batch: Span = (1, 3),
    most_inputs: int = 3,
    most_hidden: int = 4,
    layers: tuple[int, ...] = (1, 2),
    least_inputs: int = 1,
) -> None:
    """Try a law on cases of every kind of input, at sizes from one up.

    Each of the few kinds is tried at the same sizes. Hypothesis chooses the sizes, the smallest first.

    Args:
        cell: The cell.
        law: Raises AssertionError if it is broken.
        kinds: Dtypes, each with tokens or without.
        steps: Smallest and largest ``T``.
        batch: Smallest and largest ``B``.
        most_inputs: Largest ``I``.
        most_hidden: Largest ``H``.
        layers: Numbers of layers.
        least_inputs: Smallest ``I``.

    Raises:
        AssertionError: for the smallest case found that breaks the law.
    """
    require("hypothesis", "zoo.testing", "testing")
    from hypothesis import strategies as st
    from hypothesis.errors import UnsatisfiedAssumption

    def is_rejected(case: Case) -> bool:
        try:
            at_case(case, law)
        except UnsatisfiedAssumption:
            return True
        return False

    def try_kinds(steps: int, batch: int, sizes: Sizes, seed: int) -> None:
        cases = [Case(cell, steps, batch, sizes, *kind, seed=seed) for kind in kinds]
        rejected = [is_rejected(case) for case in cases]  # a rejected kind leaves none of the others out
        skip_unless(not any(rejected))

    try_examples(
        try_kinds,
        st.integers(*steps),
        st.integers(*batch),
        st.sampled_from(suitable_sizes(cell, most_inputs, most_hidden, layers, least_inputs)),
        st.integers(0, 99),
        count=example_count(),
    )


def law(
    before: Callable[[Cell], object] | None = None, **choices: Any
) -> Callable[[Callable[[Case], None]], Callable[..., None]]:
    """Decorator that makes a check of a cell of a law of one case.

    Args:
        before: Called with the cell before any case, for example to skip the law.
        **choices: Keyword arguments of :func:`for_all`. The check takes others instead.
    """

    def decorate(try_case: Callable[[Case], None]) -> Callable[..., None]:
        @functools.wraps(try_case)
        def check(cell: Cell, **changes: Any) -> None:
            if before is not None:
                before(cell)
            for_all(cell, try_case, **{**choices, **changes})

        return check

    return decorate


def at_case(case: Case, law: Callable[[Case], None]) -> None:
    """Try a law on one case; the message of its error ends with the case."""
    try:
        with np.errstate(all="ignore"):  # plain Python warns of infinities that some laws make on purpose
            law(case)
    except AssertionError as error:
        raise AssertionError(f"{error} [{case}]") from error.__cause__
