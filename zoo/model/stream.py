"""A stream of symbols: a model's layers, its readout and a chain of samplers in one compiled loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo import kernels
from zoo.compiler.generated import load_source
from zoo.compiler.walks import walk
from zoo.contracts import Chain
from zoo.kernels.jit import Kernel, njit
from zoo.kernels.random import uniform

if TYPE_CHECKING:
    from zoo.model.language_model import LanguageModel

Array = np.ndarray[Any, Any]

UNDRAWN = -1
"""In place of a symbol: one that is yet to be drawn."""

MOST_LAYERS = 8
"""With more, the loop is plain Python: a call with hundreds of arrays takes too long to compile."""


class Stream:
    """One sequence, from states of zero: what is given goes in, what follows comes out.

    Args:
        model: The model; its parameters are copied.
        chain: What logits go through before a symbol is drawn.
        seed: Draw number n takes the n-th number of its sequence.
    """

    def __init__(self, model: LanguageModel, chain: Chain, seed: int) -> None:
        self._chain, self._seed = chain, seed
        self._options = tuple(tuple(sampler.options.values()) for sampler in chain.samplers)
        self._loop = _loop(model, chain)
        self._layers, y, x = _layers(model)
        self._logits = np.zeros((1, len(model.vocab)), model.dtype)
        weights = kernels.weights_for(self._logits.size, np.float64 if chain.samplers else model.dtype)
        readout = kernels.pack(model.params["Why"]), model.params["by"].copy().reshape(1, -1)
        self._readout = (x, y.reshape(1, -1), *readout, self._logits, weights)
        self._drawn = False

    def follow(self, tokens: Array) -> None:
        """Take symbols that are there already, ``(N,)`` int32."""
        self._run(tokens, 0)

    def draw(self, first: int, count: int) -> Array:
        """Go on by so many symbols, ``(count,)`` int32, with the draws from number ``first`` on.

        Raises:
            UsageError: if the logits, as they are or after a sampler, leave no symbol to draw.
        """
        tokens = np.full(count, UNDRAWN, np.int32)
        made = self._run(tokens, first) if self._drawn else 0
        while made < count:
            # The loop stops where the logits are none to draw from, and the chain says what is wrong with
            # them; it makes the first draw of all, too, for it checks what samplers return.
            tokens[made] = self._chain(self._logits[0], uniform(self._seed, first + made))
            made += self._run(tokens[made:], first + made)
            self._drawn = True
        return tokens

    def _run(self, tokens: Array, first: int) -> int:
        start = np.uint64(self._seed), np.uint64(first)
        return self._loop(self._layers, self._readout, self._options, *start, tokens)  # type: ignore[no-any-return]


def _layers(model: LanguageModel) -> tuple[tuple[Any, ...], Array, Array]:
    """What every layer keeps, the array of the output of the last, and that of the token for the first.

    With what a residual layer keeps are its input, its output, and where their sum goes.
    """
    stack, found = model.stack, walk(model.cell)
    arrays = {name: value.copy() for name, value in (*model.params.items(), *model.buffers.items())}
    beside = stack.beside({}, (1, 1), model.dtype).part(slice(0, 1), slice(0, 1))
    token = y = np.zeros((1, 1), np.int32)
    layers = []
    for floor, ((told,), _) in zip(stack.floors, beside, strict=True):
        (layer,) = floor.layers
        params = tuple(arrays[name] for name in layer.arrays)
        state = tuple(np.zeros((1, *shape), model.dtype) for shape in layer.states.values())
        x = y
        y, kept = found.prepare(params, x, state, *((told,) if told else ()))
        if floor.is_residual:
            total = np.zeros_like(y)
            kept, y = (kept, (x, y, total)), total
        layers.append(kept)
    return tuple(layers), y, token


@njit
def add_input(x: Array, y: Array, total: Array) -> None:
    """``total = x + y`` for one step of one row; a token is a one-hot row."""
    for n in range(y.shape[2]):
        total[0, 0, n] = y[0, 0, n]
    if x.ndim == 2:
        total[0, 0, x[0, 0]] += 1
    else:
        for n in range(y.shape[2]):
            total[0, 0, n] += x[0, 0, n]


def _loop(model: LanguageModel, chain: Chain) -> Callable[..., Any]:
    """The loop over symbols for this cell, these samplers, and one layer or several."""
    found = walk(model.cell)
    samplers = {f"sampler_{n}": sampler.kernel("transform") for n, sampler in enumerate(chain.samplers)}
    residual = [floor.is_residual for floor in model.stack.floors]
    jitted = all(isinstance(kernel, Kernel) for kernel in samplers.values())
    compiled = found.compiled and jitted and len(residual) <= MOST_LAYERS
    text = "\n".join(_lines(len(samplers), residual, compiled))
    given = {"advance": found.advance, **samplers} | ({"add_input": add_input} if any(residual) else {})
    return load_source(f"{model.cell.name}_stream", text, given).run  # type: ignore[no-any-return]


def _lines(samplers: int, residual: list[bool], compiled: bool) -> Iterator[str]:
    """The module of a loop.

    Args:
        samplers: How many there are.
        residual: For each layer whether its input is added to its output.
        compiled: Whether the loop is: a function that Numba knows nothing of can only be called from Python.
    """
    yield '"""Symbol after symbol: the step of every layer, the readout, the samplers, the draw."""'
    yield from ("", "import numpy as np", "", "import zoo", "from zoo import kernels", "", "")
    yield from ["@zoo.njit"] * compiled
    yield "def run(layers, readout, options, seed, first, tokens):"
    yield '    """Draw the tokens that are below zero; how many there are before one that cannot be drawn."""'
    yield from ["    layers, readout = kernels.borrowed((layers, readout))"] * compiled
    yield "    x, y, panels, by, logits, weights = readout"
    yield "    for n in range(tokens.size):"
    yield "        if tokens[n] < 0:"
    yield from (f"            {line}" for line in _draw_lines(samplers))
    yield "        x[0, 0] = tokens[n]"
    yield from (f"        {line}" for line in _step_lines(residual))
    yield "        kernels.copy_row(by, logits)"
    yield "        kernels.add_matmul(y, panels, logits)"
    yield "    return tokens.size"
    yield ""


def _step_lines(residual: list[bool]) -> Iterator[str]:
    """The lines that take one step of every layer."""
    if not any(residual):
        yield "advance(layers[0])"
        yield from ["for layer in layers[1:]:", "    advance(layer)"] * (len(residual) > 1)
        return
    for n, is_residual in enumerate(residual):
        yield f"advance(layers[{n}]{'[0]' * is_residual})"
        yield from [f"add_input(*layers[{n}][1])"] * is_residual


def _draw_lines(samplers: int) -> Iterator[str]:
    """The lines that draw one symbol."""
    if samplers == 0:
        yield "scores_0 = kernels.row(logits, 0)"
    else:
        yield "scores_0 = kernels.scores_of(logits)"
    for n in range(samplers):
        yield f"if not kernels.is_drawable(scores_{n}, logits.size):"
        yield "    return n"
        yield f"scores_{n + 1} = sampler_{n}(scores_{n}, *options[{n}])"
    if samplers:
        yield f"if scores_{samplers}.size != logits.size:"
        yield "    return n"
    yield "u = kernels.random_uniform(seed, first + np.uint64(n))"
    yield f"token = kernels.draw(scores_{samplers}, weights, u)"
    yield "if token < 0:"
    yield "    return n"
    yield "tokens[n] = token"
