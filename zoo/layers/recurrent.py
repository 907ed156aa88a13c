"""``zoo.Recurrent``: any cell, stacked, as a layer for research code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from zoo.contracts import Cell
from zoo.errors import UsageError
from zoo.layers.boundary import as_dtype, as_floats, as_state, check_seed
from zoo.layers.layout import Flat
from zoo.layers.lengths import as_sequences, blanked
from zoo.layers.passage import Passage
from zoo.layers.segments import Segment, check_recompute, flatten, segments
from zoo.layers.shards import check_threads, map_shards, put_states, shards, states_of, sum_shards
from zoo.layers.stack import Stack
from zoo.registry import resolve_cell

Array = np.ndarray[Any, Any]
State = dict[str, Array]
Named: TypeAlias = str | type[Cell] | Cell


@dataclass(frozen=True)
class Tape:
    """What :meth:`Recurrent.vjp` needs of one :meth:`Recurrent.apply`; any number may be alive at once.

    Args:
        passage: The batch, and how it went through the layers.
        shards: The segments of each shard.
        is_begun: Whether states before the first step were given, so that no learned ones were used.
    """

    passage: Passage
    shards: list[list[Segment]]
    is_begun: bool


class Recurrent(Flat):
    """A stack of recurrent layers over time-major sequences.

    >>> rnn = zoo.Recurrent("vanilla", input_size=3, hidden_size=5)
    >>> y, state = rnn.forward(np.ones((7, 2, 3), np.float32))
    >>> y.shape, state["l0.h"].shape
    ((7, 2, 5), (2, 5))

    Args:
        cell: Name of a registered cell, a cell class, or a cell with its options chosen; or a list with one
            of these for each layer.
        input_size: ``I``, features of the input or number of different tokens.
        hidden_size: ``H``.
        num_layers: ``L``; layer k reads the output of layer k - 1. With a list of cells it may be left out.
        dtype: ``"float32"`` or ``"float64"``.
        seed: Decides the first values of the parameters, and nothing else does.
        threads: Threads among which the batch is divided; None for every processor. Changes no bit of any
            result.
        recompute: None to keep all that :meth:`backward` needs; or the steps per segment, or ``"sqrt"`` for
            about sqrt(T) segments of 1,024 tokens at least: then only the states between segments are kept
            (and the input of every layer, if they are bidirectional), and each segment is computed again on
            the way back. Outputs and states are the same, gradients the same up to rounding, time grows by
            about a third.
        bidirectional: Whether every layer is two: one that reads the sequence from its beginning to its end,
            and one with parameters ``"l0.reverse.Wxh"`` and states ``"l0.reverse.h"`` that reads it from its
            end to its beginning. Their outputs stand side by side, ``(T, B, 2 H)`` for most cells.
            M. Schuster & K. Paliwal 1997, https://doi.org/10.1109/78.650093.
        dropout: How probable it is, in a call with ``noise``, that a number that one layer hands to the next
            is replaced by zero; the others are multiplied by ``1 / (1 - dropout)``, so that nothing is to be
            done in evaluation. With one layer there is nothing to drop. W. Zaremba et al. 2014,
            https://arxiv.org/abs/1409.2329.
        residual: Whether a layer's input is added to its output, ``y = x + layer(x)``, before dropout. It is
            where both have the same size: in every layer but the first, for most cells, and in the first if I
            has the size of its output; tokens are one-hot rows there. Y. Wu et al. 2016,
            https://arxiv.org/abs/1609.08144.
        learned_state: Whether the states before the first step, in calls that give none, are parameters
            ``"l0.h.initial"``, the same for all rows. They begin at zero. States that count have none.

    Attributes:
        cells: The cell of each layer.
        theta: All parameters, ``(P,)``.
        grad: Their gradient after :meth:`backward`, ``(P,)``.
        params: Name to view into ``theta``: ``rnn.params["l0.Wxh"]``.
        grads: Name to view into ``grad``.
        buffers: Name to what the cell holds beside parameters, not trained and read-only: ``"l0.A"``.

    Raises:
        UnknownNameError: if no cell has this name.
        UsageError: if a size, the dtype, the number of threads or another argument does not fit.
    """

    def __init__(
        self,
        cell: Named | Sequence[Named],
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        dtype: Any = "float32",
        seed: int = 0,
        threads: int | None = None,
        recompute: int | str | None = None,
        bidirectional: bool = False,
        dropout: float = 0.0,
        residual: bool = False,
        learned_state: bool = False,
    ) -> None:
        self.threads = check_threads(threads)
        self.recompute = check_recompute(recompute)
        self.stack = Stack(
            _resolved(cell),
            input_size,
            hidden_size,
            num_layers,
            bidirectional=bidirectional,
            dropout=dropout,
            residual=residual,
            learned_state=learned_state,
        )
        super().__init__(self.stack.param_shapes, as_dtype(dtype), self.stack.buffer_shapes)
        self.fill(self.stack.initial(check_seed(seed)))
        self._tape: Tape | None = None

    def __repr__(self) -> str:
        return f"Recurrent({self.stack.describe()}, dtype={self.dtype.name!r}, P={self.layout.size})"

    @property
    def cell(self) -> Cell:
        """The cell of the first layer, and of the others if they were not chosen one by one."""
        return self.stack.cell

    @property
    def cells(self) -> tuple[Cell, ...]:
        """The cell of each layer."""
        return self.stack.cells

    @property
    def output_size(self) -> int:
        """Features of the output."""
        return self.stack.output_size

    def forward(
        self,
        x: Any,
        state: Mapping[str, Any] | None = None,
        noise: tuple[int, int] | None = None,
        lengths: Any = None,
        **inputs: Any,
    ) -> tuple[Array, State]:
        """Run the layers over a sequence, remembering what :meth:`backward` needs.

        Args:
            x: Floats ``(T, B, I)`` or integer tokens ``(T, B)``.
            state: States before the first step, ``"l0.h"`` to ``(B, H)``; if None the learned ones, or zeros.
                That of a layer which reads backwards is its state before the last step of the sequence.
            noise: What decides dropout and the noise of a cell that has some: ``(seed, step)`` in training,
                another step for other noise; None, in evaluation, for no dropout, and noise that is its
                expectation.
            lengths: Steps of each row, ``(B,)`` integers from 0 to T; None if all rows have T steps. Every
                row then gives what it gives alone. What x and inputs hold behind its end is not read. There
                the outputs are zero; the last states are those at its end; and a layer that reads backwards
                begins there.
            **inputs: What the cell takes beside x, ``dt=...`` of shape ``(T, B, ...)``; every layer that
                takes it gets it, and its default where it is not given.

        Returns:
            The outputs ``(T, B, ·)`` and the states after the last step.

        Raises:
            UsageError: if x, state, noise, lengths or an input does not fit.
        """
        y, last, self._tape = self.apply(self.theta, x, state, noise, lengths, **inputs)
        return y, last

    def backward(self, dy: Any, dstate: Mapping[str, Any] | None = None) -> tuple[Array | None, State]:
        """Back-propagate through the last :meth:`forward`, filling :attr:`grad`.

        Args:
            dy: Gradient with respect to the outputs, ``(T, B, ·)``; behind the end of a row it counts for
                nothing.
            dstate: Gradient with respect to the states after the last step; zeros if None.

        Returns:
            The gradients with respect to x (None for tokens) and to the states before the first step.

        Raises:
            UsageError: if there was no forward, or a shape does not fit.
        """
        if self._tape is None:
            raise UsageError(f"{self.stack.label()}: backward before any forward; call forward first.")
        return self._back(self._tape, dy, dstate, self.grad)

    def apply(
        self,
        theta: Any,
        x: Any,
        state: Mapping[str, Any] | None = None,
        noise: tuple[int, int] | None = None,
        lengths: Any = None,
        **inputs: Any,
    ) -> tuple[Array, State, Tape]:
        """Pure forward pass: outputs, last states, and a tape for :meth:`vjp`.

        The tape looks at theta, x, state and inputs and keeps no copies: they must not change while it is in
        use.

        Args:
            theta: Parameters ``(P,)``.
            x: As for :meth:`forward`.
            state: As for :meth:`forward`.
            noise: As for :meth:`forward`.
            lengths: As for :meth:`forward`.
            **inputs: As for :meth:`forward`.

        Returns:
            The outputs ``(T, B, ·)``, the states after the last step, and the tape.

        Raises:
            UsageError: if an argument does not fit.
        """
        who = self.stack.label()
        theta = as_floats(theta, (self.layout.size,), self.dtype, f"{who}: theta")
        arrays = {**self._arrays, **self.layout.views(theta)}
        x, steps_of = as_sequences(x, lengths, self.stack.input_size, self.dtype, who)
        steps, batch = x.shape[:2]
        before = self.stack.states_before(state, arrays, batch, self.dtype)
        beside = self.stack.beside(inputs, (steps, batch), self.dtype, noise, steps_of)
        parts = segments(steps, batch, self.recompute)
        passage = Passage(self.stack, self.stack.weights(arrays), x, beside, parts, steps_of)
        y = passage.room(self.output_size)
        found = map_shards(lambda shard: passage.forward(shard, before, y), batch, self.threads)
        last = put_states(passage.by_rows([after for _, after in found]), batch)
        return y, last, Tape(passage, [each for each, _ in found], state is not None)

    def vjp(
        self, tape: Tape, dy: Any, dstate: Mapping[str, Any] | None = None
    ) -> tuple[Array | None, State, Array]:
        """Pure backward pass: the gradients of ``sum(dy * y) + sum(dstate * last)``.

        Args:
            tape: From :meth:`apply`; it may be used again.
            dy: As for :meth:`backward`.
            dstate: As for :meth:`backward`.

        Returns:
            The gradients with respect to x (None for tokens), to the first states, and to theta ``(P,)``.

        Raises:
            UsageError: if a shape does not fit, or the tape is of another layer.
        """
        dtheta = np.empty(self.layout.size, self.dtype)
        return *self._back(tape, dy, dstate, dtheta), dtheta

    def _back(
        self, tape: Tape, dy: Any, dstate: Mapping[str, Any] | None, out: Array
    ) -> tuple[Array | None, State]:
        """As :meth:`vjp`, with the gradient of the parameters in out."""
        who = f"{self.stack.label()}: gradient of the output"
        if not isinstance(tape, Tape) or tape.passage.stack is not self.stack:
            raise UsageError(f"{who}: the tape is not one of this layer's; pass on what its apply returned.")
        passage = tape.passage
        steps, batch = passage.x.shape[:2]
        dy = as_floats(dy, (steps, batch, self.output_size), self.dtype, who)
        dy = dy if passage.lengths is None else blanked(dy, passage.lengths)
        dlast = as_state(dstate, self.stack.state_shapes, batch, self.dtype, who)
        dx = None if passage.x.ndim == 2 else passage.room(self.stack.input_size)

        def work(shard: slice) -> tuple[State, Array]:
            found, rows = tape.shards[shards(batch).index(shard)], passage.rows(shard)
            dbefore, gradients = passage.backward(found, dy, states_of(dlast, rows), dx)
            gradients += self.stack.learned_gradients(dbefore, not tape.is_begun)
            gradient = out if shard.start == 0 else np.empty_like(out)
            flatten(gradients, gradient)
            return dbefore, gradient

        parts = map_shards(work, batch, self.threads)
        sum_shards([gradient for _, gradient in parts])
        return dx, put_states(passage.by_rows([dbefore for dbefore, _ in parts]), batch)


def _resolved(cell: Named | Sequence[Named]) -> Cell | list[Cell]:
    """The cell, or that of each layer."""
    if isinstance(cell, Sequence) and not isinstance(cell, str):
        return [resolve_cell(each) for each in cell]
    return resolve_cell(cell)
