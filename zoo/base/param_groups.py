"""Parameter groups: other learning rates and options of the optimizer for some of the parameters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias

from zoo.arguments import short_repr
from zoo.base.declarations import Option
from zoo.base.names import did_you_mean, matching_names, split_assignments
from zoo.errors import UsageError

if TYPE_CHECKING:
    from zoo.array_types import Vector
    from zoo.base.optimizer import Optimizer

ParamGroups: TypeAlias = str | Sequence[str] | Mapping[str, "str | Mapping[str, Any]"] | None
"""``"PATTERN:lr_factor=0.1,weight_decay=0"``, ``"PATTERN:frozen"``, several of them, or a mapping from
patterns to the part after the colon, as text or as a mapping."""

Slices: TypeAlias = Iterable[tuple[str, slice]]
"""Name and slice of each parameter in the vector, in order."""

FROZEN = "frozen"
_FACTOR = "lr_factor"
_FACTOR_OPTION = Option(1.0, help="factor of the learning rate", low=0.0)
_FACTOR_OPTION.name = _FACTOR


@dataclass(frozen=True)
class ParamGroup:
    """Settings of the parameters that match a pattern.

    Args:
        pattern: Shell pattern over names of parameters.
        lr_factor: Factor of the learning rate; 0 freezes the parameters.
        options: Options of the optimizer, except ``lr``.
    """

    pattern: str
    lr_factor: float
    options: Mapping[str, Any]

    def __str__(self) -> str:
        if self.lr_factor == 0:
            return f"{self.pattern}:{FROZEN}"
        values = {_FACTOR: self.lr_factor, **self.options}
        return f"{self.pattern}:{','.join(f'{name}={value!r}' for name, value in values.items())}"


def as_param_groups(groups: ParamGroups, optimizer: Optimizer) -> tuple[ParamGroup, ...]:
    """Check parameter groups; see :data:`ParamGroups` for their forms.

    Raises:
        UsageError: if a text cannot be read, an option is unknown, or a value is invalid.
    """
    if groups is None:
        return ()
    pairs: list[tuple[Any, Any]] = []
    if isinstance(groups, Mapping):
        pairs += groups.items()
    elif not isinstance(groups, (str, list, tuple)):
        raise UsageError(
            f"param_groups is {short_repr(groups)}; expected a mapping, or texts PATTERN:SETTINGS."
        )
    else:
        for text in [groups] if isinstance(groups, str) else groups:
            if not isinstance(text, str):
                raise UsageError(f"param_groups has {short_repr(text)}; expected a text PATTERN:SETTINGS.")
            pattern, _, settings = text.partition(":")
            pairs.append((pattern.strip(), settings.strip()))
    return tuple([_as_group(pattern, settings, optimizer) for pattern, settings in pairs])


def _as_group(pattern: Any, settings: Any, optimizer: Optimizer) -> ParamGroup:
    owner = f"`param_groups` {short_repr(pattern)}"
    if (
        not isinstance(pattern, str)
        or not pattern
        or not settings
        or not isinstance(settings, (str, Mapping))
    ):
        raise UsageError(
            f"param_groups has the pattern {short_repr(pattern)} with the settings {short_repr(settings)}; "
            f"expected a pattern and settings, as in 'Why:lr_factor=0.1' or 'Why:frozen'."
        )
    if settings == FROZEN:
        return ParamGroup(pattern, 0.0, {})
    if isinstance(settings, str) and "=" not in settings:
        raise UsageError(
            f"{owner}: unknown setting {settings!r}; expected NAME=VALUE, or {FROZEN!r}."
            f"{did_you_mean(settings, [FROZEN])}"
        )
    given: Mapping[str, Any] = split_assignments(settings, owner) if isinstance(settings, str) else settings
    declared = {_FACTOR: _FACTOR_OPTION, **optimizer.declared_options}
    factor, options = 1.0, {}
    for name, value in given.items():
        if name == "lr":
            raise UsageError(
                f"{owner}: lr is {short_repr(value)}; give lr_factor, by which the learning rate is "
                "multiplied."
            )
        if name not in declared:
            known = [each for each in declared if each != "lr"]
            raise UsageError(
                f"{owner}: {optimizer.label()} has no option {name!r}; a group has {', '.join(known)}, or is "
                f"{FROZEN}.{did_you_mean(str(name), [*known, FROZEN])}"
            )
        number = (declared[name].parse if isinstance(settings, str) else declared[name].check)(value, owner)
        if name == _FACTOR:
            factor = number
        else:
            options[name] = number
    return ParamGroup(pattern, factor, options)


class GroupedOptimizer:
    """An optimizer with parameter groups: each group is updated with its own options.

    It has the attributes and methods of :class:`zoo.Optimizer` that a training loop uses. Neighbouring
    parameters with the same settings are updated by one call. The slots have the shapes of the optimizer
    without groups, so checkpoints have the same arrays with and without groups.

    Args:
        optimizer: The optimizer of the parameters in no group.
        groups: The groups.
        parameters: Name and slice of every parameter, in order.
        factors: Further factors of the learning rate, by name of the parameter.

    Attributes:
        frozen: Slices of the frozen parameters, which keep their values bit for bit.

    Raises:
        UsageError: if no parameter matches a pattern, a parameter is in two groups, or an option is invalid.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        groups: Sequence[ParamGroup],
        parameters: Slices,
        factors: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        self.optimizer, self.options, self.slots = optimizer, optimizer.options, optimizer.slots
        shared = optimizer.shared_slots()
        if not optimizer.elementwise:
            raise UsageError(
                f"{optimizer.label()}: its update depends on all parameters together, so they have one "
                f"learning rate; leave out `param_groups` and `base_hidden`, or use another optimizer."
            )
        for group in groups:
            if shared and (others := sorted({*group.options} - {"weight_decay"})):
                raise UsageError(
                    f"param_groups has '{group}', but all parameters share the {shared[0]!r} of "
                    f"{optimizer.label()}, which {others[0]} may change; leave out {others[0]}."
                )
        own: dict[str, ParamGroup] = {}
        parameters = list(parameters)
        for group in groups:
            for name in matching_names(group.pattern, [name for name, _ in parameters], "param_groups"):
                if name in own:
                    raise UsageError(
                        f"param_groups has the patterns {own[name].pattern!r} and {group.pattern!r}, which "
                        f"both match {name}; expected one group for each parameter."
                    )
                own[name] = group
        default = ParamGroup("", 1.0, {})
        self._spans: list[tuple[slice, float, Optimizer]] = []
        previous: tuple[ParamGroup, float] | None = None
        for name, span in parameters:
            group = own.get(name, default)
            settings = group, group.lr_factor * factors.get(name, 1.0)
            if settings == previous:
                first, factor, variant = self._spans.pop()
                self._spans.append((slice(first.start, span.stop), factor, variant))
            else:
                options = {**optimizer.options, **group.options}
                self._spans.append((span, settings[1], type(optimizer)(**options)))
            previous = settings
        self.frozen = [span for span, factor, _ in self._spans if factor == 0]

    def __repr__(self) -> str:
        return repr(self.optimizer)

    def label(self) -> str:
        """Name of the optimizer in error messages."""
        return self.optimizer.label()

    def init(self, theta: Vector) -> dict[str, Vector]:
        """Slots before the first update; see :meth:`zoo.Optimizer.init`."""
        return self.optimizer.init(theta)

    def slot_shapes(self, parameter_count: int) -> dict[str, tuple[int, ...]]:
        """Shape of every slot; see :meth:`zoo.Optimizer.slot_shapes`."""
        return self.optimizer.slot_shapes(parameter_count)

    def without_frozen(self, grad: Vector) -> Vector:
        """The gradient ``(P,)`` with zeros for frozen parameters, so that no norm counts them."""
        if self.frozen:
            grad = grad.copy()
        for span in self.frozen:
            grad[span] = 0
        return grad

    def apply(
        self, theta: Vector, grad: Vector, slots: Mapping[str, Vector], step: int, lr: float | None = None
    ) -> tuple[Vector, dict[str, Vector]]:
        """Compute one update; see :meth:`zoo.Optimizer.apply`."""
        new, new_slots = theta.copy(), {name: slot.copy() for name, slot in slots.items()}
        return new, dict(self.apply_in_place(new, grad, new_slots, step, lr))

    def apply_in_place(
        self, theta: Vector, grad: Vector, slots: Mapping[str, Vector], step: int, lr: float | None = None
    ) -> Mapping[str, Vector]:
        """Compute one update group by group, overwriting parameters and slots."""
        rate = float(self.options["lr"]) if lr is None else lr
        shared: dict[str, Vector] = {}
        for span, factor, optimizer in self._spans:
            if factor:
                shared = optimizer.apply_to_slice(span, theta, grad, slots, step, rate * factor)
        return {**slots, **shared}


AnyOptimizer: TypeAlias = "Optimizer | GroupedOptimizer"


def group_parameters(optimizer: Optimizer, groups: ParamGroups, parameters: Slices) -> AnyOptimizer:
    """The optimizer with parameter groups; the optimizer itself if there are none.

    Raises:
        UsageError: if a group is invalid.
    """
    checked = as_param_groups(groups, optimizer)
    return GroupedOptimizer(optimizer, checked, parameters) if checked else optimizer
