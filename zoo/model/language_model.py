"""``zoo.LanguageModel``: one-hot symbols, recurrent layers, and a softmax over the next symbol."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np
from numpy.typing import ArrayLike

from zoo.arguments import as_bool, as_elements, as_integer, check_seed, is_number
from zoo.array_types import Array
from zoo.arrays import as_array
from zoo.base import Chain, Sampler
from zoo.base.loss import Loss
from zoo.data import Decoder, Vocabulary
from zoo.data.vocabulary import OnUnknown, name_text
from zoo.errors import UsageError
from zoo.kernels.random import uniform
from zoo.layers.config import STACK_DEFAULTS, CellLike, StackConfig, StackOptions, with_advice, with_options
from zoo.layers.stack import warn_without_effect
from zoo.layers.states import GivenState
from zoo.layers.validation import as_padded_tokens, as_tokens
from zoo.model.model import (
    DEFAULT_LOSS,
    FIT_DEFAULTS,
    FitOptions,
    Model,
    ModelOptions,
    fit_functions,
    merged_fit_options,
)
from zoo.model.sampling import Tokens, as_chain, sampled_chunks, sampler_advice

if TYPE_CHECKING:
    from typing_extensions import Unpack

State = dict[str, Array]
TextLike = str | bytes | Sequence[str] | Sequence[int] | Tokens
"""A text, its symbols, or its tokens."""


class LanguageModel(Model):
    """A recurrent language model: ``p(next) = softmax(h Why + by)``.

    >>> model = zoo.LanguageModel("helo", hidden_size=64)
    >>> loss, state = model.loss_and_grad([[0], [1], [2], [2]], [[1], [2], [2], [3]])

    Args:
        vocab: The symbols, in the order of their tokens: characters, or byte values, or any strings.
        cell: The cell of every layer, or a list with one for each: see ``cells`` of
            :class:`zoo.layers.StackConfig`.
        hidden_size: ``H``, hidden units of a layer.
        num_layers: ``L``, layers.
        loss: Name of a registered loss whose targets are classes, or one with its options chosen:
            ``zoo.get_loss("cross_entropy", label_smoothing=0.1)``.
        seed: Seed of the initial values of the parameters.
        threads: Number of threads that share the batch; None for every processor. Changes no bit of any
            result.
        initial: The values of all parameters and buffers by name, instead of random ones.
        embedding: ``E``, the size of a trained vector for each symbol, which the first layer reads; None for
            one-hot symbols.
        tie: Use the embedding as the readout too, ``Why = embedding.T``. ``E`` must be the output size of the
            last layer.
        **options: ``dtype``, ``block``, ``dropout``, ``residual``, ``learned_state``, ``recompute`` and
            ``precision``, which :class:`zoo.layers.StackConfig` explains. ``bidirectional`` is an error: a
            layer that reads backwards sees the symbols to be predicted.

    Attributes:
        theta: All parameters, ``(P,)``.
        grad: Their gradient after :meth:`loss_and_grad`, ``(P,)``.
        params: Name to view into ``theta``: ``"l0.Wxh"``, ..., ``"Why" (H, V)``, ``"by" (V,)``,
            ``"embedding" (V, E)``. There is no ``"Why"`` if the readout is tied.
        grads: Name to view into ``grad``.
        buffers: Name to array of the cell that is not trained; read-only.

    Raises:
        UnknownNameError: if no cell has this name.
        UsageError: if a size, the loss, an option, the number of threads or an initial value does not fit.
        DataError: if the vocabulary is invalid.
    """

    kind: ClassVar[str] = "language model"

    @with_options("zoo.LanguageModel", StackOptions, STACK_DEFAULTS)
    def __init__(
        self,
        vocab: Sequence[str] | Sequence[int] | Vocabulary,
        cell: CellLike | Sequence[CellLike] = "vanilla",
        hidden_size: int = 128,
        num_layers: int = 1,
        *,
        loss: str | Loss = DEFAULT_LOSS,
        seed: int = 0,
        threads: int | None = None,
        initial: Mapping[str, Any] | None = None,
        embedding: int | None = None,
        tie: bool = False,
        **options: Unpack[StackOptions],
    ) -> None:
        vocab = as_vocabulary(vocab)
        size = None if embedding is None else as_integer(embedding, "language model: embedding", 1)
        features = len(vocab) if size is None else size
        config = StackConfig(cell, features, hidden_size, num_layers, embedded=size is not None, **options)
        self._build(
            vocab,
            config,
            loss=loss,
            seed=seed,
            threads=threads,
            initial=initial,
            embedding=size,
            tie=as_bool(tie, "language model: tie"),
        )
        warn_without_effect(self.stack)

    @classmethod
    def from_config(
        cls, vocab: Vocabulary, config: StackConfig, **others: Unpack[ModelOptions]
    ) -> LanguageModel:
        """Make a model with the layers of a config; for the other arguments, see the class.

        Raises:
            UsageError: if an argument does not fit.
        """
        model = cls.__new__(cls)
        model._build(vocab, config, **others)
        return model

    def _build(self, vocab: Vocabulary, config: StackConfig, **others: Unpack[ModelOptions]) -> None:
        self.vocab = vocab
        if config.bidirectional:
            raise UsageError(
                "language model: bidirectional is True, but a layer that reads backwards sees the symbols to "
                "be predicted; leave it out, or use zoo.SequenceModel."
            )
        if others.get("tie") and others.get("embedding") is None:
            raise UsageError("language model: tie is True and there is no embedding; give `embedding` too.")
        super().__init__(config, len(vocab), **others)

    def __repr__(self) -> str:
        return (
            f"LanguageModel({self.config.describe_cells()}, V={len(self.vocab)}, "
            f"hidden_size={self.config.hidden_size}, num_layers={self.config.num_layers}, "
            f"{'' if self.embedding is None else f'embedding={self.embedding}, tie={self.tie}, '}"
            f"dtype={self.dtype.name!r}, P={self.layout.size})"
        )

    def logits(
        self,
        inputs: ArrayLike,
        state: GivenState | None = None,
        *,
        noise: tuple[int, int] | None = None,
        lengths: ArrayLike | None = None,
        **aux: ArrayLike,
    ) -> tuple[Array, State]:
        """Logits of the next symbol after every step, ``(T, B, V)``, and the final states.

        Args:
            inputs: Tokens ``(T, B)``.
            state: Initial states; the learned ones, or zeros, if None.
            noise: As for ``loss``.
            lengths: Steps of each sequence, ``(B,)``; None if all have T steps.
            **aux: Auxiliary inputs of the cells, ``(T, B, ...)``.

        Raises:
            UsageError: if an argument does not fit.
        """
        return self.outputs(inputs, state=state, noise=noise, lengths=lengths, **aux)

    @with_advice("zoo.LanguageModel.sample", sampler_advice)
    def sample(
        self,
        prompt: TextLike = "",
        length: int = 200,
        sampler: str | Sampler | Chain | None = None,
        *,
        seed: int = 0,
        on_unknown: str = "error",
    ) -> str:
        """The prompt and ``length`` sampled symbols.

        Auxiliary inputs have their defaults: for cells that read the time between steps, ``dt`` is 1. Noise
        has its expectation.

        Args:
            prompt: Text to continue: a string, bytes, a sequence of symbols, or tokens as in ``inputs``. If
                empty, a first symbol is drawn uniformly. Where symbols are longer than a character, a string
                is split from left to right into the longest that match.
            length: Symbols to add.
            sampler: A sampler, a chain of them, or a text: the name of a sampler, with options as in
                ``"temperature:0.5"``, or several with ``|`` between them. None draws from the plain softmax.
            seed: The same seed gives the same text.
            on_unknown: Treatment of characters of the prompt that the vocabulary lacks, ``"error"`` or
                ``"skip"``.

        Raises:
            DataError: if the prompt has unknown characters and they are not skipped.
            UnknownNameError: if no sampler has this name.
            UsageError: if another argument does not fit.
        """
        chunks = _generate_tokens(self, prompt, length, sampler, seed, on_unknown)
        return self.vocab.decode(np.concatenate(list(chunks)))

    @with_options("zoo.LanguageModel.fit", FitOptions, FIT_DEFAULTS)
    def fit(
        self,
        text: TextLike,
        *,
        validation: TextLike | float | None = None,
        seq: int = 64,
        carry: bool = True,
        **options: Unpack[FitOptions],
    ) -> list[dict[str, Any]]:
        """Train to predict the next symbol of a text, by truncated back-propagation through time.

        The text is cut into ``batch_size`` streams that are read side by side, ``seq`` symbols in a step.

        >>> history = model.fit("hello", epochs=100, lr=0.01)

        Args:
            text: A string, bytes, symbols, or tokens.
            validation: Another text, evaluated after every epoch; or the share of the text, such as 0.1, that
                is cut off at its end for this. The model then ends with the parameters of the best
                validation.
            seq: ``T``, or fewer if the text is short.
            carry: Whether states are carried from step to step.
            **options: See :meth:`zoo.SequenceModel.fit`; ``seed`` is the seed of noise.

        Returns:
            The events with a loss; see :meth:`zoo.SequenceModel.fit`.

        Raises:
            DataError: if the text has unknown characters, or fewer than two symbols.
            UsageError: if an argument does not fit.
            ZooError: if training diverges.
        """
        tokens = encode_text(self, text, "error", "fit: text")
        is_text = validation is not None and not is_number(validation)
        valid = encode_text(self, validation, "error", "fit: validation") if is_text else validation
        history: list[dict[str, Any]] = fit_functions().fit_text(
            self, tokens, valid, seq, as_bool(carry, "carry"), **merged_fit_options(options)
        )
        return history

    def evaluate(
        self, text: TextLike, *, seq: int = 64, batch_size: int = 32, carry: bool = True
    ) -> dict[str, float]:
        """Mean cross-entropy of the next symbol of a text; arguments as for :meth:`fit`.

        Returns:
            ``{"loss": nats, "bits": bits}``, each for a symbol.

        Raises:
            DataError: if the text has unknown characters, or fewer than two symbols.
            UsageError: if an argument does not fit.
        """
        tokens = encode_text(self, text, "error", "evaluate: text")
        values: dict[str, float] = fit_functions().evaluate_text(
            self, tokens, seq, batch_size, as_bool(carry, "carry")
        )
        return values

    def metadata(self) -> dict[str, Any]:
        """Everything but the arrays, as plain JSON values."""
        tie = {} if self.embedding is None else {"tie": self.tie}
        values = {**super().metadata(), **tie, "vocabulary": self.vocab.to_json()}
        if values["loss"] == DEFAULT_LOSS and "loss_options" not in values:
            del values["loss"]  # older files have none
        return values

    @classmethod
    def check_loss(cls, loss: str | Loss, outputs: int) -> Loss:
        """As the base class; also raise an error unless the targets of the loss are classes."""
        resolved = super().check_loss(loss, outputs)
        if resolved.target != "class":
            raise UsageError(
                f"{cls.kind}: loss is {resolved.name!r}, whose targets are numbers; expected a loss of "
                f"classes, such as 'cross_entropy'."
            )
        return resolved

    def _inputs(self, inputs: Any, lengths: Any) -> tuple[Array, Array | None]:
        return as_padded_tokens(inputs, lengths, len(self.vocab), self.kind)

    def _targets(
        self, targets: Any, weights: Any, times_rows: tuple[int, int], lengths: Array | None
    ) -> tuple[Array, Array | None]:
        targets = as_array(targets, "language model: targets")
        if targets.shape != times_rows or targets.size == 0:
            raise UsageError(
                f"language model: inputs {times_rows} and targets {targets.shape}; expected two arrays "
                f"(T, B) of one shape, with at least one step."
            )
        if (
            weights is None and lengths is None
        ):  # the general case gives the same and takes a microsecond more
            return as_tokens(targets, len(self.vocab), "language model: targets"), None
        return super()._targets(targets, weights, times_rows, lengths)


def as_vocabulary(vocab: Any) -> Vocabulary:
    """Convert a sequence of symbols to a vocabulary.

    Raises:
        DataError: if the symbols are invalid.
        UsageError: if it is not a sequence.
    """
    if isinstance(vocab, Vocabulary):
        return vocab
    return Vocabulary(vocab)


def generate(
    model: LanguageModel,
    prompt: TextLike,
    length: int,
    sampler: str | Sampler | Chain | None = None,
    seed: int = 0,
    on_unknown: str = "error",
) -> Iterator[str]:
    """Yield the prompt and then the sampled text symbol by symbol; arguments as for ``LanguageModel.sample``.

    Draw number n uses the n-th number of the seed's random sequence, so the text is that of
    :meth:`LanguageModel.sample`. Arguments are checked before the first piece.

    Raises:
        DataError: if the prompt has unknown characters and they are not skipped.
        UnknownNameError: if no sampler has this name.
        UsageError: if an argument does not fit.
    """
    return _decode_chunks(
        model.vocab.decoder(), _generate_tokens(model, prompt, length, sampler, seed, on_unknown)
    )


def _generate_tokens(
    model: LanguageModel,
    prompt: TextLike,
    length: int,
    sampler: str | Sampler | Chain | None,
    seed: int,
    on_unknown: str,
) -> Iterator[Tokens]:
    """Yield the tokens of the prompt, then chunks of sampled tokens; otherwise as :func:`generate`."""
    length = as_integer(length, "length", 0, sys.maxsize)
    chain, seed = as_chain(sampler), check_seed(seed)
    start = encode_text(model, prompt, on_unknown)
    draws = range(length)
    if not start.size and draws:
        start, draws = np.array([uniform(seed, 0) * len(model.vocab)], np.int32), draws[1:]
    return itertools.chain([start], sampled_chunks(model, start, chain, seed, draws))


def encode_text(model: LanguageModel, text: Any, on_unknown: str, name: str = "prompt") -> Tokens:
    """A text as tokens, ``(N,)`` int32; ``name`` is its name in messages."""
    if not isinstance(text, (str, bytes)):
        text = as_elements(text, name, "a string, bytes, symbols, or tokens")
        if text and all(isinstance(each, (int, np.integer)) for each in text):
            return as_tokens(np.array(text)[:, None], len(model.vocab), f"{name}: tokens")[:, 0]
    with name_text(name):
        return model.vocab.encode(text, on_unknown=cast(OnUnknown, on_unknown))


def _decode_chunks(decoder: Decoder, chunks: Iterable[Tokens]) -> Iterator[str]:
    for tokens in chunks:
        yield from map(decoder.push, tokens.tolist())
    yield decoder.flush()
