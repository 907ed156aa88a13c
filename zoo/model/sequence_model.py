"""``zoo.SequenceModel``: classes, numbers or probabilities from sequences, at every step or the last."""

from __future__ import annotations

import importlib
import operator
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from numpy.typing import ArrayLike

from zoo.arguments import as_instance, as_integer, short_repr
from zoo.array_types import Array
from zoo.base.loss import Loss
from zoo.errors import UsageError
from zoo.layers.config import STACK_DEFAULTS, CellLike, StackConfig, StackOptions, with_options
from zoo.layers.stack import warn_without_effect
from zoo.layers.states import GivenState
from zoo.model.category_inputs import CategoryInputs
from zoo.model.model import (
    DEFAULT_LOSS,
    FIT_DEFAULTS,
    FitOptions,
    Model,
    ModelOptions,
    fit_functions,
    merged_fit_options,
)
from zoo.model.ridge_regression import ReadoutFit, RidgeRegression

if TYPE_CHECKING:
    from typing_extensions import Unpack

State = dict[str, Array]

MAX_OUTPUTS = 2**40


class SequenceModel(Model):
    """Recurrent layers and a readout for classification and regression, ``o = h Why + by``.

    >>> model = zoo.SequenceModel("lstm", input_size=3, output_size=5)
    >>> x = np.ones((7, 2, 3), np.float32)  # seven steps of two sequences
    >>> loss, state = model.loss_and_grad(x, targets=[4, 0])  # their classes, after the last step
    >>> model.predict(x)[0].shape
    (7, 2)

    The third argument is the size of the output. That of :class:`zoo.Recurrent` is the size of a layer.

    Args:
        cell: The cell of every layer, or a list with one for each: see ``cells`` of
            :class:`zoo.layers.StackConfig`.
        input_size: ``I``, features of the input or number of different tokens.
        output_size: ``V``, classes or numbers.
        hidden_size: ``H``, hidden units of a layer.
        num_layers: ``L``, layers.
        loss: Name of a registered loss (see ``zoo.base.loss``), which a number may follow for its option, as
            in ``"huber:0.5"``, or one with its options chosen:
            ``"cross_entropy"`` of a softmax over V classes; ``"binary"``, the mean cross-entropy of V
            sigmoids; ``"squared_error"``, ``"absolute_error"``, ``"huber"`` or ``"quantile"``, means over V
            numbers.
        seed: Seed of the initial values of the parameters.
        threads: Number of threads that share the batch; None for every processor. Changes no bit of any
            result.
        initial: The values of all parameters and buffers by name, instead of random ones.
        categories: The inputs that are one-hot codes of categories, of which the first layer reads trained
            vectors, the rows of ``"embedding"``; None if it reads all inputs as they are.
        embedding: Size of a trained vector for each of I tokens, a row of ``"embedding" (I, E)``, which the
            first layer reads; None if it reads tokens as one-hot codes, or numbers.
        **options: ``dtype``, ``block``, ``bidirectional``, ``dropout``, ``residual``, ``learned_state``,
            ``recompute`` and ``precision``, which :class:`zoo.layers.StackConfig` explains. ``Why`` is
            ``(2 H, V)`` if bidirectional.

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

    @with_options("zoo.SequenceModel", StackOptions, STACK_DEFAULTS)
    def __init__(
        self,
        cell: CellLike | Sequence[CellLike],
        input_size: int,
        output_size: int,
        hidden_size: int = 128,
        num_layers: int = 1,
        *,
        loss: str | Loss = DEFAULT_LOSS,
        seed: int = 0,
        threads: int | None = None,
        initial: Mapping[str, Any] | None = None,
        categories: CategoryInputs | None = None,
        embedding: int | None = None,
        **options: Unpack[StackOptions],
    ) -> None:
        size = input_size
        if embedding is not None:
            size = as_integer(embedding, "sequence model: embedding", 1)
            input_size = as_integer(input_size, "sequence model: input_size", 1)
        if categories is not None:
            as_instance(categories, "sequence model: categories", CategoryInputs, "zoo.model.CategoryInputs")
            if categories.input_size != input_size:
                raise UsageError(
                    f"sequence model: categories are of {categories.input_size} inputs, and input_size is "
                    f"{short_repr(input_size)}; give the same."
                )
            if embedding is not None:
                raise UsageError(
                    "sequence model: categories and an embedding of tokens are given; give one of them."
                )
            size = categories.embedded_size
        config = StackConfig(cell, size, hidden_size, num_layers, embedded=embedding is not None, **options)
        self._build(
            config,
            output_size,
            loss=loss,
            seed=seed,
            threads=threads,
            initial=initial,
            categories=categories,
            embedding=None if embedding is None else size,
            num_tokens=None if embedding is None else input_size,
        )
        warn_without_effect(self.stack)

    @classmethod
    def from_config(
        cls, config: StackConfig, output_size: int, **others: Unpack[ModelOptions]
    ) -> SequenceModel:
        """Make a model with the layers of a config; for the other arguments, see the class.

        Raises:
            UsageError: if an argument does not fit.
        """
        model = cls.__new__(cls)
        model._build(config, output_size, **others)
        return model

    def _build(self, config: StackConfig, output_size: int, **others: Unpack[ModelOptions]) -> None:
        super().__init__(config, _check_outputs(output_size), **others)

    def __repr__(self) -> str:
        return (
            f"SequenceModel({self.config.describe_cells()}, input_size={self.input_size}, "
            f"output_size={self.output_size}, hidden_size={self.stack.hidden_size}, "
            f"num_layers={len(self.stack.layers)}, loss={str(self.criterion)!r}, "
            f"{'' if self.embedding is None else f'embedding={self.embedding}, '}dtype={self.dtype.name!r}, "
            f"P={self.layout.size})"
        )

    def predict(
        self,
        inputs: ArrayLike,
        weights: ArrayLike | None = None,
        *,
        state: GivenState | None = None,
        noise: tuple[int, int] | None = None,
        lengths: ArrayLike | None = None,
        **aux: ArrayLike,
    ) -> tuple[Array, State]:
        """Predictions in the form of targets, and the final states; arguments as for ``outputs``.

        Returns:
            The most probable classes ``(T, B)``, or numbers ``(T, B, V)``, which for ``"binary"`` are
            probabilities; and the final states.
        """
        outputs, final = self.outputs(inputs, weights, state=state, noise=noise, lengths=lengths, **aux)
        return self.criterion.predictions(outputs), final

    @with_options("zoo.SequenceModel.fit", FitOptions, FIT_DEFAULTS)
    def fit(
        self,
        inputs: ArrayLike,
        targets: ArrayLike,
        weights: ArrayLike | None = None,
        *,
        lengths: ArrayLike | None = None,
        aux: Mapping[str, ArrayLike] | None = None,
        validation: float | Sequence[ArrayLike] | Mapping[str, ArrayLike] | None = None,
        class_weights: str | Sequence[float] | None = None,
        **options: Unpack[FitOptions],
    ) -> list[dict[str, Any]]:
        """Train on N sequences in memory, in another order in every epoch.

        >>> history = model.fit(x, y, validation=0.2, epochs=20, patience=3)

        Args:
            inputs: Tokens ``(T, N)`` or numbers ``(T, N, I)``, time first.
            targets: As for :meth:`loss_and_grad`, for all N sequences.
            weights: Weight of each sequence, ``(N,)``, or of each step, ``(T, N)``; None if all are 1.
            lengths: Steps of each sequence, ``(N,)``; None if all have T.
            aux: Auxiliary inputs of the cells by name, ``(T, N, ...)``.
            validation: Sequences that are evaluated after every epoch: ``(inputs, targets)``, ``(inputs,
                targets, weights)``, or a mapping of arguments by name, which training with ``lengths`` or
                ``aux`` needs; or the share of the N sequences, such as 0.2, that is left out of training. The
                seed chooses them, of each class alike if targets are ``(N,)`` classes. The model then ends
                with the parameters of the best validation.
            class_weights: Weight of each class in the loss of training and validation, V numbers above zero;
                or ``"balanced"`` for weights that are inverse to the frequencies of the classes.
            **options: ``epochs`` (10); or ``steps``, the number of updates. ``batch_size`` (32).
                ``optimizer`` (``"adam"``), a name or an optimizer; it starts anew at each call. ``lr``, its
                learning rate. ``clip`` (1.0), the largest norm of the gradient; None for no limit.
                ``patience``, the number of epochs without a better validation after which training stops.
                ``seed`` (0) of the orders, of noise, and of the sequences for validation.
                ``progress`` (False), whether to print a line for every epoch to standard error.
                ``constraints``, ``penalties`` and ``param_groups``: mappings from patterns over
                :attr:`params`, such as ``{"Whh": "nonnegative"}``, ``{"activity": "l2:1e-3"}`` and
                ``{"embedding": "frozen"}`` (docs/howto/constrain.md). ``base_hidden``: the hidden units for
                which ``lr`` was chosen (docs/howto/learning-rate.md).

        Returns:
            The events with a loss, as in :attr:`zoo.training.Run.history`: ``step`` with the mean training
            loss of an epoch, and ``eval`` with the loss and the metric of the validation data, or at the end
            of the training data.

        Raises:
            UsageError: if an argument does not fit.
            ZooError: if training diverges.
        """
        data = inputs, targets, weights, lengths, aux, validation, class_weights
        history: list[dict[str, Any]] = fit_functions().fit_sequences(
            self, *data, **merged_fit_options(options)
        )
        return history

    def fit_readout(
        self,
        inputs: ArrayLike,
        targets: ArrayLike,
        weights: ArrayLike | None = None,
        *,
        ridge: float | Sequence[float] = 1e-6,
        washout: int = 0,
        lengths: ArrayLike | None = None,
        aux: Mapping[str, ArrayLike] | None = None,
        validation: float | Sequence[ArrayLike] | Mapping[str, ArrayLike] | None = None,
        seed: int = 0,
    ) -> ReadoutFit:
        """Fit the readout by ridge regression and keep the layers as they are, as in reservoir computing.

        >>> reservoir = zoo.SequenceModel("esn", 3, 3, hidden_size=300, loss="squared_error")
        >>> fit = reservoir.fit_readout(series[:-1], series[1:], washout=100)

        ``Why`` and ``by`` become the minimum of the sum of squared errors over steps, sequences and outputs
        plus ``ridge`` times the sum of squares of ``Why``. Any cell can be a reservoir, trained or not. For
        classes, give one-hot targets, and take the largest output.

        Args:
            inputs: As for :meth:`fit`.
            targets: As for :meth:`fit`, numbers.
            weights: As for :meth:`fit`.
            ridge: Penalty of the squared weights, zero or more; or several, of which the one with the least
                loss on the validation data is used.
            washout: Steps at the beginning of each sequence that do not count, because the states still
                depend on the initial ones. It applies to training and validation data.
            lengths: As for :meth:`fit`.
            aux: As for :meth:`fit`.
            validation: As for :meth:`fit`; needed for several penalties.
            seed: Seed that chooses the sequences for validation, if it is a share.

        Returns:
            The penalty that was used, and the validation loss with each penalty.

        Raises:
            UsageError: if an argument does not fit, or the loss is not the squared error.
        """
        self._check_least_squares("fit_readout")
        data = inputs, targets, weights, lengths, aux, validation
        fit_result: ReadoutFit = importlib.import_module("zoo.training.readout_fit").fit_readout(
            self, *data, ridge=ridge, washout=washout, seed=seed
        )
        return fit_result

    def add_to_regression(
        self,
        regression: RidgeRegression,
        inputs: ArrayLike,
        targets: ArrayLike,
        weights: ArrayLike | None = None,
        *,
        lengths: ArrayLike | None = None,
        **aux: ArrayLike,
    ) -> None:
        """Add the outputs of the layers and the targets of some sequences to a regression for the readout.

        Use it in place of :meth:`fit_readout` for sequences that do not fit into memory:

        >>> regression = zoo.model.RidgeRegression(features=300, targets=3)
        >>> for x, y in batches:
        ...     reservoir.add_to_regression(regression, x, y)
        >>> reservoir.params["Why"], reservoir.params["by"] = regression.solve(ridge=1e-6)

        Args:
            regression: A regression of V targets on the H outputs of the layers.
            inputs: As for :meth:`fit`.
            targets: As for :meth:`fit`, numbers.
            weights: As for :meth:`fit`. Steps with a weight of zero do not count, for example the first ones.
            lengths: As for :meth:`fit`.
            **aux: Auxiliary inputs of the cells by name, ``(T, N, ...)``.

        Raises:
            UsageError: if an argument does not fit, or the loss is not the squared error.
        """
        self._check_least_squares("add_to_regression")
        owner, expected = "add_to_regression: regression", (self.stack.output_size, self.output_size)
        as_instance(regression, owner, RidgeRegression, "a zoo.model.RidgeRegression")
        if regression.shape != expected:
            raise UsageError(
                f"{owner} has {regression.shape[0]} features and {regression.shape[1]} targets; expected "
                f"RidgeRegression{expected}, the outputs of the layers and of the model."
            )
        self._batch_loss(inputs, targets, weights, None, None, lengths, aux).add_to_regression(regression)

    def _check_least_squares(self, owner: str) -> None:
        """Raise an error for a loss that ridge regression does not minimise."""
        if self.criterion.name != "squared_error":
            raise UsageError(
                f"{owner}: the loss of the model is {self.criterion.name!r}; least squares need "
                f"loss='squared_error'. For classes, give one-hot targets to such a model."
            )

    def evaluate(
        self,
        inputs: ArrayLike,
        targets: ArrayLike,
        weights: ArrayLike | None = None,
        *,
        lengths: ArrayLike | None = None,
        aux: Mapping[str, ArrayLike] | None = None,
        batch_size: int = 256,
    ) -> dict[str, float]:
        """Mean loss, and the metric of the loss, such as the accuracy; arguments as for :meth:`fit`.

        Returns:
            ``{"loss": ..., "accuracy": ...}``.

        Raises:
            UsageError: if an argument does not fit.
        """
        functions = fit_functions()
        data = functions.as_sequences(self, inputs, targets, weights, lengths, aux)
        size = as_integer(batch_size, "evaluate: batch_size", 1)
        values: dict[str, float] = functions.evaluate_sequences(self, data, size)
        return values

    def metadata(self) -> dict[str, Any]:
        """Everything but the arrays, as plain JSON values."""
        sizes: dict[str, Any] = {"input_size": self.input_size, "output_size": self.output_size}
        if self.categories is not None:
            sizes["categories"] = self.categories.to_json()
        return {**super().metadata(), **sizes}


def _check_outputs(size: Any) -> int:
    try:
        outputs = 0 if isinstance(size, bool) else operator.index(size)
    except TypeError:
        outputs = 0
    if not 1 <= outputs <= MAX_OUTPUTS:
        raise UsageError(f"sequence model: output_size is {short_repr(size)}; expected a positive integer.")
    return outputs
