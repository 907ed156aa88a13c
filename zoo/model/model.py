"""``Model``, the base class of models: recurrent layers, a readout, and a loss."""

from __future__ import annotations

import copy
import importlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, TypedDict

import numpy as np
from numpy.typing import ArrayLike

from zoo.arguments import as_mapping, check_seed
from zoo.array_types import Array
from zoo.base import Cell, Optimizer, Param
from zoo.base.initializers import initialize
from zoo.base.loss import Loss
from zoo.base.param_groups import ParamGroups
from zoo.distributed.collectives import SINGLE_PROCESS, ProcessGroup
from zoo.errors import UnknownNameError, UsageError
from zoo.kernels.input_projection import add_weight_gradient
from zoo.kernels.losses import BUILT_IN_LOSSES
from zoo.layers.batch import BatchRun
from zoo.layers.config import StackConfig
from zoo.layers.functional import FunctionalStack
from zoo.layers.parameters import FlatParameters, ParameterLayout
from zoo.layers.sharding import check_threads, gather_states, map_shards, shards
from zoo.layers.stack import Stack
from zoo.layers.states import GivenState, States, full_name
from zoo.layers.tangents import TangentStack
from zoo.layers.validation import as_padded_batch, as_padded_tokens, mask_padding
from zoo.model import vocabulary_loss
from zoo.model.batch_loss import BatchLoss, ReadoutRun, gather_final_states, sum_losses
from zoo.model.category_inputs import CategoryInputs
from zoo.model.compiled_step import CompiledStep
from zoo.model.readout import readout_kernels
from zoo.model.small_batch import small_batch
from zoo.model.stepper import ModelStepper
from zoo.model.targets import as_targets, as_weights, weights_of_classes
from zoo.model.two_pass_step import ActivityPenalty, StateGradientStep, VocabularyStep
from zoo.registry import find_loss, named_loss

if TYPE_CHECKING:
    from typing_extensions import Self

State = dict[str, Array]


def _init_embedding(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Rows of the size of the columns of ``Why``, which a tied readout has too."""
    limit = 1 / np.sqrt(shape[1])
    return rng.uniform(-limit, limit, shape)


_READOUT = {"Why": Param("H", "V", init="fan_in_uniform"), "by": Param("V", init="zeros")}
_EMBEDDING = {"embedding": Param("V", "E", init=_init_embedding)}
for _name, _param in (_READOUT | _EMBEDDING).items():
    _param.name = _name

DEFAULT_LOSS = "cross_entropy"


class ModelOptions(TypedDict, total=False):
    """Arguments of :class:`Model` that have defaults."""

    loss: str | Loss
    seed: int
    threads: int | None
    initial: Mapping[str, Any] | None
    embedding: int | None
    tie: bool
    categories: CategoryInputs | None
    num_tokens: int | None


class FitOptions(TypedDict, total=False):
    """Arguments of ``fit`` that both models have; ``SequenceModel.fit`` describes them."""

    epochs: int
    steps: int | None
    batch_size: int
    optimizer: str | Optimizer
    lr: float | None
    clip: float | None
    patience: int | None
    seed: int
    progress: bool
    constraints: Any
    penalties: Any
    param_groups: ParamGroups
    base_hidden: int | None


FIT_DEFAULTS: FitOptions = {
    "epochs": 10,
    "steps": None,
    "batch_size": 32,
    "optimizer": "adam",
    "lr": None,
    "clip": 1.0,
    "patience": None,
    "seed": 0,
    "progress": False,
    "constraints": None,
    "penalties": None,
    "param_groups": None,
    "base_hidden": None,
}


def merged_fit_options(options: FitOptions) -> dict[str, Any]:
    """The arguments of ``fit`` with their defaults.

    Raises:
        UsageError: if both steps and epochs are given.
    """
    if options.get("steps") is not None and "epochs" in options:
        raise UsageError("fit: `steps` and `epochs` are both given; give one of them.")
    return {**FIT_DEFAULTS, **options}


class Model(FlatParameters):
    """Recurrent layers and a readout, ``o = y Why + by``; the base class of the other models.

    Args:
        config: The layers.
        output_size: ``V``.
        loss: The loss, or its name.
        seed: Seed of the initial values of the parameters.
        threads: Number of threads that share the batch.
        initial: The values of all parameters and buffers by name, instead of random ones.
        embedding: Size of the embedding of tokens, the input of the first layer; None if it reads one-hot
            tokens or numbers.
        tie: Whether the embedding is also the readout.
        categories: The inputs that are codes of categories, which have an embedding; None for none.
        num_tokens: Number of different tokens that have an embedding; None for ``V``.
    """

    _assignable: ClassVar[Mapping[str, Any]] = {
        **FlatParameters._assignable,
        "threads": check_threads,
        "process_group": None,
        "activity_penalty": None,
    }
    _fixed: ClassVar[Mapping[str, str]] = {
        **FlatParameters._fixed,
        "criterion": "model.with_loss(loss) makes a model with another loss.",
        **dict.fromkeys(
            ("config", "stack", "embedding", "tie", "categories", "output_size", "input_size", "vocab"), ""
        ),
    }
    kind: ClassVar[str] = "model"
    """Its name in messages and in checkpoints."""
    process_group: ProcessGroup = SINGLE_PROCESS
    """Processes that divide the batch; a copy or pickle starts with this process alone."""
    activity_penalty: ActivityPenalty | None = None
    """Penalties that the gradient of :meth:`loss_and_grad` includes, while a training loop runs."""
    _not_pickled = (
        *FlatParameters._not_pickled,
        "_layer_params",
        "_readout",
        "_readout_kernels",
        "_loss_options",
        "_compiled_step",
        "_embedding",
        "_core_grad",
        "_core_shapes",
        "_is_large",
        "functional",
        "tangents",
        "process_group",
        "activity_penalty",
    )

    def __init__(
        self,
        config: StackConfig,
        output_size: int,
        loss: str | Loss = DEFAULT_LOSS,
        seed: int = 0,
        threads: int | None = None,
        initial: Mapping[str, Any] | None = None,
        embedding: int | None = None,
        tie: bool = False,
        categories: CategoryInputs | None = None,
        num_tokens: int | None = None,
    ) -> None:
        self.config, self.stack = config, Stack(config)
        self.embedding, self.tie, self.categories = embedding, tie, categories
        if tie and self.stack.output_size != embedding:
            raise UsageError(
                f"{self.kind}: `tie` needs an `embedding` of the output size of the last layer, "
                f"{self.stack.output_size}; found {embedding}."
            )
        self.threads = check_threads(threads)
        self.output_size, self.criterion = output_size, self.check_loss(loss, output_size)
        rows = embedding_shape(output_size if num_tokens is None else num_tokens, embedding, categories)
        shapes = model_shapes(self.stack, output_size, rows, tie)
        super().__init__(shapes, config.dtype, self.stack.buffer_shapes)
        self.fill(self._initial_values(check_seed(seed)) if initial is None else self._check_initial(initial))

    @property
    def input_size(self) -> int:
        """``I``, the features of an input, or the number of different tokens."""
        if self.categories is not None:
            return self.categories.input_size
        return self.stack.input_size if self._embedding is None else len(self._embedding)

    @property
    def cell(self) -> Cell:
        """The cell of the first layer."""
        return self.stack.cell

    @property
    def cells(self) -> tuple[Cell, ...]:
        """The cell of each layer."""
        return self.stack.cells

    @property
    def core_size(self) -> int:
        """Number of parameters of the layers and of a readout that is not tied."""
        return self._core_grad.size

    @cached_property
    def functional(self) -> FunctionalStack:
        """The layers as pure functions."""
        return FunctionalStack(self.stack, self.dtype)

    @cached_property
    def tangents(self) -> TangentStack:
        """Derivatives of the layers in a direction."""
        return TangentStack(self.functional)

    @classmethod
    def check_loss(cls, loss: str | Loss, outputs: int) -> Loss:
        """Convert a loss, or the name of one, to a loss of this kind of model.

        Raises:
            UsageError: if the loss is unknown, expects another number of outputs, or has weights for another
                number of classes.
        """
        try:
            resolved = named_loss(loss) if isinstance(loss, str) else find_loss(loss)
        except (UsageError, UnknownNameError) as error:
            raise UsageError(f"{cls.kind}: {error}") from None
        if resolved.outputs not in (None, outputs):
            raise UsageError(
                f"{cls.kind}: {resolved.label()} needs {resolved.outputs} outputs; the model has {outputs}."
            )
        if resolved.class_weights is not None and len(resolved.class_weights) != outputs:
            raise UsageError(
                f"{cls.kind}: loss has {len(resolved.class_weights)} class weights; expected one for each of "
                f"{outputs} outputs."
            )
        return resolved

    def with_loss(self, loss: str | Loss) -> Self:
        """A model with another loss that shares the parameters, for example to evaluate without smoothing.

        Raises:
            UsageError: if the loss does not suit the model.
        """
        other = copy.copy(self)
        criterion = self.check_loss(loss, self.output_size)
        vars(other).update(criterion=criterion, process_group=self.process_group)
        other._rebuild_views(self._theta, self._grad, self._buffer_vector)
        return other

    def compile_training_step(self, *, wait: bool = True) -> None:
        """Let the next call of :meth:`loss_and_grad`, or the one after it, compile the training step.

        Use it before a long run, and before you measure times. The first call with inputs of a
        type determines the types in the step, so the second one compiles it.

        Args:
            wait: False lets another process compile it, if this one may use two threads. Until then, a step
                calls its kernels from Python, which takes up to a third longer. Results are equal to the bit.
        """
        self._compiled_step.shards.interpreted, self._compiled_step.in_background = 1, not wait

    def loss_and_grad(
        self,
        inputs: ArrayLike,
        targets: ArrayLike,
        weights: ArrayLike | None = None,
        *,
        state: GivenState | None = None,
        noise: tuple[int, int] | None = None,
        lengths: ArrayLike | None = None,
        **aux: ArrayLike,
    ) -> tuple[float, State]:
        """Mean loss, filling :attr:`grad` by back-propagation through the T steps.

        Args:
            inputs: Integer tokens ``(T, B)``; for a sequence model also floats ``(T, B, I)``.
            targets: For a language model the tokens that follow, ``(T, B)``. For a sequence model classes
                ``(T, B)`` with ``"cross_entropy"``, numbers ``(T, B, V)`` with the other losses. Without the
                time axis, ``(B,)`` or ``(B, V)``, targets of the last step, the only one with a loss.
            weights: Weight of each step of each sequence in the mean, ``(T, B)``, or of each sequence,
                ``(B,)``, zero or more; None if all are 1. Targets of weight zero are ignored, and the readout
                skips steps whose weights are all zero.
            state: Initial states, which get no gradient; the learned ones, or zeros, if None.
            noise: ``(seed, step)`` for training: dropout and the noise of cells are drawn from them. None for
                evaluation: no dropout, and noise is its expectation.
            lengths: Steps of each sequence, ``(B,)`` integers from 0 to T; None if all have T steps. The
                padding is not read and has no loss. The last step and the final states
                of a sequence are those at its end.
            **aux: Auxiliary inputs of the cells, ``dt=...`` of shape ``(T, B, ...)``, for every layer that
                declares them; missing ones have their defaults.

        Returns:
            The weighted mean of the loss over steps and sequences, in nats for symbols and classes, and the
            final states.

        Raises:
            UsageError: if an argument does not fit, or all weights are zero.
        """
        batch_loss = self._batch_loss(inputs, targets, weights, state, noise, lengths, aux, has_backward=True)
        # Other ranks might not run the preview, and wait. A penalty may have a state, which it would change.
        if self.process_group.size == 1 and self.activity_penalty is None:
            preview = partial(self._preview, inputs, targets, weights, noise=noise, lengths=lengths, **aux)
            self._compiled_step.first_pass_compiler.start(preview, self.threads)
        local_shards = self.process_group.local_shards(batch_loss.batch_size)
        batch_loss = self._with_dinputs(batch_loss)
        if self._is_large:
            outcome: tuple[float, State] = VocabularyStep(self, batch_loss, local_shards).loss_and_grad()
            self._embedding_gradient(batch_loss)
            return outcome
        self._update_tied_readout()
        if self.activity_penalty is not None:
            outcome = self._two_pass_step(batch_loss, local_shards)[:2]
        else:
            outcome = self._plain_step(batch_loss, local_shards)
        self._copy_core_gradient()
        self._embedding_gradient(batch_loss)
        return outcome

    def loss_and_state_grad(
        self,
        inputs: ArrayLike,
        targets: ArrayLike,
        weights: ArrayLike | None = None,
        *,
        state: GivenState | None = None,
        noise: tuple[int, int] | None = None,
        lengths: ArrayLike | None = None,
        **aux: ArrayLike,
    ) -> tuple[float, State, State]:
        """As :meth:`loss_and_grad`; also the gradients with respect to the initial states.

        Args:
            inputs: As for :meth:`loss_and_grad`.
            targets: As for :meth:`loss_and_grad`.
            weights: As for :meth:`loss_and_grad`.
            state: Initial states.
            noise: As for :meth:`loss_and_grad`.
            lengths: As for :meth:`loss_and_grad`.
            **aux: As for :meth:`loss_and_grad`.

        Returns:
            The loss, the final states, and the gradients with respect to the initial states, ``(B, ...)``.

        Raises:
            UsageError: as for :meth:`loss_and_grad`.
        """
        batch_loss = self._batch_loss(inputs, targets, weights, state, noise, lengths, aux, has_backward=True)
        batch_loss = self._with_dinputs(batch_loss)
        self._update_tied_readout()
        outcome = self._two_pass_step(batch_loss, self.process_group.local_shards(batch_loss.batch_size))
        self._copy_core_gradient()
        self._embedding_gradient(batch_loss)
        return outcome

    def _preview(self, *batch: Any, **options: Any) -> None:
        """Call the kernels of :meth:`loss_and_grad` for a part of a batch."""
        self.loss_and_grad(**small_batch(*batch, **options))

    def loss(
        self,
        inputs: ArrayLike,
        targets: ArrayLike,
        weights: ArrayLike | None = None,
        *,
        state: GivenState | None = None,
        noise: tuple[int, int] | None = None,
        lengths: ArrayLike | None = None,
        **aux: ArrayLike,
    ) -> tuple[float, State]:
        """As :meth:`loss_and_grad`, without the gradient."""
        batch_loss = self._batch_loss(inputs, targets, weights, state, noise, lengths, aux)
        local_shards = self.process_group.local_shards(batch_loss.batch_size)
        if self._is_large:
            return VocabularyStep(self, batch_loss, local_shards).loss()
        self._update_tied_readout()
        loss = partial(batch_loss.loss, params=batch_loss.prepare())
        results = map_shards(loss, local_shards, self.threads, batch_loss.run.batch_run.product_size)
        return self._gather(batch_loss, local_shards, results)

    def outputs(
        self,
        inputs: ArrayLike,
        weights: ArrayLike | None = None,
        *,
        state: GivenState | None = None,
        noise: tuple[int, int] | None = None,
        lengths: ArrayLike | None = None,
        **aux: ArrayLike,
    ) -> tuple[Array, State]:
        """Outputs of the readout before a softmax or sigmoid, ``(T, B, V)``, and the final states.

        Args:
            inputs: As for ``loss``.
            weights: As for ``loss``: outputs of steps whose weights are all zero are zeros.
            state: As for ``loss``.
            noise: As for ``loss``.
            lengths: As for ``loss``; outputs in the padding are zeros.
            **aux: As for ``loss``.

        Raises:
            UsageError: if an argument does not fit.
        """
        x, steps = self._inputs(inputs, lengths)
        checked = as_weights(weights, x.shape[:2], self.kind)
        return self._outputs(self._batch_run(x, checked, state, noise, steps, aux))

    def __call__(self, *_args: object, **_named: object) -> NoReturn:
        """Raise an error that names the methods, since a model may return outputs, predictions or a loss.

        Raises:
            UsageError: always.
        """
        predictions = ", model.predict(x) for predictions" if hasattr(self, "predict") else ""
        raise UsageError(
            f"{self.kind}: a model cannot be called; write model.outputs(x) for the outputs{predictions} or "
            f"model.loss(x, y) for the loss."
        )

    def stepper(self, batch_size: int = 1, state: GivenState | None = None) -> ModelStepper:
        """Make a stepper: it runs the model over a stream, one time step in each call, and keeps the states.

        Args:
            batch_size: ``B``, the number of sequences.
            state: States before the first step; as for ``loss``.

        Raises:
            UsageError: if an argument does not fit, or a layer reads backwards.
        """
        return ModelStepper(self, batch_size, state)

    def local_outputs(self, inputs: ArrayLike, state: GivenState | None = None) -> Array:
        """:meth:`outputs` of the rows that this process computes, and zeros elsewhere, ``(T, B, V)``.

        Args:
            inputs: As for ``loss``.
            state: As for ``loss``.
        """
        x, _ = self._inputs(inputs, None)
        run = self._batch_run(x, None, state, None, None, {})
        return self._shard_outputs(run, self.process_group.local_shards(x.shape[1]))[0]

    def evaluate_batch(
        self,
        inputs: ArrayLike,
        targets: ArrayLike,
        weights: ArrayLike | None = None,
        *,
        state: GivenState | None = None,
        noise: tuple[int, int] | None = None,
        lengths: ArrayLike | None = None,
        **aux: ArrayLike,
    ) -> tuple[float, Array, State]:
        """Loss, :meth:`outputs` and final states from one forward pass; arguments as for ``loss``."""
        batch_loss = self._batch_loss(inputs, targets, weights, state, noise, lengths, aux)
        outputs, final = self._outputs(batch_loss.run)
        return batch_loss.from_outputs(outputs), outputs, final

    def metadata(self) -> dict[str, Any]:
        """Everything but the arrays, as plain JSON values."""
        options = self.criterion.to_json()
        loss = {"loss": self.criterion.name, **({"loss_options": options} if options else {})}
        size = {} if self.embedding is None else {"embedding": self.embedding}
        return {**self.config.metadata(), **loss, **size}

    def _inputs(self, inputs: Any, lengths: Any) -> tuple[Array, Array | None]:
        """Check and convert inputs and lengths."""
        if self.embedding is not None:
            return as_padded_tokens(inputs, lengths, self.input_size, self.kind)
        x, steps = as_padded_batch(inputs, lengths, self.input_size, self.dtype, self.kind)
        if self.categories is not None and x.ndim == 2:
            raise UsageError(
                f"{self.kind}: inputs are tokens; a model with categories reads numbers (T, B, "
                f"{self.input_size})."
            )
        return x, steps

    def _targets(
        self, targets: Any, weights: Any, times_rows: tuple[int, int], lengths: Array | None
    ) -> tuple[Array, Array | None]:
        """Check and convert targets and weights."""
        sizes = times_rows, self.output_size
        return as_targets(targets, weights, self.criterion, *sizes, self.dtype, self.kind, lengths)

    def _batch_loss(
        self,
        inputs: Any,
        targets: Any,
        weights: Any,
        state: GivenState | None,
        noise: Any,
        lengths: Any,
        aux: Mapping[str, Any],
        *,
        has_backward: bool = False,
    ) -> BatchLoss:
        """Check the arguments of :meth:`loss_and_grad`."""
        inputs, lengths = self._inputs(inputs, lengths)
        targets, weights = self._targets(targets, weights, inputs.shape[:2], lengths)
        if self.criterion.class_weights is not None:
            weights = weights_of_classes(self.criterion.class_weights, targets, weights)
        run = self._batch_run(inputs, weights, state, noise, lengths, aux, has_backward=has_backward)
        unembedded = None if self._embedding is None else inputs
        return BatchLoss(run, targets, self._loss_options, unembedded)

    def _initial_values(self, seed: int) -> State:
        """Initial values of all parameters, and the values of all buffers."""
        values = self.stack.initial_values(seed)
        for position, (name, param) in enumerate((_READOUT | _EMBEDDING).items()):
            index = (len(self.stack.directions), position)
            if name in self.layout.shapes:
                values[name] = initialize(param, self.layout.shapes[name], seed, index, self.kind)
        return values

    def _check_initial(self, initial: Mapping[str, Any]) -> Mapping[str, Any]:
        """Raise an error unless there is one initial value for each array."""
        names = [*self.params, *self.buffers]
        given = [full_name(name, names) for name in as_mapping(initial, f"{self.kind}: initial")]
        if len(given) != len(names) or {*given} != {*names}:
            raise UsageError(
                f"{self.kind}: initial has the names {sorted(map(str, initial))}; expected {names}."
            )
        return initial

    def _rebuild_views(self, theta: Array, grad: Array, buffers: Array) -> None:
        super()._rebuild_views(theta, grad, buffers)
        self._layer_params = self.stack.params_by_direction(self._arrays)
        self._embedding = self._arrays.get("embedding")
        self._core_shapes = model_shapes(self.stack, self.output_size)
        size = ParameterLayout(self._core_shapes).size
        self._core_grad = np.empty(size, self.dtype) if self.tie else grad[:size]
        why = np.empty(self._core_shapes["Why"], self.dtype) if self.tie else self._arrays["Why"]
        self._readout = why, self._arrays["by"]
        is_cross_entropy = self.criterion.row_loss is BUILT_IN_LOSSES[DEFAULT_LOSS].row_loss
        self._is_large = is_cross_entropy and self.output_size >= vocabulary_loss.LARGE_VOCABULARY
        self._readout_kernels = readout_kernels(self.criterion, self.config.precision)
        self._loss_options = self.criterion.values  # read at every step
        self._compiled_step = CompiledStep(self.stack, self._layer_params, self._readout)

    def _batch_run(
        self,
        inputs: Array,
        weights: Array | None,
        state: GivenState | None,
        noise: Any,
        lengths: Array | None,
        aux: Mapping[str, Any],
        *,
        has_backward: bool = False,
    ) -> ReadoutRun:
        steps, batch = inputs.shape[:2]
        if self._embedding is not None:
            inputs = self.embed(inputs)
        batch_run = BatchRun(
            self.stack,
            self._layer_params,
            inputs,
            self.stack.initial_states(state, self.params, batch, self.dtype, self.kind),
            self.stack.aux_inputs(aux, (steps, batch), self.dtype, noise, lengths),
            self.stack.segments(steps, batch, has_backward=has_backward),
            lengths,
            uses_learned_state=state is None,
        )
        return ReadoutRun(batch_run, self._readout, self._readout_kernels, weights)

    def _plain_step(self, batch_loss: BatchLoss, local_shards: Sequence[slice]) -> tuple[float, State]:
        """The compiled step, or the interpreted one where it does not apply."""
        keeps = self.process_group.needs_shard_gradients
        core = self._core_grad
        out = np.empty((len(local_shards), core.size), self.dtype) if keeps else core[None]
        result = self._compiled_step.loss_and_grad(batch_loss, local_shards, out, self.threads)
        if result is None:
            return self._interpreted_step(batch_loss, local_shards)
        if keeps:
            self.process_group.sum_gradients(list(out), self._core_grad, batch_loss.batch_size)
        losses, final = result
        states = self.process_group.scatter_local_states(final, batch_loss.run.batch_run.state)
        return self._mean_loss(batch_loss, losses), States(states)

    def _two_pass_step(
        self, batch_loss: BatchLoss, local_shards: Sequence[slice]
    ) -> tuple[float, State, State]:
        """As :meth:`loss_and_state_grad`, with the penalties of the activity."""
        step = StateGradientStep(self, batch_loss, local_shards).loss_and_grad(self.activity_penalty)
        self.process_group.sum_gradients(step.gradients, self._core_grad, batch_loss.batch_size)
        return self._mean_loss(batch_loss, step.losses), step.final, step.dinitial

    def _interpreted_step(self, batch_loss: BatchLoss, local_shards: Sequence[slice]) -> tuple[float, State]:
        """As :meth:`loss_and_grad`; Python calls kernel after kernel."""
        params = batch_loss.prepare(backward=True)

        def compute(shard: slice) -> tuple[Array, State, Array]:
            gradient = np.empty_like(self._core_grad)
            return *batch_loss.loss_and_grad(shard, gradient, params), gradient

        results = map_shards(compute, local_shards, self.threads, batch_loss.run.batch_run.product_size)
        self.process_group.sum_gradients(
            [gradient for _, _, gradient in results], self._core_grad, batch_loss.batch_size
        )
        return self._gather(batch_loss, local_shards, [(losses, final) for losses, final, _ in results])

    def _gather(
        self, batch_loss: BatchLoss, local_shards: Sequence[slice], results: Sequence[tuple[Array, State]]
    ) -> tuple[float, State]:
        """The mean loss and the final states of all shards, from the results of this process's shards."""
        final = gather_final_states(batch_loss, local_shards, [states for _, states in results])
        return self._mean_loss(batch_loss, [losses for losses, _ in results]), final

    def embed(self, inputs: Array, embedding: Array | None = None) -> Array:
        """The input of the first layer: with the rows of the embedding, ``(T, B, E)``, if there is one.

        Args:
            inputs: Checked tokens ``(T, B)`` or numbers ``(T, B, I)``.
            embedding: Other rows than the parameter ``embedding``.
        """
        if self._embedding is None:
            return inputs
        vectors = self._embedding if embedding is None else embedding
        if self.categories is not None:
            return self.categories.embed(inputs, vectors)
        rows: Array = vectors[inputs]
        return rows

    def readout_weights(self) -> Array:
        """The weights of the readout, ``(H, V)``: ``Why``, or a copy of the tied embedding."""
        self._update_tied_readout()
        return self._readout[0]

    def _with_dinputs(self, batch_loss: BatchLoss) -> BatchLoss:
        """The loss with a destination of the gradient of the embedded inputs, if there are any."""
        if batch_loss.unembedded is None:
            return batch_loss
        return replace(batch_loss, dinputs=batch_loss.run.batch_run.empty_output(self.stack.input_size))

    def _update_tied_readout(self) -> None:
        """Copy the embedding to the readout that the kernels read, if it is tied."""
        if self.tie and self._embedding is not None:
            np.copyto(self._readout[0], self._embedding.T)

    def _copy_core_gradient(self) -> None:
        """Copy the gradient of a model with a tied readout, whose ``Why`` is the embedding."""
        if self.tie:
            for name, value in ParameterLayout(self._core_shapes).views(self._core_grad).items():
                target = self.grads["embedding"].T if name == "Why" else self.grads[name]
                target[...] = value

    def _embedding_gradient(self, batch_loss: BatchLoss) -> None:
        """Add the gradient of the embedded inputs to the rows of their tokens or categories."""
        if batch_loss.unembedded is None or batch_loss.dinputs is None:
            return
        if not self.tie:
            self.grads["embedding"] = 0
        order = batch_loss.run.batch_run.row_order
        dinputs = self.process_group.all_gather_rows(batch_loss.dinputs, order)
        add = add_weight_gradient if self.categories is None else self.categories.add_gradient
        add(batch_loss.unembedded, dinputs, self.grads["embedding"])

    def _mean_loss(self, batch_loss: BatchLoss, losses: Iterable[Array]) -> float:
        """The mean loss of the batch, from the losses of this process's shards."""
        sums = self.process_group.all_gather_floats(
            [sum_losses(each) for each in losses], batch_loss.batch_size
        )
        return batch_loss.mean(sums)

    def _outputs(self, run: ReadoutRun) -> tuple[Array, State]:
        batch_run = run.batch_run
        outputs, states = self._shard_outputs(run, shards(batch_run.batch_size))
        if batch_run.lengths is not None:
            outputs = mask_padding(outputs, batch_run.lengths)
        return outputs, gather_states(batch_run.pair_with_rows(states), batch_run.batch_size)

    def _shard_outputs(self, run: ReadoutRun, local_shards: Sequence[slice]) -> tuple[Array, list[State]]:
        """The outputs of some shards, zeros elsewhere, and the final states of each of them."""
        self._update_tied_readout()
        outputs = np.zeros((*run.batch_run.x.shape[:2], self.output_size), self.dtype)
        params = run.batch_run.prepare(forward=True)
        states = map_shards(
            lambda shard: run.outputs(shard, outputs, params),
            local_shards,
            self.threads,
            run.batch_run.product_size,
        )
        return outputs, states


def fit_functions() -> Any:
    """The module with the loops of ``fit`` and ``evaluate``; training is built on models, so by name."""
    return importlib.import_module("zoo.training.fit")


def embedding_shape(
    num_tokens: int, embedding: int | None = None, categories: CategoryInputs | None = None
) -> tuple[int, int] | None:
    """The shape of an embedding of tokens of this size, or of categories; None without one."""
    if categories is not None:
        return categories.rows, categories.size
    return None if embedding is None else (num_tokens, embedding)


def model_shapes(
    stack: Stack, outputs: int, embedding: tuple[int, int] | None = None, tie: bool = False
) -> dict[str, tuple[int, ...]]:
    """Shape of every parameter of a model: layers, readout, embedding."""
    why = {} if tie else {"Why": (stack.output_size, outputs)}
    rows = {} if embedding is None else {"embedding": embedding}
    return {**stack.param_shapes, **why, "by": (outputs,), **rows}
