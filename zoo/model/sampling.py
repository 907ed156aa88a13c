"""A stream of symbols: a model's layers, its readout and a chain of samplers in one compiled loop.

Text from a model, symbol by symbol.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain as joined
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from zoo import kernels
from zoo.arguments import as_elements, as_integer, check_seed, short_repr
from zoo.base import Chain, Sampler
from zoo.compiler.cell_kernels import walk
from zoo.compiler.codegen.source_module import load_source
from zoo.data import Decoder
from zoo.data.vocabulary import OnUnknown
from zoo.errors import UsageError
from zoo.kernels.jit import Kernel, njit
from zoo.kernels.random import uniform
from zoo.layers.validation import as_tokens
from zoo.registry import get_sampler

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


Tokens = np.ndarray[Any, np.dtype[np.int32]]

Prompt = str | bytes | Sequence[str] | Sequence[int] | Tokens

"""A text, its symbols, or its tokens."""

PATIENCE = 0.05

"""Seconds that somebody who watches, or who pressed Ctrl-C, may wait for the symbols under way."""

MOST = 4096

"""Symbols under way at most; with more, a call of the loop costs no less of each."""


def as_chain(sampler: str | Sampler | Chain | None) -> Chain:
    """A chain of samplers from whatever names one.

    Raises:
        UnknownNameError: if no sampler has this name.
        UsageError: if it is nothing that samples.
    """
    if sampler is None:
        return Chain()
    if isinstance(sampler, str):
        return Chain((get_sampler(sampler),))
    if isinstance(sampler, Sampler):
        return Chain((sampler,))
    if isinstance(sampler, Chain):
        return sampler
    raise UsageError(
        f"sampler is {short_repr(sampler)}; expected a sampler, its name, or samplers chained with |."
    )


def generate(
    model: LanguageModel,
    prompt: Prompt,
    length: int,
    sampler: str | Sampler | Chain | None = None,
    seed: int = 0,
    on_unknown: str = "error",
) -> Iterator[str]:
    """The prompt, then pieces of what follows, a symbol each; arguments as for ``LanguageModel.sample``.

    Draw number n takes the n-th number of the seed's sequence, so a text is the same however it is asked for.

    Returns:
        An iterator; joined, its pieces are the text. What can be refused is refused before the first piece.

    Raises:
        DataError: if the prompt has unknown characters and they are not skipped.
        UnknownNameError: if no sampler has this name.
        UsageError: if an argument does not fit.
    """
    return _pieces(model.vocab.decoder(), generate_tokens(model, prompt, length, sampler, seed, on_unknown))


def generate_text(
    model: LanguageModel,
    prompt: Prompt,
    length: int,
    sampler: str | Sampler | Chain | None = None,
    seed: int = 0,
    on_unknown: str = "error",
) -> str:
    """What the pieces of :func:`generate` are joined, without the time it takes to make each a string."""
    parts = generate_tokens(model, prompt, length, sampler, seed, on_unknown)
    return model.vocab.decode(np.concatenate(list(parts)))


def generate_tokens(
    model: LanguageModel,
    prompt: Prompt,
    length: int,
    sampler: str | Sampler | Chain | None = None,
    seed: int = 0,
    on_unknown: str = "error",
) -> Iterator[Tokens]:
    """The tokens of the prompt, then those that follow, some at a time; otherwise as :func:`generate`."""
    length = as_integer(length, "length", 0, sys.maxsize)
    chain, seed = as_chain(sampler), check_seed(seed)
    given = _tokens(model, prompt, on_unknown)
    draws = range(length)
    if not given.size and draws:
        given, draws = np.array([uniform(seed, 0) * len(model.vocab)], np.int32), draws[1:]
    return joined([given], _drawn(model, given, chain, seed, draws))


def _tokens(model: LanguageModel, prompt: Any, on_unknown: str) -> Tokens:
    """The prompt as tokens, ``(N,)`` int32."""
    if not isinstance(prompt, (str, bytes)):
        prompt = as_elements(prompt, "prompt", "a string, bytes, symbols, or tokens")
        if prompt and all(isinstance(each, (int, np.integer)) for each in prompt):
            return as_tokens(np.array(prompt)[:, None], len(model.vocab), "prompt: tokens")[:, 0]
    return model.vocab.encode(prompt, on_unknown=cast(OnUnknown, on_unknown))


def _drawn(model: LanguageModel, given: Tokens, chain: Chain, seed: int, draws: range) -> Iterator[Tokens]:
    """What follows the tokens: a symbol, then twice as many at a time as long as nobody waits for them."""
    if not draws:
        return
    stream, size = Stream(model, chain, seed), 1
    stream.follow(given)
    while draws:
        start = time.perf_counter()
        tokens = stream.draw(draws[0], min(size, len(draws)))
        taken = time.perf_counter() - start
        yield tokens
        draws = draws[size:]
        size = _next_size(size, taken)


def _next_size(size: int, taken: float) -> int:
    """How many symbols to make at a time, after so many took so many seconds."""
    if taken > PATIENCE:
        return max(size // 2, 1)
    return min(2 * size, MOST) if taken < PATIENCE / 4 else size


def _pieces(decoder: Decoder, parts: Iterable[Tokens]) -> Iterator[str]:
    """The tokens as text, a piece for each."""
    for part in parts:
        yield from map(decoder.push, part.tolist())
    yield decoder.flush()
