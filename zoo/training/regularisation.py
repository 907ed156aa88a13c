"""Constraints, penalties and parameter groups of a training run.

A run without them has no :class:`ParameterHooks`, and its steps do not change.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from zoo.arguments import as_integer, short_repr
from zoo.base import Component, Constraint, Optimizer, Penalty
from zoo.base.names import matching_names
from zoo.base.param_groups import (
    AnyOptimizer,
    GroupedOptimizer,
    ParamGroup,
    ParamGroups,
    as_param_groups,
)
from zoo.base.set_options import parse_options
from zoo.errors import DefinitionError, UnknownNameError, UsageError
from zoo.model import AnyModel
from zoo.model.two_pass_step import ActivityPenalty
from zoo.model.width_groups import width_factors
from zoo.registry.api import component_class, resolve
from zoo.registry.plugin_files import is_file_spec, load_class_file
from zoo.training.config import REGULARISATION_SETTINGS

C = TypeVar("C", bound=Component)

ACTIVITY = "activity"
"""The target of penalties of the outputs of the last layer."""

_SPEC = re.compile(r"(?P<name>.*\.py:\w+|[^:]*)(:(?P<options>.*))?", re.DOTALL)


@dataclass(frozen=True)
class Assignment(Generic[C]):
    """A constraint or penalty and the parameters that it applies to.

    Args:
        pattern: Shell pattern over names of parameters, or ``"activity"``.
        component: The constraint or penalty.
    """

    pattern: str
    component: C

    def __str__(self) -> str:
        options = ",".join(f"{name}={value}" for name, value in self.component.options.items())
        return f"{self.pattern}={self.component.name}" + (f":{options}" if options else "")


def as_assignments(base: type[C], given: Any, owner: str) -> tuple[Assignment[C], ...]:
    """Convert and check the setting ``constraints`` or ``penalties``.

    Args:
        base: ``Constraint`` or ``Penalty``.
        given: ``"PATTERN=NAME:OPTIONS"``, several of them, or a mapping from patterns to ``"NAME:OPTIONS"``,
            a class, an instance, or a list of these. OPTIONS are ``name=value`` with commas between them; a
            value without a name sets the first option.
        owner: Name of the setting, for messages.

    Raises:
        UnknownNameError: if no component has the name.
        UsageError: if a text cannot be read, or an option is invalid.
    """
    if given is None:
        return ()
    pairs: list[tuple[Any, Any]]
    if isinstance(given, Mapping):
        pairs = [
            (pattern, each)
            for pattern, value in given.items()
            for each in (value if isinstance(value, (list, tuple)) else [value])
        ]
    elif isinstance(given, (str, list, tuple)):
        pairs = [_split(text, base, owner) for text in ([given] if isinstance(given, str) else given)]
    else:
        raise UsageError(f"{owner} is {short_repr(given)}; expected a mapping, or texts PATTERN=NAME.")
    for pattern, _ in pairs:
        if not isinstance(pattern, str):
            raise UsageError(f"{owner} has the pattern {short_repr(pattern)}; expected a text.")
    return tuple([Assignment(pattern, _component(base, each, owner)) for pattern, each in pairs])


def _split(text: Any, base: type[Component], owner: str) -> tuple[str, str]:
    pattern, equals, spec = str(text).partition("=")
    if not isinstance(text, str) or not (equals and pattern.strip() and spec.strip()):
        raise UsageError(
            f"{owner} has {short_repr(text)}; expected PATTERN=NAME, as in "
            f"'{'activity=l2:1e-3' if base is Penalty else 'Whh=nonnegative'}'."
        )
    return pattern.strip(), spec.strip()


def _component(base: type[C], given: Any, owner: str) -> C:
    if not isinstance(given, str):
        component: C = resolve(base, given, {})
        return component
    match = _SPEC.fullmatch(given)
    assert match is not None
    name, text = match["name"].strip(), match["options"]
    if name == "frozen":
        raise UsageError(
            f"{owner} has 'frozen', which belongs to a group; give `param_groups` PATTERN:frozen."
        )
    try:
        cls = load_class_file(name, base) if is_file_spec(name) else component_class(base, name)
    except UnknownNameError as error:
        raise UnknownNameError(f"{error} Name a class in a file as FILE.py:Class.") from None
    return cls(**parse_options(cls, text, f"{cls.kind} {given!r}")) if text else cls()


@dataclass(frozen=True)
class Regularisation:
    """Constraints, penalties, parameter groups and the width of the learning rate, without a model.

    Args:
        constraints: The constraints.
        penalties: The penalties.
        param_groups: The parameter groups.
        base_hidden: The hidden units for which the learning rate was chosen; None for the units of the model.
    """

    constraints: tuple[Assignment[Constraint], ...] = ()
    penalties: tuple[Assignment[Penalty], ...] = ()
    param_groups: tuple[ParamGroup, ...] = ()
    base_hidden: int | None = None

    def settings(self) -> dict[str, tuple[str, ...]]:
        """As texts, for the configuration of a run."""
        return {name: tuple(map(str, getattr(self, name))) for name in REGULARISATION_SETTINGS}

    def bind(self, model: AnyModel, optimizer: Optimizer) -> tuple[AnyOptimizer, ParameterHooks | None]:
        """The optimizer with its parameter groups, and the hooks of training; None if there are none.

        Raises:
            UsageError: if no parameter matches a pattern, or a component does not suit its parameter.
        """
        factors = {} if self.base_hidden is None else width_factors(model, self.base_hidden)
        if not factors and not any(self.settings().values()):
            return optimizer, None
        slices = [(name, span) for name, span, _ in model.layout.slots()]
        grouped: AnyOptimizer = optimizer
        if factors or self.param_groups:
            grouped = GroupedOptimizer(optimizer, self.param_groups, slices, factors)
        return grouped, ParameterHooks(model, grouped, self.constraints, self.penalties)


def as_regularisation(
    optimizer: Optimizer,
    constraints: Any = None,
    penalties: Any = None,
    param_groups: ParamGroups = None,
    base_hidden: int | None = None,
) -> Regularisation:
    """Convert and check the settings; see :func:`as_assignments` and :data:`ParamGroups`.

    Raises:
        ZooError: if a name is unknown, a value is invalid, or ``base_hidden`` is given and the updates of the
            optimizer depend on the scale of the gradient.
    """
    if base_hidden is not None:
        as_integer(base_hidden, "base_hidden", 1)
        if not optimizer.scale_free:
            raise UsageError(
                f"base_hidden is {base_hidden:,} and the updates of {optimizer.label()} depend on the scale "
                f"of the gradient; leave out `base_hidden`, or use an optimizer like adam."
            )
    return Regularisation(
        as_assignments(Constraint, constraints, "constraints"),
        as_assignments(Penalty, penalties, "penalties"),
        as_param_groups(param_groups, optimizer),
        base_hidden,
    )


class ParameterHooks:
    """The constraints and penalties of a run with a model, around every update.

    Args:
        model: The model, with its initial parameters.
        optimizer: The optimizer, with its parameter groups.
        constraints: The constraints.
        penalties: The penalties.

    Raises:
        UsageError: if no parameter matches a pattern, or a component does not suit its parameter.
    """

    def __init__(
        self,
        model: AnyModel,
        optimizer: AnyOptimizer,
        constraints: Iterable[Assignment[Constraint]],
        penalties: Iterable[Assignment[Penalty]],
    ) -> None:
        self._model = model
        self._frozen = optimizer.frozen if isinstance(optimizer, GroupedOptimizer) else []
        self._constraints = [
            (each.component, name, model.params[name].copy())
            for each in constraints
            for name in self._names(each, "constraints")
        ]
        for constraint, name, initial in self._constraints:
            constraint.check(name, initial.shape)
        self._activity: ActivityPenalty | None = None
        self._penalties: list[tuple[Penalty, str]] = []
        of_activity: list[Penalty] = []
        for each in penalties:
            if each.pattern == ACTIVITY:
                of_activity.append(each.component)
            elif each.component.activity_only:
                raise UsageError(
                    f"penalties has '{each}'; {each.component.name} applies to {ACTIVITY!r} only."
                )
            else:
                self._penalties += [
                    (each.component, name) for name in self._names(each, "penalties", (ACTIVITY,))
                ]
        if of_activity:
            self._activity = ActivityPenalty(of_activity)

    def _names(self, assignment: Assignment[Any], setting: str, others: tuple[str, ...] = ()) -> list[str]:
        """Names of the parameters of a constraint or penalty, none of which is frozen."""
        spans = {name: span for name, span, _ in self._model.layout.slots()}
        names = matching_names(assignment.pattern, spans, setting, others)
        for name in names:
            if any(frozen.start <= spans[name].start < frozen.stop for frozen in self._frozen):
                raise UsageError(
                    f"{setting} has '{assignment}' and {name} is frozen by `param_groups`; leave out one of "
                    f"the two."
                )
        return names

    def start(self) -> None:
        """Change the initial parameters to allowed ones, unless they are allowed.

        Raises:
            DefinitionError: if a constraint returns a new array instead of a change in place.
        """
        for constraint, name, initial in self._constraints:
            values = self._model.params[name]
            projected = values.copy()
            result: Any = constraint.project(projected, initial)  # type: ignore[func-returns-value]
            if result is not None:
                raise DefinitionError(
                    f"{constraint.error_name()}: project returned {short_repr(result)}; change `values` in "
                    f"place and return nothing, as in np.clip(values, -1, 1, out=values)."
                )
            if not (projected == values).all():
                constraint.start(values)

    @contextmanager
    def active(self) -> Iterator[None]:
        """Include the penalties of the activity in the gradient of the model."""
        self._model.activity_penalty = self._activity
        try:
            yield
        finally:
            self._model.activity_penalty = None

    def add_gradients(self) -> float | None:
        """Add the gradients of penalties of parameters to the gradient of the model, and clear frozen ones.

        Returns:
            The sum of all penalties; None if there is none.
        """
        model = self._model
        total = None if self._activity is None else self._activity.value
        for penalty, name in self._penalties:
            value, gradient = penalty.of_parameter(model.params[name])
            model.grads[name] += gradient
            total = value + (total or 0.0)
        for span in self._frozen:
            model.grad[span] = 0
        return total

    def project(self) -> None:
        """Apply the constraints, after an update."""
        for constraint, name, initial in self._constraints:
            constraint.project(self._model.params[name], initial)
