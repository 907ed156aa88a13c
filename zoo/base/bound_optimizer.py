"""An optimizer bound to the parameters that it updates."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from zoo.arguments import as_integer, as_mapping, as_number, short_repr
from zoo.base.names import did_you_mean
from zoo.base.param_groups import GroupedOptimizer, ParamGroups, group_parameters
from zoo.errors import UsageError

if TYPE_CHECKING:
    from zoo.array_types import Vector
    from zoo.base.optimizer import Optimizer


_OTHER_NAMES = {
    "learning_rate": " Did you mean 'lr'?",
    "clip": " Did you mean 'clip_norm'?",
    "max_norm": " Did you mean 'clip_norm'?",
}


class HasGradient(Protocol):
    """An object with parameters and their gradient, such as a layer or a model."""

    @property
    def theta(self) -> Vector:
        """The parameters."""

    @property
    def grad(self) -> Vector:
        """Their gradient."""


class BoundOptimizer:
    """An optimizer with the parameters that it updates; from :meth:`zoo.Optimizer.bind`.

    >>> opt = zoo.get_optimizer("adam", lr=0.01).bind(rnn, clip_norm=1.0)
    >>> y, state = rnn(x)
    >>> rnn.backward(y - target)
    >>> opt.step()

    All targets together are one vector: one norm, one state. :attr:`state` holds everything that a later
    program needs to continue: ``np.savez("optimizer.npz", **opt.state)``.

    Args:
        optimizer: The optimizer.
        *targets: Layers, models or other objects with ``theta`` and ``grad``, or pairs of arrays
            ``(theta, grad)`` of any shape. Parameters are updated in place. Write gradients in place too,
            ``dw[:] = ...``: after ``dw = ...`` the optimizer still reads the old array.
        clip_norm: Largest norm of the gradient of all targets; a longer gradient is scaled to it. None for no
            limit. R. Pascanu et al. 2013, https://arxiv.org/abs/1211.5063.
        param_groups: Other settings for some parameters; see :meth:`zoo.Optimizer.bind`.

    Attributes:
        optimizer: The optimizer.

    Raises:
        UsageError: if there is no target, a target has no such arrays, or an argument is invalid.
    """

    optimizer: Optimizer

    def __init__(
        self,
        optimizer: Optimizer,
        *targets: HasGradient | tuple[Vector, Vector],
        clip_norm: float | None = None,
        param_groups: ParamGroups = None,
    ) -> None:
        vars(self).update(optimizer=optimizer)
        self._targets = targets
        self._steps = 0
        self.lr = optimizer.options["lr"]
        self.clip_norm = clip_norm
        self._grouped = group_parameters(optimizer, param_groups, self._parameter_slices())
        self._slots: Mapping[str, Vector] = optimizer.init(
            _concatenate([theta for theta, _ in self._writable_arrays()])
        )

    def __setattr__(self, name: str, value: Any) -> None:
        is_own = type(self) is BoundOptimizer  # a class of a user may have other attributes
        if is_own and name[0] != "_" and name not in ("lr", "clip_norm", "state"):
            advice = _OTHER_NAMES.get(name) or did_you_mean(name, ("lr", "clip_norm", "state"))
            raise UsageError(
                f"{self.optimizer.label()}: {name!r} cannot be changed; you may change lr, clip_norm and "
                f"state.{advice}"
            )
        object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        clip = "" if self.clip_norm is None else f", clip_norm={self.clip_norm:g}"
        size = sum(theta.size for theta, _ in self._arrays())
        return f"{self.optimizer!r}.bind(P={size}, lr={self.lr:g}{clip}, {self._steps} steps done)"

    @property
    def lr(self) -> float:
        """The learning rate of the next step, at first the option ``lr``; assign to it to change it."""
        return self._lr

    @lr.setter
    def lr(self, value: float) -> None:
        rate = as_number(value, f"{self.optimizer.label()}: lr")
        if rate < 0:
            raise UsageError(f"{self.optimizer.label()}: lr is {value:g}; expected zero or more.")
        self._lr = rate

    @property
    def clip_norm(self) -> float | None:
        """Largest norm of the gradient; None for no limit."""
        return self._clip_norm

    @clip_norm.setter
    def clip_norm(self, value: float | None) -> None:
        limit = None if value is None else as_number(value, f"{self.optimizer.label()}: clip_norm")
        if limit is not None and limit <= 0:
            raise UsageError(
                f"{self.optimizer.label()}: clip_norm is {value:g}; expected a positive number, or None."
            )
        self._clip_norm = limit

    @property
    def state(self) -> dict[str, Any]:
        """Number of steps, learning rate, and copies of the slots; assign to it to restore them."""
        slots = {name: slot.copy() for name, slot in self._slots.items()}
        return {"step": self._steps, "lr": self._lr, **slots}

    @state.setter
    def state(self, value: Mapping[str, Any]) -> None:
        import numpy as np

        owner = f"{self.optimizer.label()}: state"
        given = {name: np.asarray(each) for name, each in as_mapping(value, owner).items()}
        expected = {"step": (), "lr": (), **{name: slot.shape for name, slot in self._slots.items()}}
        shapes = {name: each.shape for name, each in given.items()}
        if shapes != expected:
            raise UsageError(f"{owner} has the shapes {shapes}; expected {expected}.")
        steps = as_integer(given["step"].item(), f"{owner}: step", 0)
        slots = {name: given[name].astype(slot.dtype) for name, slot in self._slots.items()}
        self.lr = given["lr"].item()  # raises before anything changes
        self._steps, self._slots = steps, slots

    def step(self) -> None:
        """Update the parameters of all targets in place from their gradients.

        Raises:
            UsageError: if a gradient does not fit its parameters.
        """
        import numpy as np

        arrays = self._arrays()
        theta = _concatenate([theta for theta, _ in arrays])
        grad = _concatenate([grad for _, grad in arrays])
        if isinstance(self._grouped, GroupedOptimizer):
            grad = self._grouped.without_frozen(grad)
        grad = self._clipped(grad)
        slots = self._grouped.apply_in_place(theta, grad, self._slots, self._steps + 1, self._lr)
        vars(self).update(_slots=slots, _steps=self._steps + 1)
        start = 0
        for target, _ in arrays:
            if not np.may_share_memory(target, theta):
                target[...] = theta[start : start + target.size].reshape(target.shape)
            start += target.size

    def _clipped(self, grad: Vector) -> Vector:
        """The gradient, scaled if it is longer than the limit."""
        import numpy as np

        if self._clip_norm is None:
            return grad
        norm = math.sqrt(np.square(grad, dtype=np.float64).sum())
        return grad * grad.dtype.type(self._clip_norm / norm) if norm > self._clip_norm else grad

    def _parameter_slices(self) -> Iterator[tuple[str, slice]]:
        """Name and slice of each parameter in the vector; a pair is called ``target N``."""
        start = 0
        for number, (target, (theta, _)) in enumerate(zip(self._targets, self._arrays(), strict=True), 1):
            layout: Any = getattr(target, "layout", None)
            unnamed = [(f"target {number}", slice(0, theta.size), ())]
            for name, span, _ in unnamed if layout is None else layout.slots():
                yield name, slice(start + span.start, start + span.stop)
            start += theta.size

    def _writable_arrays(self) -> list[tuple[Vector, Vector]]:
        """As :meth:`_arrays`; raise an error if parameters are read-only."""
        arrays = self._arrays()
        for number, (theta, _) in enumerate(arrays, 1):
            if not theta.flags.writeable:
                raise UsageError(
                    f"{self.optimizer.label()}: the parameters of argument {number} of bind are a read-only "
                    f"array, which step cannot update; give a copy, theta.copy()."
                )
        return arrays

    def _arrays(self) -> list[tuple[Vector, Vector]]:
        """Parameters and gradient of each target; the arrays of an object may be others at every step."""
        owner = self.optimizer.label()
        if not self._targets:
            raise UsageError(f"{owner}: bind was given nothing; give layers, models or pairs (theta, grad).")
        arrays = []
        for target in self._targets:
            pair: Any = target
            if not isinstance(target, tuple):
                pair = getattr(target, "theta", None), getattr(target, "grad", None)
            is_pair = len(pair) == 2 and all(hasattr(each, "flags") for each in pair)
            if not is_pair or pair[0].shape != pair[1].shape or pair[0].dtype != pair[1].dtype:
                is_tuple = isinstance(target, tuple)
                given = f"({', '.join(map(short_repr, pair))})" if is_tuple else short_repr(target)
                raise UsageError(
                    f"{owner}: bind was given {given}; expected a layer, a model, or a pair of arrays "
                    f"(theta, grad) of one shape and dtype."
                )
            arrays.append(pair)
        first = arrays[0][0].dtype
        for number, (theta, _) in enumerate(arrays, 1):
            if theta.dtype != first:
                raise UsageError(
                    f"{owner}: argument {number} of bind is {theta.dtype}, and argument 1 is {first}; "
                    f"expected one dtype. Make arrays with dtype=rnn.dtype, or the layer with "
                    "dtype='float64'."
                )
        return arrays


def _concatenate(arrays: list[Vector]) -> Vector:
    """One flat vector; a single array is not copied if it is one."""
    import numpy as np

    flat = [np.ascontiguousarray(array).reshape(-1) for array in arrays]
    return flat[0] if len(flat) == 1 else np.concatenate(flat)
