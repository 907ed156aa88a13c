"""Sample tokens from a model: layers, readout and samplers in one compiled decoder loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from zoo import kernels
from zoo.arguments import short_repr
from zoo.array_types import Array
from zoo.base import Chain, Sampler
from zoo.base.set_options import parse_options
from zoo.compiler.cell_kernels import decode_step
from zoo.compiler.codegen.source_module import load_source
from zoo.errors import UsageError
from zoo.kernels.jit import Kernel, njit
from zoo.kernels.precision import kernels_with, with_precision
from zoo.kernels.random import uniform
from zoo.layers.kernel_calls import MAX_COMPILED_LAYERS
from zoo.layers.sharding import map_shards
from zoo.model.model import Model
from zoo.registry import get_sampler, list_samplers
from zoo.registry.api import component_class

TO_SAMPLE = -1
"""A position whose token the decoder loop samples."""


class DecoderLoop:
    """Feed tokens to a model and sample the tokens that follow, for one sequence.

    Args:
        model: The model; its parameters are copied.
        chain: Samplers that change the logits before a token is drawn.
        seed: Draw number n uses the n-th number of its random sequence.
    """

    def __init__(self, model: Model, chain: Chain, seed: int) -> None:
        self._chain, self._seed = chain, seed
        chain.probabilities(np.zeros(model.output_size))  # before a sampler without a vector is compiled
        self._options = tuple(tuple(sampler.options.values()) for sampler in chain.samplers)
        self._loop = _compile_loop(model, chain)
        self._threads = model.threads
        self._layers, y, x = _prepare_layers(model)
        self._logits = np.zeros((1, model.output_size), model.dtype)
        weights = kernels.sampling_buffer(self._logits.size, np.float64 if chain.samplers else model.dtype)
        readout_weights = model.readout_weights()
        self._product_size = model.stack.product_size(1, readout_weights.size)
        panels = kernels_with(model.config.precision).pack(readout_weights)
        readout = panels, model.params["by"].copy().reshape(1, -1)
        embedding = (model.params["embedding"].copy(),) if model.embedding else ()
        self._readout = (x, y.reshape(1, -1), *readout, self._logits, weights, *embedding)

    def feed(self, tokens: Array) -> None:
        """Process given tokens, ``(N,)`` int32."""
        self._run(tokens, 0)

    def sample(self, first: int, count: int) -> Array:
        """Sample ``count`` tokens, ``(count,)`` int32, with the draws from number ``first`` on.

        Raises:
            UsageError: if the logits, before or after a sampler, leave no symbol to draw.
        """
        tokens = np.full(count, TO_SAMPLE, np.int32)
        sampled = self._run(tokens, first)
        while sampled < count:
            # The loop stops at logits that nothing can be drawn from, and the chain raises the error.
            tokens[sampled] = self._chain(self._logits[0], uniform(self._seed, first + sampled))
            sampled += self._run(tokens[sampled:], first + sampled)
        return tokens

    def _run(self, tokens: Array, first: int) -> int:
        seed_first = np.uint64(self._seed), np.uint64(first)

        def run(tokens: Array) -> int:
            return self._loop(self._layers, self._readout, self._options, *seed_first, tokens)  # type: ignore[no-any-return]

        (sampled,) = map_shards(run, [tokens], self._threads, self._product_size)
        return sampled


def _prepare_layers(model: Model) -> tuple[tuple[Any, ...], Array, Array]:
    """Buffers of every layer, the array of the output of the last, and the array of the input.

    The workspace of a residual layer also holds its input, its output, and their sum.
    """
    stack = model.stack
    arrays = {name: value.copy() for name, value in (*model.params.items(), *model.buffers.items())}
    aux_inputs = stack.aux_inputs({}, (1, 1), model.dtype).chunk(slice(0, 1), slice(0, 1))
    initial = stack.initial_states(None, model.params, 1, model.dtype)
    token = y = np.zeros((1, 1), np.int32)
    if model.embedding:
        token = y = np.zeros((1, 1, model.embedding), model.dtype)
    layers = []
    for layer, ((aux,), _) in zip(stack.layers, aux_inputs, strict=True):
        (direction,) = layer.directions
        params = tuple(arrays[name] for name in direction.arrays)
        state = tuple(initial[name] for name in direction.states)
        x = y
        decoder = decode_step(direction.cell, direction.precision)
        y, workspace = decoder.prepare(params, x, state, *((aux,) if aux else ()))
        if layer.is_residual:
            total = np.zeros_like(y)
            workspace, y = (workspace, (x, y, total)), total
        layers.append(workspace)
    return tuple(layers), y, token


@njit
def add_residual(x: Array, y: Array, total: Array) -> None:
    """``total = x + y`` for one step of one row; a token is a one-hot row."""
    for n in range(y.shape[2]):
        total[0, 0, n] = y[0, 0, n]
    if x.ndim == 2:
        total[0, 0, x[0, 0]] += 1
    else:
        for n in range(y.shape[2]):
            total[0, 0, n] += x[0, 0, n]


def _compile_loop(model: Model, chain: Chain) -> Callable[..., Any]:
    """Compile the loop for the model's cell and layers and these samplers."""
    config = model.config
    cells = config.cells[: 1 if config.has_single_cell else None]
    decoders = [decode_step(cell, config.precision) for cell in cells]
    samplers = {f"sampler_{n}": sampler.kernel("transform") for n, sampler in enumerate(chain.samplers)}
    residual = [layer.is_residual for layer in model.stack.layers]
    jitted = all(isinstance(kernel, Kernel) for kernel in samplers.values())
    are_compiled = jitted and all(decoder.compiled for decoder in decoders)
    compiled = are_compiled and len(residual) <= MAX_COMPILED_LAYERS
    steps = {f"advance_{n}": decoder.advance for n, decoder in enumerate(decoders)}
    calls = ["advance"] * len(residual) if config.has_single_cell else [*steps]
    source = "\n".join(_emit_module(len(samplers), residual, calls, compiled, bool(model.embedding)))
    names = {**({"advance": decoders[0].advance} if config.has_single_cell else steps), **samplers}
    if any(residual):
        names["add_residual"] = add_residual
    source = with_precision(source, config.precision)
    return load_source(f"{model.cell.name}_decoder_loop", source, names).run  # type: ignore[no-any-return]


def _emit_module(
    samplers: int, residual: list[bool], steps: list[str], compiled: bool, has_embedding: bool
) -> Iterator[str]:
    """The module of a loop.

    Args:
        samplers: Number of samplers.
        residual: For each layer, whether its input is added to its output.
        steps: For each layer, the function that computes its step.
        compiled: Whether the loop is compiled. Python functions can only be called from Python.
        has_embedding: Whether the first layer reads a row of an embedding, and not a token.
    """
    yield '"""The decoder loop: the step of every layer, the readout, the samplers, the draw."""'
    yield from ("", "import numpy as np", "", "import zoo", "from zoo import kernels", "", "")
    yield from ["@zoo.njit"] * compiled
    yield "def run(layers, readout, options, seed, first, tokens):"
    yield '    """Draw the tokens that are below zero; return their number before one that fails."""'
    yield from ["    layers, readout = kernels.unowned((layers, readout))"] * compiled
    yield f"    x, y, panels, by, logits, weights{', embedding' * has_embedding} = readout"
    yield "    for n in range(tokens.size):"
    yield "        if tokens[n] < 0:"
    yield from (f"            {line}" for line in _emit_sampling(samplers))
    yield f"        x[0, 0] = {'embedding[tokens[n]]' if has_embedding else 'tokens[n]'}"
    yield from (f"        {line}" for line in _emit_layers(residual, steps))
    yield "        kernels.copy_into(by, logits)"
    yield "        kernels.add_matmul(y, panels, logits)"
    yield "    return tokens.size"
    yield ""


def _emit_layers(residual: list[bool], steps: list[str]) -> Iterator[str]:
    """Lines that compute one step of every layer."""
    if not any(residual) and len(set(steps)) == 1:
        yield f"{steps[0]}(layers[0])"
        yield from ["for layer in layers[1:]:", f"    {steps[0]}(layer)"] * (len(residual) > 1)
        return
    for n, (is_residual, step) in enumerate(zip(residual, steps, strict=True)):
        yield f"{step}(layers[{n}]{'[0]' * is_residual})"
        yield from [f"add_residual(*layers[{n}][1])"] * is_residual


def _emit_sampling(samplers: int) -> Iterator[str]:
    """Lines that draw one symbol."""
    if samplers == 0:
        yield "scores_0 = kernels.row(logits, 0)"
    else:
        yield "scores_0 = kernels.as_scores(logits)"
    for n in range(samplers):
        yield f"if not kernels.is_valid_logits(scores_{n}, logits.size):"
        yield "    return n"
        yield f"scores_{n + 1} = sampler_{n}(scores_{n}, *options[{n}])"
    if samplers:
        yield f"if scores_{samplers}.size != logits.size:"
        yield "    return n"
    yield "u = kernels.random_uniform(seed, first + np.uint64(n))"
    yield f"token = kernels.sample_softmax(scores_{samplers}, weights, u)"
    yield "if token < 0:"
    yield "    return n"
    yield "tokens[n] = token"


Tokens = np.ndarray[Any, np.dtype[np.int32]]

MAX_LATENCY_S = 0.05
"""Seconds that a chunk of symbols may take: they appear, and Ctrl-C is handled, between chunks."""

MAX_CHUNK = 4096
"""Symbols in a chunk at most; longer chunks do not make a symbol cheaper."""


def as_chain(sampler: str | Sampler | Chain | None) -> Chain:
    """Convert the specification of samplers to a chain.

    Args:
        sampler: A sampler, a chain, or a text: the name of a sampler, which options may follow, as in
            ``"temperature:0.5"`` or ``"top_k:k=40"``, or several with ``|`` between them. None for none.

    Raises:
        UnknownNameError: if no sampler has this name.
        UsageError: if it is none of these, or an option is invalid.
    """
    if sampler is None:
        return Chain()
    if isinstance(sampler, str):
        return Chain(tuple(map(_sampler, sampler.split("|"))))
    if isinstance(sampler, Sampler):
        return Chain((sampler,))
    if isinstance(sampler, Chain):
        return sampler
    raise UsageError(
        f"sampler is {short_repr(sampler)}; expected a sampler, its name with options as in "
        f"'temperature:0.5', or samplers chained with |."
    )


def _sampler(text: str) -> Sampler:
    """The sampler of ``"NAME"`` or ``"NAME:OPTIONS"``."""
    text = text.strip()
    name, colon, options = text.partition(":")
    if not colon and "=" in name:
        right = ":".join(each.strip() for each in name.split("=", 1))
        raise UsageError(f"sampler is {text!r}; write options behind a colon, {right!r}.")
    if ":" in options.partition(",")[2]:
        right = " | ".join(each.strip() for each in text.split(","))
        raise UsageError(f"sampler is {text!r}; write | between samplers, {right!r}.")
    if not colon:
        return get_sampler(name)
    return get_sampler(name, **parse_options(component_class(Sampler, name), options, f"sampler {text!r}"))


def sampler_advice(name: str, value: object) -> str:
    """The sampler of this name in place of an unknown argument; empty if there is none."""
    if name not in list_samplers():
        return ""
    option = next(iter(get_sampler(name).options), None)
    if option is None:
        return f" Give sampler=zoo.get_sampler({name!r})."
    try:
        get_sampler(name, **{option: value})
    except UsageError as error:
        sentence = str(error)
        return f" Give sampler=zoo.get_sampler({name!r}, {option}=X). {sentence[0].upper()}{sentence[1:]}"
    return f" Give sampler=zoo.get_sampler({name!r}, {option}={short_repr(value)})."


def sampled_chunks(model: Model, start: Tokens, chain: Chain, seed: int, draws: range) -> Iterator[Tokens]:
    """Sample after the tokens: chunks of one symbol, two, four, ... as long as a chunk takes little time."""
    if not draws:
        return
    loop, size = DecoderLoop(model, chain, seed), 1
    loop.feed(start)
    while draws:
        began = time.perf_counter()
        tokens = loop.sample(draws[0], min(size, len(draws)))
        seconds = time.perf_counter() - began
        yield tokens
        draws = draws[size:]
        size = _next_chunk_size(size, seconds)


def _next_chunk_size(size: int, seconds: float) -> int:
    if seconds > MAX_LATENCY_S:
        return max(size // 2, 1)
    return min(2 * size, MAX_CHUNK) if seconds < MAX_LATENCY_S / 4 else size
