"""``zoo.SequenceModel``: classes, numbers or probabilities from sequences, at every step or the last."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from zoo.arguments import short_repr
from zoo.base.loss import Loss
from zoo.errors import UnknownNameError, UsageError
from zoo.layers.config import CellSpec, StackConfig
from zoo.model.model import Model
from zoo.registry import find_loss

Array = np.ndarray[Any, Any]
State = dict[str, Array]

MAX_OUTPUTS = 2**40


class SequenceModel(Model):
    """Recurrent layers and a readout for classification and regression, ``o = h Why + by``.

    >>> model = zoo.SequenceModel("lstm", input_size=3, output_size=5)
    >>> x = np.ones((7, 2, 3), np.float32)  # seven steps of two sequences
    >>> loss, state = model.loss_and_grad(x, targets=[4, 0])  # their classes, after the last step
    >>> model.predict(x)[0].shape
    (7, 2)

    Args:
        cell: The cell of every layer, or a list with one for each: see ``cells`` of
            :class:`zoo.layers.StackConfig`, which describes all arguments that are not described here.
        input_size: ``I``, features of the input or number of different tokens.
        output_size: ``V``, classes or numbers.
        hidden_size: ``H``.
        num_layers: ``L``.
        loss: Name of a registered loss (see ``zoo.base.loss``), or one with its options chosen:
            ``"cross_entropy"`` of a softmax over V classes; ``"binary"``, the mean cross-entropy of V
            sigmoids; ``"squared_error"``, ``"absolute_error"``, ``"huber"`` or ``"quantile"``, means over V
            numbers.
        dtype: ``"float32"`` or ``"float64"``.
        seed: Seed of the initial values of the parameters.
        threads: Number of threads that share the batch; None for every processor. Changes no bit of any
            result.
        recompute: Gradient checkpointing; outputs of the readout exist for one segment at a time, unless the
            model is bidirectional.
        initial: The values of all parameters and buffers by name, instead of random ones.
        dropout: Probability of dropout between layers, in :meth:`loss_and_grad` with ``noise``.
        residual: Whether layers add their input to their output.
        bidirectional: Whether layers read in both directions; ``Why`` is then ``(2 H, V)``.
        learned_state: Whether initial states are parameters.

    Attributes:
        theta: All parameters, ``(P,)``.
        grad: Their gradient after :meth:`loss_and_grad`, ``(P,)``.
        params: Name to view into ``theta``: ``"l0.Wxh"``, ..., ``"Why" (H, V)``, ``"by" (V,)``.
        grads: Name to view into ``grad``.
        buffers: Name to array of the cell that is not trained; read-only.

    Raises:
        UnknownNameError: if no cell has this name.
        UsageError: if a size, the loss, the dtype, the number of threads, recompute or an initial value does
            not fit.
    """

    kind: ClassVar[str] = "sequence model"

    def __init__(
        self,
        cell: CellSpec | Sequence[CellSpec],
        input_size: int,
        output_size: int,
        hidden_size: int = 128,
        num_layers: int = 1,
        loss: str | Loss = "cross_entropy",
        dtype: Any = "float32",
        seed: int = 0,
        threads: int | None = None,
        recompute: int | str | None = None,
        initial: Mapping[str, Any] | None = None,
        dropout: float = 0.0,
        residual: bool = False,
        bidirectional: bool = False,
        learned_state: bool = False,
    ) -> None:
        config = StackConfig(
            cell,
            input_size,
            hidden_size,
            num_layers,
            dtype,
            recompute,
            bidirectional,
            dropout,
            residual,
            learned_state,
        )
        outputs = _check_outputs(output_size)
        super().__init__(config, outputs, check_loss(loss, outputs), seed, threads, initial)

    def __repr__(self) -> str:
        return (
            f"SequenceModel({self.config.describe_cells()}, input_size={self.stack.input_size}, "
            f"output_size={self.output_size}, hidden_size={self.stack.hidden_size}, "
            f"num_layers={len(self.stack.layers)}, loss={str(self.criterion)!r}, dtype={self.dtype.name!r}, "
            f"P={self.layout.size})"
        )

    def predict(
        self,
        inputs: Any,
        weights: Any = None,
        state: Mapping[str, Any] | None = None,
        lengths: Any = None,
    ) -> tuple[Array, State]:
        """Predictions in the form of targets, and the final states; arguments as for ``outputs``.

        Returns:
            The most probable classes ``(T, B)``, or numbers ``(T, B, V)``, which for ``"binary"`` are
            probabilities; and the final states.
        """
        outputs, final = self.outputs(inputs, weights, state, lengths)
        return self.criterion.predictions(outputs), final

    def metadata(self) -> dict[str, Any]:
        """Entries of a checkpoint's metadata that only this kind of model has."""
        sizes = {"input_size": self.stack.input_size, "output_size": self.output_size}
        options = {"loss_options": self.criterion.to_json()} if self.criterion.to_json() else {}
        return {**sizes, "loss": self.criterion.name, **options}


def check_loss(loss: Any, outputs: int) -> Loss:
    """Convert a loss or the name of one to the loss.

    Raises:
        UsageError: if the loss is unknown, or has weights for another number of classes.
    """
    try:
        resolved = find_loss(loss)
    except (UsageError, UnknownNameError) as error:
        raise UsageError(f"sequence model: {error}") from None
    if resolved.class_weights is not None and len(resolved.class_weights) != outputs:
        raise UsageError(
            f"sequence model: loss has {len(resolved.class_weights)} class weights; expected one for each of "
            f"{outputs} outputs."
        )
    return resolved


def _check_outputs(size: Any) -> int:
    try:
        outputs = 0 if isinstance(size, bool) else operator.index(size)
    except TypeError:
        outputs = 0
    if not 1 <= outputs <= MAX_OUTPUTS:
        raise UsageError(f"sequence model: output_size is {short_repr(size)}; expected a positive integer.")
    return outputs
