"""``zoo.LanguageModel``: one-hot symbols in, recurrent layers, a softmax over the next symbol out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from zoo.arrays import as_array
from zoo.base import Cell, Chain, Sampler
from zoo.data import Vocabulary
from zoo.errors import UsageError
from zoo.layers.validation import as_tokens
from zoo.model.model import Model

Array = np.ndarray[Any, Any]
State = dict[str, Array]


class LanguageModel(Model):
    """A recurrent language model: ``p(next) = softmax(h Why + by)``.

    >>> model = zoo.LanguageModel("helo", hidden_size=64)
    >>> loss, state = model.loss_and_grad([[0], [1], [2], [2]], [[1], [2], [2], [3]])

    Args:
        vocab: The symbols, in the order of their numbers: characters, or byte values, or any strings.
        cell: Name of a registered cell, a cell class, or a cell with its options chosen.
        hidden_size: ``H``.
        num_layers: ``L``.
        dtype: ``"float32"`` or ``"float64"``.
        seed: Decides the first values of the parameters.
        threads: Threads among which the batch is divided; None for every processor. Changes no bit of any
            result.
        recompute: None to keep all that the way back needs; or the steps per segment, or ``"sqrt"`` for about
            sqrt(T) segments of 1,024 tokens at least: then only the states between segments are kept, each
            segment is computed again on the way back, and scores exist for one segment at a time. Losses
            and states are the same, gradients the same up to rounding, time grows by about a third.
        initial: The values of all parameters and buffers by name, instead of drawing them.
        dropout: As for :class:`zoo.Recurrent`; drawn in :meth:`loss_and_grad` with noise, and nowhere else.
        residual: As for :class:`zoo.Recurrent`.

    Attributes:
        theta: All parameters, ``(P,)``.
        grad: Their gradient after :meth:`loss_and_grad`, ``(P,)``.
        params: Name to view into ``theta``: ``"l0.Wxh"``, ..., ``"Why" (H, V)``, ``"by" (V,)``.
        grads: Name to view into ``grad``.
        buffers: Name to what the cell holds beside parameters, not trained and read-only.

    Raises:
        UnknownNameError: if no cell has this name.
        UsageError: if a size, the dtype, the number of threads, recompute or an initial value does not fit.
        DataError: if the vocabulary is not one.
    """

    kind: ClassVar[str] = "language model"

    def __init__(
        self,
        vocab: Sequence[str] | Sequence[int] | Vocabulary,
        cell: str | type[Cell] | Cell = "vanilla",
        hidden_size: int = 128,
        num_layers: int = 1,
        dtype: Any = "float32",
        seed: int = 0,
        threads: int | None = None,
        recompute: int | str | None = None,
        initial: Mapping[str, Any] | None = None,
        dropout: float = 0.0,
        residual: bool = False,
    ) -> None:
        self.vocab = as_vocabulary(vocab)
        symbols, sizes = len(self.vocab), ("cross_entropy", hidden_size, num_layers)
        super().__init__(
            cell, symbols, symbols, *sizes, dtype, seed, threads, recompute, initial, dropout, residual
        )

    def __repr__(self) -> str:
        return (
            f"LanguageModel({self.cell!r}, V={len(self.vocab)}, hidden_size={self.stack.hidden_size}, "
            f"num_layers={len(self.stack.layers)}, dtype={self.dtype.name!r}, P={self.layout.size})"
        )

    def logits(self, inputs: Any, state: Mapping[str, Any] | None = None) -> tuple[Array, State]:
        """Scores of the next symbol after every step, ``(T, B, V)``, and the last states.

        Args:
            inputs: Tokens ``(T, B)``.
            state: States before the first step; zeros if None.

        Raises:
            UsageError: if an argument does not fit.
        """
        return self.outputs(inputs, None, state)

    def sample(
        self,
        prompt: str | bytes | Sequence[str] | Sequence[int] | Array = "",
        length: int = 200,
        sampler: str | Sampler | Chain | None = None,
        seed: int = 0,
        on_unknown: str = "error",
    ) -> str:
        """The prompt and ``length`` symbols that the model makes of it.

        Args:
            prompt: Text to go on from: a string, bytes, a sequence of symbols, or tokens as in ``inputs``; if
                empty, the seed draws a first symbol. Where symbols are longer than a character, a string is
                cut from left to right into the longest that fit.
            length: Symbols to add.
            sampler: Name of a sampler, a sampler, or a chain of them; None draws from the plain softmax.
            seed: The same seed gives the same text.
            on_unknown: What to do with characters of the prompt that the vocabulary lacks, ``"error"`` or
                ``"skip"``.

        Raises:
            DataError: if the prompt has unknown characters and they are not skipped.
            UnknownNameError: if no sampler has this name.
            UsageError: if another argument does not fit.
        """
        from zoo.model.sampling import generate_text

        return generate_text(self, prompt, length, sampler, seed, on_unknown)

    def facts(self) -> dict[str, Any]:
        """What a checkpoint says of this kind of model, besides its cell and its sizes."""
        return {"vocabulary": self.vocab.to_json()}

    def _inputs(self, inputs: Any) -> Array:
        return as_tokens(inputs, len(self.vocab), "language model: inputs")

    def _targets(self, targets: Any, weights: Any, times_rows: tuple[int, int]) -> tuple[Array, Array | None]:
        targets = as_array(targets, "language model: targets")
        if targets.shape != times_rows or targets.size == 0:
            raise UsageError(
                f"language model: inputs {times_rows} and targets {targets.shape}; expected two arrays "
                f"(T, B) of one shape, with at least one step."
            )
        if weights is None:  # what follows would come to the same, and take a microsecond more
            return as_tokens(targets, len(self.vocab), "language model: targets"), None
        return super()._targets(targets, weights, times_rows)


def as_vocabulary(vocab: Any) -> Vocabulary:
    """The vocabulary that a sequence of symbols makes, or the one given.

    Raises:
        DataError: if the symbols make none.
        UsageError: if it is no sequence at all.
    """
    if isinstance(vocab, Vocabulary):
        return vocab
    return Vocabulary(vocab)
