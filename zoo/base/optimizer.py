"""Base class of optimizers, pure functions of flat vectors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from numbers import Integral, Real
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from zoo.arguments import as_integer, dtype_and_shape, short_repr
from zoo.base.bound_optimizer import BoundOptimizer, HasGradient
from zoo.base.component import Component, check_kernel_signature, declarations_of
from zoo.base.declarations import StateSlot
from zoo.base.size_expr import SizeExpr
from zoo.errors import DefinitionError, UsageError

if TYPE_CHECKING:
    from zoo.array_types import Vector
    from zoo.base.param_groups import ParamGroups


MAX_WHOLE_BYTES = 2**24
"""Largest result of an update in one piece. glibc returns arrays of 32 MiB or more to the system at once, and
the page faults of a new one cost more than the arithmetic."""

BLOCK_SIZE = 2**17
"""Parameters in a block of a larger update. `adam` takes 4 ms of a processor for three million parameters
and 36 ms for 26 million, instead of 24 and 197 ms in one piece (AMD EPYC). Blocks of 2**12 take 97 ms."""

UPDATE_ARGUMENTS = ("theta", "grad", "slots", "step")


class Optimizer(Component, abstract=True):
    """An optimizer: one kernel from parameters, gradient and slots to new parameters and slots.

    The kernel, decorated with ``@zoo.njit``, is a pure function of flat vectors::

        update(theta, grad, slots, step, *options) -> (theta, slots)

    ``theta`` and ``grad`` are ``(P,)``. ``slots`` is a tuple of the declared slots, ``(P,)`` unless declared
    otherwise. ``step`` is the number of this update, from 1. The options follow in the order of declaration.
    One of them is ``lr``, the learning rate, which schedules multiply, down to zero. A static method
    ``reference`` with the same arguments may define the update in plain NumPy, for ``zoo check``.

    The kernel must not write to its arguments, and all arrays are C-contiguous. Allocate everything that the
    kernel returns as one block, ``np.empty((1 + len(slots), P), theta.dtype)``, and return its rows: separate
    arrays of some hundred kilobytes are returned to the system at every step, and the page faults of new ones
    cost ten times the arithmetic.

    Args:
        **options: Values for the declared options.

    Raises:
        DefinitionError: when the class is defined, if it is not well formed.
        UsageError: for an unknown option or a value that is not allowed.
    """

    kind: ClassVar[str] = "optimizer"
    _subclass_names = (*Component._subclass_names, "update")
    slots: ClassVar[Mapping[str, StateSlot]] = MappingProxyType({})
    elementwise: ClassVar[bool] = True
    """Whether the update of a parameter depends on its own gradient alone; False with norms of the vector."""
    scale_free: ClassVar[bool] = False
    """Whether updates stay the same if all gradients are multiplied by a number, as with Adam: apart from its
    small ``eps``, they have the size of the learning rate. Then a run may set ``base_hidden``."""

    @classmethod
    def _check_class(cls) -> None:
        cls.slots = MappingProxyType(declarations_of(cls, StateSlot))
        super()._check_class()
        lr = cls.declared_options.get("lr")
        if lr is None or lr.type is not float:
            raise DefinitionError(
                f"{cls.error_name()}: the learning rate is missing; add `lr = zoo.Option(1e-3, help=..., "
                f"low=0.0)`."
            )
        for slot in cls.slots.values():
            if unknown := sorted({name for size in slot.shape for name in size.names} - {"P"}):
                raise DefinitionError(
                    f"{cls.error_name()}: slot {slot.name!r} has the letter {unknown[0]!r}; P is the only "
                    f"one."
                )
        for name in ("elementwise", "scale_free"):
            if not isinstance(value := getattr(cls, name), bool):
                raise DefinitionError(
                    f"{cls.error_name()}: {name} is {short_repr(value)}; expected True or False."
                )
        if not hasattr(cls, "update"):
            raise DefinitionError(
                f"{cls.error_name()}: update is missing; add the @zoo.njit function "
                f"update({', '.join(UPDATE_ARGUMENTS)})."
            )
        check_kernel_signature(cls, "update", UPDATE_ARGUMENTS)

    def bind(
        self,
        *targets: HasGradient | tuple[Vector, Vector],
        clip_norm: float | None = None,
        param_groups: ParamGroups = None,
    ) -> BoundOptimizer:
        """Bind the optimizer to parameters, which ``step()`` of the result updates in place.

        Args:
            *targets: Layers, models or other objects with ``theta`` and ``grad``, or pairs of arrays
                ``(theta, grad)``. Write gradients in place, ``grad[:] = ...``: after ``grad = ...`` the
                optimizer still reads the old array.
            clip_norm: Largest norm of the gradient; None for no limit.
            param_groups: Other settings for some parameters of layers and models, by patterns over their
                names: ``{"Why": "lr_factor=0.1,weight_decay=0"}``, or ``"frozen"``.

        Returns:
            A :class:`zoo.base.BoundOptimizer`.

        Raises:
            UsageError: if there is no target, a target has no such arrays, or an argument is invalid.
        """
        return BoundOptimizer(self, *targets, clip_norm=clip_norm, param_groups=param_groups)

    def init(self, theta: Vector) -> dict[str, Vector]:
        """Slots before the first update, zeros of the dtype of ``theta (P,)``.

        Raises:
            UsageError: if theta is not a flat vector of floats.
        """
        import numpy as np

        if not isinstance(theta, np.ndarray) or theta.ndim != 1 or theta.dtype.str[1:] not in ("f4", "f8"):
            raise UsageError(
                f"{self.label()}: theta is {short_repr(theta)}; expected a flat vector, float32 or float64."
            )
        return {name: np.zeros(shape, theta.dtype) for name, shape in self.slot_shapes(theta.size).items()}

    def slot_shapes(self, parameter_count: int) -> dict[str, tuple[int, ...]]:
        """Shape of every slot for ``P = parameter_count``."""
        if type(parameter_count) is not int:  # the common case, checked at every update
            parameter_count = as_integer(parameter_count, f"{self.label()}: parameter_count")
        return {name: _shape(slot.shape, parameter_count) for name, slot in self.slots.items()}

    def apply(
        self, theta: Vector, grad: Vector, slots: Mapping[str, Vector], step: int, lr: float | None = None
    ) -> tuple[Vector, dict[str, Vector]]:
        """Compute one update; the arguments are not modified.

        Args:
            theta: Parameters ``(P,)``, float32 or float64.
            grad: Gradient ``(P,)`` of the same dtype.
            slots: Every declared slot, of the same dtype.
            step: Number of this update, from 1.
            lr: Learning rate of this update if it differs from the option, as under a schedule; zero or more.

        Returns:
            The new parameters and slots.

        Raises:
            UsageError: if shapes, dtypes or slot names do not fit, or the step number or the
                learning rate is not allowed.
            DefinitionError: if the kernel does not return the parameters and a tuple of the declared slots,
                with their shapes and dtypes.
        """
        self._check_vectors(theta, grad, slots)
        self._check_numbers(step, lr)
        options = dict(self.options) | ({} if lr is None else {"lr": float(lr)})
        before = theta, tuple(slots[name] for name in self.slots)
        after = self.kernel("update")(theta, grad, before[1], step, *options.values())
        if not _is_update(after, before):
            raise self._invalid_update(before, after)
        new_theta, new_slots = after
        return new_theta, dict(zip(self.slots, new_slots, strict=True))

    def apply_in_place(
        self, theta: Vector, grad: Vector, slots: Mapping[str, Vector], step: int, lr: float | None = None
    ) -> Mapping[str, Vector]:
        """Compute one update and write the new parameters to ``theta``; large vectors go block by block.

        Args:
            theta: Parameters ``(P,)``, overwritten.
            grad: Gradient ``(P,)``.
            slots: Every declared slot; the slots of a large vector are overwritten.
            step: As for :meth:`apply`.
            lr: As for :meth:`apply`.

        Returns:
            The new slots, to the same bits as from :meth:`apply`.

        Raises:
            UsageError: as :meth:`apply`.
            DefinitionError: as :meth:`apply`.
        """
        if (1 + len(self.slots)) * theta.nbytes <= MAX_WHOLE_BYTES or not self.elementwise:
            theta[...], new = self.apply(theta, grad, slots, step, lr)
            return new
        shared = self.apply_to_slice(slice(0, theta.size), theta, grad, slots, step, lr)
        return {**slots, **shared}

    def shared_slots(self) -> list[str]:
        """Names of the slots that all parameters share, with no element for each parameter."""
        return [name for name, shape in self.slot_shapes(7).items() if shape != (7,)]

    def apply_to_slice(
        self,
        span: slice,
        theta: Vector,
        grad: Vector,
        slots: Mapping[str, Vector],
        step: int,
        lr: float | None,
    ) -> dict[str, Vector]:
        """Update some parameters and their slots in place, block by block; see :meth:`apply_in_place`.

        Returns:
            New values of the slots that all parameters share, which still have their old values.
        """
        shared = self.shared_slots()
        new: Mapping[str, Vector] = {}
        for start in range(span.start, span.stop, BLOCK_SIZE):
            block = slice(start, min(start + BLOCK_SIZE, span.stop))
            own = {name: slot if name in shared else slot[block] for name, slot in slots.items()}
            theta[block], new = self.apply(theta[block], grad[block], own, step, lr)
            for name, slot in slots.items():
                if name not in shared:
                    slot[block] = new[name]
        return {name: new[name] for name in shared}

    def _check_vectors(self, theta: Vector, grad: Vector, slots: Mapping[str, Vector]) -> None:
        are_flat = _is_vector(theta) and _is_vector(grad) and grad.shape == theta.shape
        if not are_flat or grad.dtype != theta.dtype or theta.dtype.str[1:] not in ("f4", "f8"):
            raise UsageError(
                f"{self.label()}: parameters {_describe(theta)}, gradient {_describe(grad)}; "
                f"they must be flat vectors of one length, both float32 or both float64."
            )
        if type(slots) is not dict and not isinstance(slots, Mapping):
            raise UsageError(
                f"{self.label()}: slots is {short_repr(slots)}; expected the slots of init(theta)."
            )
        expected = self.slot_shapes(theta.size)
        fits = slots.keys() == expected.keys() and all(
            getattr(slot, "shape", None) == expected[name] and slot.dtype == theta.dtype
            for name, slot in slots.items()
        )
        if not fits:
            kinds = {name: _describe(slot) for name, slot in slots.items()}
            wanted = {name: f"{theta.dtype}{shape}" for name, shape in expected.items()}
            raise UsageError(
                f"{self.label()}: slots {kinds} do not fit; expected {wanted}, as from init(theta)."
            )

    def _invalid_update(self, before: object, after: object) -> DefinitionError:
        expected, returned = _describe_update(before), _describe_update(after)
        names = f"a tuple of the slots {', '.join(self.slots)}" if self.slots else "an empty tuple"
        is_wider = "float64" in returned and "float64" not in expected
        advice = " A float64 option makes float64 results: write theta.dtype.type(lr)." if is_wider else ""
        return DefinitionError(
            f"{self.error_name()}: update returned {returned}; expected {expected}, the parameters and "
            f"{names}.{advice}"
        )

    def _check_numbers(self, step: Any, lr: Any) -> None:
        if not (type(step) is int or isinstance(step, Integral)) or step < 1:  # the first is faster
            raise UsageError(f"{self.label()}: step is {short_repr(step)}; updates are numbered from 1.")
        is_number = type(lr) is float or isinstance(lr, Real)
        if lr is not None and not (is_number and 0.0 <= float(lr) < math.inf):
            raise UsageError(
                f"{self.label()}: the learning rate lr is {short_repr(lr)}; expected a finite number, at "
                f"least 0."
            )


def _is_vector(value: object) -> bool:
    """Whether it is an array of one axis without a mask."""
    return getattr(value, "ndim", None) == 1 and hasattr(value, "flags") and not hasattr(value, "mask")


def _is_update(after: Any, before: tuple[Vector, tuple[Vector, ...]]) -> bool:
    """Whether it is ``(theta, slots)`` with the shapes and dtypes of those before the update."""
    if not isinstance(after, tuple) or len(after) != 2 or not isinstance(after[1], (tuple, list)):
        return False
    (theta, slots), (old_theta, old_slots) = after, before
    return len(slots) == len(old_slots) and all(
        getattr(new, "shape", None) == old.shape and new.dtype == old.dtype
        for new, old in zip((theta, *slots), (old_theta, *old_slots), strict=True)
    )


def _describe_update(update: object) -> str:
    match update:
        case (theta, (*slots,)):
            return f"({_describe(theta)}, ({', '.join(map(_describe, slots))}{',' * (len(slots) == 1)}))"
    return _describe(update)


def _describe(value: object) -> str:
    return dtype_and_shape(value) if hasattr(value, "flags") else short_repr(value)


@lru_cache  # every update needs it
def _shape(shape: tuple[SizeExpr, ...], parameter_count: int) -> tuple[int, ...]:
    return tuple(size.evaluate({"P": parameter_count}) for size in shape)
