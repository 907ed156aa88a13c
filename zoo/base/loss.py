"""``Loss`` and the table of losses: everything that is particular to one loss is one row.

A loss of your own is a row too; docs/howto/loss.md shows one.
"""

from __future__ import annotations

import copy
import copyreg
import dataclasses
import importlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from zoo.arguments import as_elements, is_number, short_repr
from zoo.base.declarations import Option, range_text
from zoo.base.names import check_component_name, did_you_mean
from zoo.base.source_digest import source_digest
from zoo.errors import DefinitionError, UsageError

if TYPE_CHECKING:
    from zoo.array_types import Array


TARGETS = {"class": "classes", "probability": "numbers", "value": "numbers"}
"""The kinds of targets, in words, without a range."""


EXPECTED_WEIGHT = "a number from 1e-9 to 1e9"
"""The valid weights of classes and targets; sums of losses with larger ones may overflow in float32."""


def is_weight(value: Any) -> bool:
    """Whether a value is a valid weight of a class or target."""
    return is_number(value) and 1e-9 <= value <= 1e9


@dataclass(frozen=True, eq=False)
class Loss:
    """A loss of the outputs of a readout, with its options chosen.

    A row holds the outputs ``(V,)`` of one step of one sequence. The loss of a batch is the weighted mean
    over rows.

    Args:
        name: Its name.
        row_loss: Kernel ``(row, target, *options)`` that returns the loss of a row, in float64.
        row_loss_and_grad: Kernel ``(row, target, scale, *options)`` that also replaces the row by the
            gradient of ``scale`` times its loss.
        target: Kind of targets: ``"class"``, an integer below V for each row; ``"probability"``, V numbers
            from 0 to 1; or ``"value"``, V numbers.
        metric: Default metric of a task with this loss.
        predict: From outputs ``(T, B, V)`` to predictions; None for the class of the largest output, the
            sigmoid, or the outputs themselves, depending on ``target``.
        options: Options by name, numbers, which the kernels take in this order.
        block: Kernel ``(rows, targets, weights, scale, losses, options)`` in place of
            ``row_loss_and_grad``, for several rows at once: row n becomes the gradient of
            ``scale * weights[n]`` times its loss, and ``losses[n]`` its loss.
        outputs: The number of outputs V that the kernels expect, at least 1; None for any number.
        low: Smallest target (inclusive), for ``target="value"``, such as 0 for counts. A smaller one in the
            data is an error, and the laws draw no smaller one. None for no bound.
        high: Largest target (inclusive), likewise.
        chosen: Values of options; use :meth:`with_options`.
        class_weights: Weight of each class in the mean; use :meth:`with_options`.

    Raises:
        DefinitionError: if an argument is invalid.
    """

    kind: ClassVar[str] = "loss"
    name: str
    row_loss: Callable[..., float]
    row_loss_and_grad: Callable[..., float] | None = None
    target: str = "value"
    metric: str = "squared_error"
    predict: Callable[[Array], Array] | None = None
    options: Mapping[str, Option[float]] = field(default_factory=dict)
    block: Callable[..., None] | None = None
    chosen: Mapping[str, float] = field(default_factory=dict)
    class_weights: tuple[float, ...] | None = None
    outputs: int | None = None
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        """Check the row."""
        check_component_name(self.name, "loss")
        if self.target not in TARGETS:
            raise DefinitionError(
                f"{self}: target is {short_repr(self.target)}; expected one of {', '.join(TARGETS)}."
            )
        if self.outputs is not None and not (type(self.outputs) is int and self.outputs >= 1):
            raise DefinitionError(
                f"{self.label()}: outputs is {short_repr(self.outputs)}; expected an integer of at least 1, "
                f"or None for any number."
            )
        self._check_range()
        for label, kernel in self._kernels().items():
            if not hasattr(kernel, "py_func"):
                raise DefinitionError(
                    f"loss {self.name!r}: {label} is {short_repr(kernel)}; expected a zoo.njit kernel."
                )
        for option in self.options.values():
            if not isinstance(option, Option) or option.type is not float:
                raise DefinitionError(
                    f"loss {self.name!r}: an option is {short_repr(option)}; expected a zoo.Option with a "
                    f"default of type float."
                )
        named = {name: _named_option(name, option) for name, option in self.options.items()}
        object.__setattr__(self, "options", named)

    def _check_range(self) -> None:
        bounds = {name: bound for name in ("low", "high") if (bound := getattr(self, name)) is not None}
        for name, bound in bounds.items():
            if self.target != "value":
                raise DefinitionError(
                    f"{self.label()}: {name} is {short_repr(bound)} and target is {self.target!r}; leave it "
                    f"out, since only targets of the kind 'value' have bounds of their own."
                )
            if not is_number(bound):
                raise DefinitionError(
                    f"{self.label()}: {name} is {short_repr(bound)}; expected a finite int or float, or None."
                )
        if len(bounds) == 2 and bounds["low"] >= bounds["high"]:
            raise DefinitionError(
                f"{self.label()}: low is {bounds['low']} and high is {bounds['high']}; expected low < high."
            )

    @property
    def target_range(self) -> tuple[float, float]:
        """The smallest and the largest target that is a number, infinite without a bound."""
        if self.target == "probability":
            return 0.0, 1.0
        return (-math.inf if self.low is None else self.low), (math.inf if self.high is None else self.high)

    @property
    def has_range(self) -> bool:
        """Whether some finite numbers are no targets."""
        return self.target_range != (-math.inf, math.inf)

    @property
    def target_text(self) -> str:
        """The targets in words: ``"classes"``, ``"numbers from 0 to 1"``, ``"numbers of at least 0"``."""
        low, high = (0, 1) if self.target == "probability" else (self.low, self.high)
        return " ".join(filter(None, (TARGETS[self.target], range_text(low, high))))

    def _kernels(self) -> dict[str, Any]:
        gradient = {"block": self.block} if self.block else {"row_loss_and_grad": self.row_loss_and_grad}
        return {"row_loss": self.row_loss, **gradient}

    def with_options(self, *, class_weights: Sequence[float] | None = None, **options: Any) -> Loss:
        """The loss with some options chosen.

        Args:
            class_weights: For targets that are classes, a weight from 1e-9 to 1e9 for each class, which
                multiplies the weight of its rows in the mean; None for equal ones.
            **options: Values of options.

        Raises:
            UsageError: for an unknown option or an invalid value.
        """
        owner = f"loss {self.name!r}"
        for name in options:
            if name not in self.options:
                known = [*self.options, *(["class_weights"] if self.target == "class" else [])]
                raise UsageError(
                    f"{owner} has no option {name!r}; it has {', '.join(known) or 'none'}."
                    f"{did_you_mean(name, known)}"
                )
        values = {}
        for name, option in self.options.items():
            given = options.get(name, self.chosen.get(name, option.default))
            values[name] = option.check(given, owner)
        weights = self.class_weights if class_weights is None else self._check_class_weights(class_weights)
        return dataclasses.replace(self, chosen=values, class_weights=weights)

    def _check_class_weights(self, weights: Any) -> tuple[float, ...]:
        if self.target != "class":
            raise UsageError(f"loss {self.name!r} has no classes; leave out class_weights.")
        elements = as_elements(weights, "class_weights", "a number for each class")
        if not all(map(is_weight, elements)):
            raise UsageError(
                f"loss {self.name!r}: class_weights are {short_repr(weights)}; expected {EXPECTED_WEIGHT} "
                f"for each class."
            )
        return tuple(map(float, elements))

    def label(self) -> str:
        """The name of the loss in error messages: ``loss 'huber'``."""
        return f"{self.kind} {self.name!r}"

    @property
    def values(self) -> tuple[float, ...]:
        """Values of the options, in order, as the kernels take them."""
        return tuple(self.chosen.get(name, option.default) for name, option in self.options.items())

    def to_json(self) -> dict[str, Any]:
        """Chosen values that are not the default, as plain JSON values."""
        values = dict(zip(self.options, self.values, strict=True))
        changed = {name: value for name, value in values.items() if value != self.options[name].default}
        return changed if self.class_weights is None else {**changed, "class_weights": [*self.class_weights]}

    def source_digest(self) -> str:
        """SHA-256 of the code in the file that defines it; empty without a source."""
        return source_digest(row_loss_function(self))

    def predictions(self, outputs: Array) -> Array:
        """Predictions, in the form of targets, from outputs ``(..., V)``."""
        import numpy as np

        if self.predict is not None:
            return self.predict(outputs)
        if self.target == "probability":
            outputs = np.tanh(outputs / 2) / 2 + 0.5
        predictions: Array = outputs.argmax(axis=-1) if self.target == "class" else outputs
        return predictions

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Loss) and self._identity() == other._identity()

    def __hash__(self) -> int:
        return hash(self._identity())

    def _identity(self) -> tuple[Any, ...]:
        """Names of the kernels, not the kernels: a plugin's file may be run twice."""
        kernels = [(kernel.__module__, kernel.__qualname__) for kernel in self._kernels().values()]
        declared = self.target, self.outputs, self.low, self.high
        return self.name, declared, self.values, self.class_weights, tuple(kernels)

    def __reduce__(self) -> str | tuple[Any, ...]:
        row = loss_table().get(self.name)
        if row and row.options.keys() == self.options.keys() and row.with_options(**self.to_json()) == self:
            return _restore, (self.name, self.to_json())  # by name, as cells are
        return copyreg.__newobj__, (type(self),), dict(vars(self))  # type: ignore[attr-defined]

    def __repr__(self) -> str:
        options = "".join(f", {name}={short_repr(value)}" for name, value in self.to_json().items())
        return f"Loss({self.name!r}{options})"

    def __str__(self) -> str:
        options = ", ".join(f"{name}={value}" for name, value in self.to_json().items())
        return f"{self.name}({options})" if options else self.name


def row_loss_function(loss: Loss) -> Callable[..., float]:
    """The Python function of the kernel ``row_loss``, whose docstring describes the loss."""
    kernel: Any = loss.row_loss
    function: Callable[..., float] = kernel.py_func
    return function


REGISTERED_LOSSES: dict[str, Loss] = {}
"""Losses of plugins and of the running program by name, which the registry writes; see :func:`loss_table`."""


def loss_table() -> dict[str, Loss]:
    """All losses by name: the built-in ones, and those that are registered."""
    # By name, as a plugin: the rows need kernels, which are built on these base classes.
    built_in: dict[str, Loss] = importlib.import_module("zoo.kernels.losses").BUILT_IN_LOSSES
    return built_in | REGISTERED_LOSSES


def _named_option(name: str, option: Option[float]) -> Option[float]:
    """The option with its name; a copy if it has another name in another loss."""
    if option.name not in ("", name):
        option = copy.copy(option)
    option.name = name
    return option


def _restore(name: str, options: Mapping[str, Any]) -> Loss:
    loss: Loss = importlib.import_module("zoo.registry").get_loss(name, **options)  # loads the plugins
    return loss
