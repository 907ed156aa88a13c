"""Text from a model, symbol by symbol."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

import numpy as np

from zoo.contracts import Chain, Sampler
from zoo.data import Decoder
from zoo.data.vocabulary import OnUnknown
from zoo.errors import UsageError
from zoo.kernels.random import uniform
from zoo.layers.boundary import check_seed
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
    raise UsageError(
        f"sampler is {sampler!r}; expected the name of a sampler, a sampler, or samplers chained with |."
    )


def generate(
    model: LanguageModel,
    prompt: str | bytes,
    length: int,
    sampler: str | Sampler | Chain | None = None,
    seed: int = 0,
    on_unknown: str = "error",
) -> Iterator[str]:
    """The prompt, then pieces of what follows, as they are made; arguments as for ``LanguageModel.sample``.

    Draw number n takes the n-th number of the seed's sequence, so a text is the same however it is asked for.

    Returns:
        An iterator; joined, its pieces are the text. What can be refused is refused before the first piece.

    Raises:
        DataError: if the prompt has unknown characters and they are not skipped.
        UnknownNameError: if no sampler has this name.
        UsageError: if an argument does not fit.
    """
    if isinstance(length, bool) or not isinstance(length, int) or length < 0:
        raise UsageError(f"length is {length!r}; expected the number of symbols to make, zero or more.")
    if not isinstance(prompt, (str, bytes)):
        raise UsageError(f"prompt is a {type(prompt).__name__}; expected a string, or bytes.")
    chain, seed = as_chain(sampler), check_seed(seed)
    tokens = model.vocab.encode(prompt, on_unknown=cast(OnUnknown, on_unknown)).tolist()
    draws = range(length)
    if not tokens and draws:
        tokens, draws = [int(uniform(seed, 0) * len(model.vocab))], draws[1:]
    return _pieces(model, tokens, chain, seed, draws)


def _pieces(model: LanguageModel, tokens: list[int], chain: Chain, seed: int, draws: range) -> Iterator[str]:
    """The tokens as text, then a piece for every draw."""
    decoder = model.vocab.decoder()
    yield from (decoder.push(token) for token in tokens)
    if draws:
        yield from _continue(model, tokens, chain, seed, draws, decoder)
    yield decoder.flush()


def _continue(
    model: LanguageModel, tokens: list[int], chain: Chain, seed: int, draws: range, decoder: Decoder
) -> Iterator[str]:
    """What follows the tokens, a piece for every draw."""
    logits, state = model.logits(np.array(tokens, np.int32)[:, None])
    for draw in draws:
        token = chain(logits[-1, 0], uniform(seed, draw))
        yield decoder.push(token)
        if draw != draws[-1]:
            logits, state = model.logits(np.array([[token]], np.int32), state)
