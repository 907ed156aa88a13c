"""``zoo.LanguageModel``: one-hot symbols, recurrent layers, and a softmax over the next symbol."""

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
        vocab: The symbols, in the order of their tokens: characters, or byte values, or any strings.
        cell: Name of a registered cell, a cell class, or a cell with its options chosen.
        hidden_size: ``H``.
        num_layers: ``L``.
        dtype: ``"float32"`` or ``"float64"``.
        seed: Seed of the initial values of the parameters.
        threads: Number of threads that share the batch; None for every processor. Changes no bit of any
            result.
        recompute: Gradient checkpointing: the steps per segment, or ``"sqrt"`` for about sqrt(T) segments of
            at least 1,024 tokens. Only the states between segments are saved for the backward pass, which
            computes each segment again; logits exist for one segment at a time. Losses and states are the
            same, gradients the same up to rounding, and time grows by about a third. None saves everything.
        initial: The values of all parameters and buffers by name, instead of random ones.
        dropout: As for :class:`zoo.Recurrent`; active only in :meth:`loss_and_grad` with ``noise``.
        residual: As for :class:`zoo.Recurrent`.

    Attributes:
        theta: All parameters, ``(P,)``.
        grad: Their gradient after :meth:`loss_and_grad`, ``(P,)``.
        params: Name to view into ``theta``: ``"l0.Wxh"``, ..., ``"Why" (H, V)``, ``"by" (V,)``.
        grads: Name to view into ``grad``.
        buffers: Name to array of the cell that is not trained; read-only.

    Raises:
        UnknownNameError: if no cell has this name.
        UsageError: if a size, the dtype, the number of threads, recompute or an initial value does not fit.
        DataError: if the vocabulary is invalid.
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
        """Logits of the next symbol after every step, ``(T, B, V)``, and the final states.

        Args:
            inputs: Tokens ``(T, B)``.
            state: Initial states; zeros if None.

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
        """The prompt and ``length`` sampled symbols.

        Args:
            prompt: Text to continue: a string, bytes, a sequence of symbols, or tokens as in ``inputs``. If
                empty, a first symbol is drawn uniformly. Where symbols are longer than a character, a string
                is split from left to right into the longest that match.
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

    def metadata(self) -> dict[str, Any]:
        """Entries of a checkpoint's metadata that only this kind of model has."""
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
        if weights is None:  # the general case gives the same and takes a microsecond more
            return as_tokens(targets, len(self.vocab), "language model: targets"), None
        return super()._targets(targets, weights, times_rows)


def as_vocabulary(vocab: Any) -> Vocabulary:
    """Convert a sequence of symbols to a vocabulary.

    Raises:
        DataError: if the symbols are invalid.
        UsageError: if it is not a sequence.
    """
    if isinstance(vocab, Vocabulary):
        return vocab
    return Vocabulary(vocab)
