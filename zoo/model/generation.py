"""Text from a model, symbol by symbol."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from zoo.contracts import Chain, Sampler
from zoo.data import Decoder
from zoo.errors import UsageError
from zoo.kernels.random import uniform
from zoo.registry import get_sampler

if TYPE_CHECKING:
    from zoo.model.language_model import LanguageModel


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
    raise UsageError(f"sampler is {sampler!r}; expected the name of a sampler, a sampler, or samplers chained with |.")


def generate(
    model: LanguageModel,
    prompt: str | bytes,
    length: int,
    sampler: str | Sampler | Chain | None = None,
    seed: int = 0,
    on_unknown: str = "error",
) -> Iterator[str]:
    """The prompt, then pieces of what follows, as they are made; arguments as for ``LanguageModel.sample``.

    Draw number n takes the n-th number of the seed's sequence, so a text does not depend on how it is asked for.

    Raises:
        DataError: if the prompt has unknown characters and they are not skipped.
        UsageError: if an argument does not fit.
    """
    if isinstance(length, bool) or not isinstance(length, int) or length < 0:
        raise UsageError(f"length is {length!r}; expected the number of symbols to make, zero or more.")
    chain = as_chain(sampler)
    tokens = [int(token) for token in model.vocab.encode(prompt, on_unknown=on_unknown)]
    decoder = model.vocab.decoder()
    draws = 0
    if not tokens and length > 0:
        tokens = [int(uniform(seed, draws) * len(model.vocab))]
        draws, length = 1, length - 1
    yield from (decoder.push(token) for token in tokens)
    if length > 0:
        yield from _continue(model, tokens, chain, seed, range(draws, draws + length), decoder)
    yield decoder.flush()


def _continue(
    model: LanguageModel, tokens: list[int], chain: Chain, seed: int, draws: range, decoder: Decoder
) -> Iterator[str]:
    """What follows the tokens, a piece for every draw."""
    logits, state = model.logits(np.array(tokens, np.int32)[:, None])
    for draw in draws:
        token = chain(logits[-1, 0], uniform(seed, draw))
        yield decoder.push(token)
        logits, state = model.logits(np.array([[token]], np.int32), state)
