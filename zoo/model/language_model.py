"""``zoo.LanguageModel``: one-hot symbols in, recurrent layers, a softmax over the next symbol out."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from zoo.contracts import Cell, Chain, Param, Sampler
from zoo.data import Vocabulary
from zoo.errors import UsageError
from zoo.kernels.inputs import project
from zoo.layers.boundary import as_dtype, as_state, as_tokens, check_seed
from zoo.layers.initializers import initialize
from zoo.layers.layout import Flat
from zoo.layers.segments import check_recompute, segments
from zoo.layers.shards import check_threads, join_states, map_shards, sum_shards
from zoo.layers.stack import Stack
from zoo.model.objective import Objective
from zoo.registry import resolve_cell

Array = np.ndarray[Any, Any]
State = dict[str, Array]

_READOUT = {"Why": Param("H", "V", init="fan_in_uniform"), "by": Param("V", init="zeros")}
for _name, _param in _READOUT.items():
    _param.name = _name


class LanguageModel(Flat):
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
    ) -> None:
        self.vocab = as_vocabulary(vocab)
        self.cell = resolve_cell(cell)
        self.threads = check_threads(threads)
        self.recompute = check_recompute(recompute)
        self.stack = Stack(self.cell, len(self.vocab), hidden_size, num_layers)
        super().__init__(model_shapes(self.stack, len(self.vocab)), as_dtype(dtype), self.stack.buffer_shapes)
        self.fill(self._drawn(check_seed(seed)) if initial is None else self._complete(initial))

    def _drawn(self, seed: int) -> State:
        """First values of all parameters, and the values of all buffers."""
        values = self.stack.initial(seed)
        for position, (name, param) in enumerate(_READOUT.items()):
            place = (len(self.stack.layers), position)
            values[name] = initialize(param, self.layout.shapes[name], seed, place, "language model")
        return values

    def _complete(self, initial: Mapping[str, Any]) -> Mapping[str, Any]:
        """Initial values, if there is one for each array."""
        names = [*self.params, *self.buffers]
        if set(initial) != set(names):
            raise UsageError(
                f"language model: initial has the names {sorted(map(str, initial))}; expected {names}."
            )
        return initial

    def __repr__(self) -> str:
        return (
            f"LanguageModel({self.cell!r}, V={len(self.vocab)}, hidden_size={self.stack.hidden_size}, "
            f"num_layers={len(self.stack.layers)}, dtype={self.dtype.name!r}, P={self.layout.size})"
        )

    def loss_and_grad(
        self,
        inputs: Any,
        targets: Any,
        state: Mapping[str, Any] | None = None,
        noise: tuple[int, int] | None = None,
    ) -> tuple[float, State]:
        """Mean cross-entropy, filling :attr:`grad` by back-propagation through the T steps.

        Args:
            inputs: Tokens ``(T, B)``.
            targets: The tokens that follow, ``(T, B)``.
            state: States before the first step, which count as constants; zeros if None.
            noise: What decides the noise of a cell that has some: ``(seed, step)``, another step for other
                noise; None for its expectation, which :meth:`loss`, :meth:`logits` and :meth:`sample` take.

        Returns:
            The loss in nats per symbol, and the states after the last step.

        Raises:
            UsageError: if an argument does not fit.
        """
        objective = self._objective(inputs, targets, state, noise)

        def work(rows: slice) -> tuple[Array, State, Array]:
            gradient = self.grad if rows.start == 0 else np.empty_like(self.grad)
            return *objective.loss_and_grad(rows, gradient), gradient

        parts = map_shards(work, objective.inputs.shape[1], self.threads)
        sum_shards([part[2] for part in parts])
        return objective.mean([part[0] for part in parts]), join_states([part[1] for part in parts])

    def loss(self, inputs: Any, targets: Any, state: Mapping[str, Any] | None = None) -> tuple[float, State]:
        """As :meth:`loss_and_grad`, without the gradient and without noise."""
        objective = self._objective(inputs, targets, state)
        parts = map_shards(objective.loss, objective.inputs.shape[1], self.threads)
        return objective.mean([part[0] for part in parts]), join_states([part[1] for part in parts])

    def logits(self, inputs: Any, state: Mapping[str, Any] | None = None) -> tuple[Array, State]:
        """Scores of the next symbol after every step, ``(T, B, V)``, and the last states.

        Args:
            inputs: Tokens ``(T, B)``.
            state: States before the first step; zeros if None.

        Raises:
            UsageError: if an argument does not fit.
        """
        inputs = as_tokens(inputs, len(self.vocab), "language model: inputs")
        state = as_state(state, self.stack.state_shapes, inputs.shape[1], self.dtype, "language model")
        told = self.stack.beside({}, inputs.shape, self.dtype).part(*(slice(0, n) for n in inputs.shape))
        y, last, _ = self.stack.forward(self._weights, inputs, state, told)
        return project(y, self.params["Why"], self.params["by"]), last

    def sample(
        self,
        prompt: str | bytes = "",
        length: int = 200,
        sampler: str | Sampler | Chain | None = None,
        seed: int = 0,
        on_unknown: str = "error",
    ) -> str:
        """The prompt and ``length`` symbols that the model makes of it.

        Args:
            prompt: Text to go on from; if empty, the seed draws a first symbol.
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
        from zoo.model.generation import generate_text

        return generate_text(self, prompt, length, sampler, seed, on_unknown)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model to a safetensors file, whole or not at all.

        Raises:
            CheckpointError: if the file cannot be written.
        """
        from zoo.model.persistence import save_model

        save_model(self, path)

    def _bind(self, theta: Array, grad: Array, fixed: Array) -> None:
        super()._bind(theta, grad, fixed)
        self._weights = self.stack.weights(self._arrays)
        self._readout = self._arrays["Why"], self._arrays["by"]

    def _objective(
        self, inputs: Any, targets: Any, state: Mapping[str, Any] | None, noise: Any = None
    ) -> Objective:
        """What :meth:`loss` measures, of arguments that fit."""
        inputs = as_tokens(inputs, len(self.vocab), "language model: inputs")
        targets = as_tokens(targets, len(self.vocab), "language model: targets")
        if inputs.shape != targets.shape or inputs.size == 0:
            raise UsageError(
                f"language model: inputs {inputs.shape} and targets {targets.shape}; expected two arrays "
                f"(T, B) of one shape, with at least one step."
            )
        steps, batch = inputs.shape
        before = as_state(state, self.stack.state_shapes, batch, self.dtype, "language model")
        return Objective(
            self.stack,
            self._weights,
            self._readout,
            inputs,
            targets,
            before,
            segments(steps, batch, self.recompute),
            self.stack.beside({}, inputs.shape, self.dtype, noise),
        )


def as_vocabulary(vocab: Any) -> Vocabulary:
    """The vocabulary that a sequence of symbols makes, or the one given.

    Raises:
        DataError: if the symbols make none.
        UsageError: if it is no sequence at all.
    """
    if isinstance(vocab, Vocabulary):
        return vocab
    if not isinstance(vocab, Iterable):
        raise UsageError(
            f"language model: vocab is {vocab!r}; expected the symbols, as in 'abc' or range(256)."
        )
    return Vocabulary(vocab)


def model_shapes(stack: Stack, symbols: int) -> dict[str, tuple[int, ...]]:
    """Shape of every parameter of a language model: the layers', then the readout's."""
    return {**stack.param_shapes, "Why": (stack.output_size, symbols), "by": (symbols,)}
