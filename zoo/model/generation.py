"""Text from a model, symbol by symbol."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain as joined
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from zoo.arguments import as_elements, as_integer, short_repr
from zoo.contracts import Chain, Sampler
from zoo.data import Decoder
from zoo.data.vocabulary import OnUnknown
from zoo.errors import UsageError
from zoo.kernels.random import uniform
from zoo.layers.boundary import as_tokens
from zoo.model.stream import Stream
from zoo.registry import get_sampler
from zoo.seeds import check_seed

if TYPE_CHECKING:
    from zoo.model.language_model import LanguageModel

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
