"""What every model is: recurrent layers, a readout, and a loss of what is read."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from zoo.arguments import as_mapping, check_seed
from zoo.base import Cell, Param
from zoo.distributed.process_group import ALONE, Team
from zoo.errors import UsageError
from zoo.layers.checkpointing import check_recompute, segments
from zoo.layers.initializers import initialize
from zoo.layers.noise import check_noise
from zoo.layers.parameters import Flat
from zoo.layers.sharding import check_threads, join, join_states, map_parts, map_shards
from zoo.layers.stack import Stack
from zoo.layers.validation import as_dtype, as_state
from zoo.model.batch_loss import Objective, Pass, total
from zoo.model.compiled_step import Direct
from zoo.model.losses import as_targets, as_weights
from zoo.registry import resolve_cell

Array = np.ndarray[Any, Any]
State = dict[str, Array]

_READOUT = {"Why": Param("H", "V", init="fan_in_uniform"), "by": Param("V", init="zeros")}
for _name, _param in _READOUT.items():
    _param.name = _name


class Model(Flat):
    """Recurrent layers and a readout, ``o = y Why + by``; what language models and sequence models share.

    Args:
        cell: Name of a registered cell, a cell class, or a cell with its options chosen.
        input_size: ``I``.
        output_size: ``V``.
        loss: Its name, see :mod:`zoo.model.losses`.
        hidden_size: ``H``.
        num_layers: ``L``.
        dtype: ``"float32"`` or ``"float64"``.
        seed: Decides the first values of the parameters.
        threads: Threads among which the batch is divided.
        recompute: What is computed again on the way back.
        initial: The values of all parameters and buffers by name, instead of drawing them.
        dropout: How probable it is that a number that one layer hands to the next is dropped.
        residual: Whether a layer's input is added to its output.
    """

    kind: ClassVar[str] = "model"
    """What it is called in messages and in checkpoints."""
    team: Team = ALONE
    """Process group that divides the batch; a copy or pickle starts with this process alone."""
    _derived = (*Flat._derived, "_weights", "_readout", "_direct", "_quiet", "team")

    def __init__(
        self,
        cell: str | type[Cell] | Cell,
        input_size: int,
        output_size: int,
        loss: str,
        hidden_size: int,
        num_layers: int,
        dtype: Any,
        seed: int,
        threads: int | None,
        recompute: int | str | None,
        initial: Mapping[str, Any] | None,
        dropout: float,
        residual: bool,
    ) -> None:
        self.cell = resolve_cell(cell)
        self.threads = check_threads(threads)
        self.recompute = check_recompute(recompute)
        sizes = input_size, hidden_size, num_layers
        self.stack = Stack(self.cell, *sizes, dropout=dropout, residual=residual)
        self.output_size, self.loss_name = output_size, loss
        super().__init__(model_shapes(self.stack, output_size), as_dtype(dtype), self.stack.buffer_shapes)
        self.fill(self._drawn(check_seed(seed)) if initial is None else self._complete(initial))

    def hasten(self) -> None:
        """Compile at the next step what makes all others faster: for whoever is about to take many."""
        self._direct.patience = 1

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model to a safetensors file, whole or not at all.

        Raises:
            CheckpointError: if the file cannot be written.
        """
        from zoo.model.checkpoint import save_model

        save_model(self, path)

    def loss_and_grad(
        self,
        inputs: Any,
        targets: Any,
        weights: Any = None,
        state: Mapping[str, Any] | None = None,
        noise: tuple[int, int] | None = None,
    ) -> tuple[float, State]:
        """Mean loss, filling :attr:`grad` by back-propagation through the T steps.

        Args:
            inputs: Integer tokens ``(T, B)``; for a sequence model also floats ``(T, B, I)``.
            targets: For a language model the tokens that follow, ``(T, B)``. For a sequence model classes
                ``(T, B)`` with ``"cross_entropy"``, numbers ``(T, B, V)`` with the other losses; without the
                axis of time, ``(B,)`` or ``(B, V)``, those of the last step, the only one read.
            weights: How much each step of each row counts, ``(T, B)``, zero or more; None for all alike. What
                stands in targets where the weight is zero does not matter, and steps that count in no row
                are not read.
            state: States before the first step, which count as constants; zeros if None.
            noise: What decides the noise of a cell that has some: ``(seed, step)``, another step for other
                noise; None for its expectation, which all other methods take.

        Returns:
            The weighted mean of the loss over steps and rows, in nats for symbols and classes, and the states
            after the last step.

        Raises:
            UsageError: if an argument does not fit, or all weights are zero.
        """
        objective = self._objective(inputs, targets, weights, state, noise)
        batch = objective.run.inputs.shape[1]
        parts, keeps = self.team.share(batch), self.team.keeps_shards_apart
        out = np.empty((len(parts), self.grad.size), self.dtype) if keeps else self.grad[None]
        result = self._direct.loss_and_grad(objective, parts, out, self.threads)
        if result is None:
            return self._long_way(objective, parts)
        if keeps:
            self.team.sum(list(out), self.grad, batch)
        losses, last = result
        return self._mean(objective, losses), self.team.states(last, objective.run.state)

    def loss(
        self, inputs: Any, targets: Any, weights: Any = None, state: Mapping[str, Any] | None = None
    ) -> tuple[float, State]:
        """As :meth:`loss_and_grad`, without the gradient and without noise."""
        objective = self._objective(inputs, targets, weights, state, None)
        parts = self.team.share(objective.run.inputs.shape[1])
        return self._joined(objective, map_parts(objective.loss, parts, self.threads))

    def outputs(
        self, inputs: Any, weights: Any = None, state: Mapping[str, Any] | None = None
    ) -> tuple[Array, State]:
        """What the readout says, before a softmax or sigmoid, ``(T, B, V)``, and the last states.

        Args:
            inputs: What goes in, as for ``loss``.
            weights: As for ``loss``: steps that count in no row are not read, and are zeros.
            state: States before the first step; zeros if None.

        Raises:
            UsageError: if an argument does not fit.
        """
        inputs = self._inputs(inputs)
        counts = as_weights(weights, inputs.shape[:2], self.kind)
        return self._outputs(self._pass(inputs, counts, state, None))

    def assess(
        self,
        inputs: Any,
        targets: Any,
        weights: Any = None,
        state: Mapping[str, Any] | None = None,
    ) -> tuple[float, Array, State]:
        """The loss, what :meth:`outputs` gives, and the last states, in one pass; as ``loss`` otherwise."""
        objective = self._objective(inputs, targets, weights, state, None)
        outputs, last = self._outputs(objective.run)
        return objective.of(outputs), outputs, last

    def facts(self) -> dict[str, Any]:
        """What a checkpoint says of this kind of model, besides its cell and its sizes."""
        raise NotImplementedError

    def _inputs(self, inputs: Any) -> Array:
        """Inputs as kernels take them."""
        raise NotImplementedError

    def _targets(self, targets: Any, weights: Any, times_rows: tuple[int, int]) -> tuple[Array, Array | None]:
        """Targets as kernels take them, and how much each counts."""
        sizes = times_rows, self.output_size
        return as_targets(targets, weights, self.loss_name, *sizes, self.dtype, self.kind)

    def _objective(
        self, inputs: Any, targets: Any, weights: Any, state: Mapping[str, Any] | None, noise: Any
    ) -> Objective:
        """What the loss is of, of arguments that fit."""
        inputs = self._inputs(inputs)
        targets, counts = self._targets(targets, weights, inputs.shape[:2])
        return Objective(self._pass(inputs, counts, state, noise), targets, self.loss_name == "binary")

    def _drawn(self, seed: int) -> State:
        """First values of all parameters, and the values of all buffers."""
        values = self.stack.initial(seed)
        for position, (name, param) in enumerate(_READOUT.items()):
            place = (len(self.stack.layers), position)
            values[name] = initialize(param, self.layout.shapes[name], seed, place, self.kind)
        return values

    def _complete(self, initial: Mapping[str, Any]) -> Mapping[str, Any]:
        """Initial values, if there is one for each array."""
        names = [*self.params, *self.buffers]
        if set(as_mapping(initial, f"{self.kind}: initial")) != set(names):
            raise UsageError(
                f"{self.kind}: initial has the names {sorted(map(str, initial))}; expected {names}."
            )
        return initial

    def _bind(self, theta: Array, grad: Array, fixed: Array) -> None:
        super()._bind(theta, grad, fixed)
        self._weights = self.stack.weights(self._arrays)
        self._readout = self._arrays["Why"], self._arrays["by"]
        self._direct = Direct(self.stack, self._weights, self._readout)
        # What layers are told is the same for all batches, but for the noise: it took 7 us of a step.
        self._quiet = self.stack.beside({}, (0, 0), self.dtype)

    def _pass(self, inputs: Array, counts: Array | None, state: Mapping[str, Any] | None, noise: Any) -> Pass:
        """The layers and the readout on inputs that fit."""
        steps, batch = inputs.shape[:2]
        return Pass(
            self.stack,
            self._weights,
            self._readout,
            inputs,
            as_state(state, self.stack.state_shapes, batch, self.dtype, self.kind),
            segments(steps, batch, self.recompute),
            self._quiet if noise is None else replace(self._quiet, draw=check_noise(noise)),
            counts,
        )

    def _long_way(self, objective: Objective, parts: Sequence[slice]) -> tuple[float, State]:
        """As :meth:`loss_and_grad`, from kernel to kernel in Python."""

        def work(rows: slice) -> tuple[Array, State, Array]:
            gradient = np.empty_like(self.grad)
            return *objective.loss_and_grad(rows, gradient), gradient

        found = map_parts(work, parts, self.threads)
        self.team.sum([gradient for _, _, gradient in found], self.grad, objective.run.inputs.shape[1])
        return self._joined(objective, [(losses, last) for losses, last, _ in found])

    def _joined(self, objective: Objective, found: Sequence[tuple[Array, State]]) -> tuple[float, State]:
        """The mean of the losses of all shards, and their states, from those of this process's."""
        last = join_states([last for _, last in found]) if found else {}
        mean = self._mean(objective, [losses for losses, _ in found])
        return mean, self.team.states(last, objective.run.state)

    def _mean(self, objective: Objective, losses: Iterable[Array]) -> float:
        """The mean loss, from the losses of this process's shards."""
        sums = self.team.numbers([total(each) for each in losses], objective.run.inputs.shape[1])
        return objective.mean(sums)

    def _outputs(self, run: Pass) -> tuple[Array, State]:
        """What the readout says, ``(T, B, V)``, and the states after the last step."""
        parts = map_shards(run.outputs, run.inputs.shape[1], self.threads)
        return join([part[0] for part in parts], axis=1), join_states([part[1] for part in parts])


def model_shapes(stack: Stack, outputs: int) -> dict[str, tuple[int, ...]]:
    """Shape of every parameter of a model: the layers', then the readout's."""
    return {**stack.param_shapes, "Why": (stack.output_size, outputs), "by": (outputs,)}
