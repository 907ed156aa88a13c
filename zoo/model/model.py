"""``Model``, the base class of models: recurrent layers, a readout, and a loss."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from zoo.arguments import as_mapping, check_seed
from zoo.base import Cell, Param
from zoo.base.initializers import initialize
from zoo.distributed.process_group import SINGLE_PROCESS, ProcessGroup
from zoo.errors import UsageError
from zoo.layers.checkpointing import check_recompute, plan_segments
from zoo.layers.noise import check_noise
from zoo.layers.parameters import FlatParameters
from zoo.layers.sharding import (
    check_threads,
    concatenate,
    concatenate_states,
    map_selected_shards,
    map_shards,
)
from zoo.layers.stack import Stack
from zoo.layers.validation import as_dtype, as_state
from zoo.model.batch_loss import BatchLoss, ForwardRun, sum_losses
from zoo.model.compiled_step import CompiledStep
from zoo.model.losses import as_targets, as_weights
from zoo.registry import resolve_cell

Array = np.ndarray[Any, Any]
State = dict[str, Array]

_READOUT = {"Why": Param("H", "V", init="fan_in_uniform"), "by": Param("V", init="zeros")}
for _name, _param in _READOUT.items():
    _param.name = _name


class Model(FlatParameters):
    """Recurrent layers and a readout, ``o = y Why + by``; the base class of the other models.

    Args:
        cell: Name of a registered cell, a cell class, or a cell with its options chosen.
        input_size: ``I``.
        output_size: ``V``.
        loss: Name of a loss, see :mod:`zoo.model.losses`.
        hidden_size: ``H``.
        num_layers: ``L``.
        dtype: ``"float32"`` or ``"float64"``.
        seed: Seed of the initial values of the parameters.
        threads: Number of threads that share the batch.
        recompute: Segments of gradient checkpointing.
        initial: The values of all parameters and buffers by name, instead of random ones.
        dropout: Probability with which an element of the output of a layer is dropped before the next layer.
        residual: Whether the input of a layer is added to its output.
    """

    kind: ClassVar[str] = "model"
    """Its name in messages and in checkpoints."""
    process_group: ProcessGroup = SINGLE_PROCESS
    """Processes that divide the batch; a copy or pickle starts with this process alone."""
    _derived = (
        *FlatParameters._derived,
        "_layer_params",
        "_readout",
        "_compiled_step",
        "_aux_without_noise",
        "process_group",
    )

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
        self.fill(self._initial_values(check_seed(seed)) if initial is None else self._check_initial(initial))

    def compile_training_step(self) -> None:
        """Compile the training step on the next call of :meth:`loss_and_grad`. Use it before a long run."""
        self._compiled_step.warmup_shards = 1

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
                time axis, ``(B,)`` or ``(B, V)``, those of the last step, the only one with a loss.
            weights: Weight of each step of each row in the mean, ``(T, B)``, zero or more; None if all are 1.
                Targets of weight zero are ignored, and the readout skips steps whose weights are all zero.
            state: Initial states, which get no gradient; zeros if None.
            noise: ``(seed, step)``, from which the noise of a cell and dropout are drawn; None for their
                expectation, which all other methods take.

        Returns:
            The weighted mean of the loss over steps and rows, in nats for symbols and classes, and the final
            states.

        Raises:
            UsageError: if an argument does not fit, or all weights are zero.
        """
        batch_loss = self._batch_loss(inputs, targets, weights, state, noise)
        batch = batch_loss.run.inputs.shape[1]
        shards, keeps = self.process_group.local_shards(batch), self.process_group.needs_shard_gradients
        out = np.empty((len(shards), self.grad.size), self.dtype) if keeps else self.grad[None]
        result = self._compiled_step.loss_and_grad(batch_loss, shards, out, self.threads)
        if result is None:
            return self._interpreted_step(batch_loss, shards)
        if keeps:
            self.process_group.sum_gradients(list(out), self.grad, batch)
        losses, final = result
        return self._mean_loss(batch_loss, losses), self.process_group.scatter_local_states(
            final, batch_loss.run.state
        )

    def loss(
        self, inputs: Any, targets: Any, weights: Any = None, state: Mapping[str, Any] | None = None
    ) -> tuple[float, State]:
        """As :meth:`loss_and_grad`, without the gradient and without noise."""
        batch_loss = self._batch_loss(inputs, targets, weights, state, None)
        shards = self.process_group.local_shards(batch_loss.run.inputs.shape[1])
        return self._gather(batch_loss, map_selected_shards(batch_loss.loss, shards, self.threads))

    def outputs(
        self, inputs: Any, weights: Any = None, state: Mapping[str, Any] | None = None
    ) -> tuple[Array, State]:
        """Outputs of the readout before a softmax or sigmoid, ``(T, B, V)``, and the final states.

        Args:
            inputs: As for ``loss``.
            weights: As for ``loss``: outputs of steps whose weights are all zero are zeros.
            state: Initial states; zeros if None.

        Raises:
            UsageError: if an argument does not fit.
        """
        inputs = self._inputs(inputs)
        weights = as_weights(weights, inputs.shape[:2], self.kind)
        return self._outputs(self._forward_run(inputs, weights, state, None))

    def evaluate_batch(
        self,
        inputs: Any,
        targets: Any,
        weights: Any = None,
        state: Mapping[str, Any] | None = None,
    ) -> tuple[float, Array, State]:
        """Loss, :meth:`outputs` and final states from one forward pass; arguments as for ``loss``."""
        batch_loss = self._batch_loss(inputs, targets, weights, state, None)
        outputs, final = self._outputs(batch_loss.run)
        return batch_loss.from_outputs(outputs), outputs, final

    def metadata(self) -> dict[str, Any]:
        """Entries of a checkpoint's metadata that only this kind of model has."""
        raise NotImplementedError

    def _inputs(self, inputs: Any) -> Array:
        """Check and convert inputs."""
        raise NotImplementedError

    def _targets(self, targets: Any, weights: Any, times_rows: tuple[int, int]) -> tuple[Array, Array | None]:
        """Check and convert targets and weights."""
        sizes = times_rows, self.output_size
        return as_targets(targets, weights, self.loss_name, *sizes, self.dtype, self.kind)

    def _batch_loss(
        self, inputs: Any, targets: Any, weights: Any, state: Mapping[str, Any] | None, noise: Any
    ) -> BatchLoss:
        """Check the arguments of :meth:`loss_and_grad`."""
        inputs = self._inputs(inputs)
        targets, weights = self._targets(targets, weights, inputs.shape[:2])
        return BatchLoss(
            self._forward_run(inputs, weights, state, noise), targets, self.loss_name == "binary"
        )

    def _initial_values(self, seed: int) -> State:
        """Initial values of all parameters, and the values of all buffers."""
        values = self.stack.initial_values(seed)
        for position, (name, param) in enumerate(_READOUT.items()):
            index = (len(self.stack.directions), position)
            values[name] = initialize(param, self.layout.shapes[name], seed, index, self.kind)
        return values

    def _check_initial(self, initial: Mapping[str, Any]) -> Mapping[str, Any]:
        """Raise an error unless there is one initial value for each array."""
        names = [*self.params, *self.buffers]
        if set(as_mapping(initial, f"{self.kind}: initial")) != set(names):
            raise UsageError(
                f"{self.kind}: initial has the names {sorted(map(str, initial))}; expected {names}."
            )
        return initial

    def _rebuild_views(self, theta: Array, grad: Array, fixed: Array) -> None:
        super()._rebuild_views(theta, grad, fixed)
        self._layer_params = self.stack.weights(self._arrays)
        self._readout = self._arrays["Why"], self._arrays["by"]
        self._compiled_step = CompiledStep(self.stack, self._layer_params, self._readout)
        # Auxiliary inputs are the same for all batches, except for noise; making them took 7 us of a step.
        self._aux_without_noise = self.stack.aux_inputs({}, (0, 0), self.dtype)

    def _forward_run(
        self, inputs: Array, weights: Array | None, state: Mapping[str, Any] | None, noise: Any
    ) -> ForwardRun:
        steps, batch = inputs.shape[:2]
        return ForwardRun(
            self.stack,
            self._layer_params,
            self._readout,
            inputs,
            as_state(state, self.stack.state_shapes, batch, self.dtype, self.kind),
            plan_segments(steps, batch, self.recompute),
            self._aux_without_noise
            if noise is None
            else replace(self._aux_without_noise, noise_key=check_noise(noise)),
            weights,
        )

    def _interpreted_step(self, batch_loss: BatchLoss, shards: Sequence[slice]) -> tuple[float, State]:
        """As :meth:`loss_and_grad`; Python calls kernel after kernel."""

        def compute(rows: slice) -> tuple[Array, State, Array]:
            gradient = np.empty_like(self.grad)
            return *batch_loss.loss_and_grad(rows, gradient), gradient

        results = map_selected_shards(compute, shards, self.threads)
        self.process_group.sum_gradients(
            [gradient for _, _, gradient in results], self.grad, batch_loss.run.inputs.shape[1]
        )
        return self._gather(batch_loss, [(losses, final) for losses, final, _ in results])

    def _gather(self, batch_loss: BatchLoss, results: Sequence[tuple[Array, State]]) -> tuple[float, State]:
        """The mean loss and the final states of all shards, from the results of this process's shards."""
        final = concatenate_states([final for _, final in results]) if results else {}
        mean = self._mean_loss(batch_loss, [losses for losses, _ in results])
        return mean, self.process_group.scatter_local_states(final, batch_loss.run.state)

    def _mean_loss(self, batch_loss: BatchLoss, losses: Iterable[Array]) -> float:
        """The mean loss of the batch, from the losses of this process's shards."""
        sums = self.process_group.all_gather_floats(
            [sum_losses(each) for each in losses], batch_loss.run.inputs.shape[1]
        )
        return batch_loss.mean(sums)

    def _outputs(self, run: ForwardRun) -> tuple[Array, State]:
        results = map_shards(run.outputs, run.inputs.shape[1], self.threads)
        outputs = concatenate([outputs for outputs, _ in results], axis=1)
        return outputs, concatenate_states([final for _, final in results])


def model_shapes(stack: Stack, outputs: int) -> dict[str, tuple[int, ...]]:
    """Shape of every parameter of a model: the layers', then the readout's."""
    return {**stack.param_shapes, "Why": (stack.output_size, outputs), "by": (outputs,)}
