"""Schedules of the learning rate: a factor for every update, which multiplies the optimizer's ``lr``.

A schedule is a frozen set of settings and pure functions. Its state is plain JSON data that goes in and comes
out, so that a checkpoint can hold it:

    state = schedule.init()                       # or schedule.restore(what_a_checkpoint_holds)
    factor = schedule.factor(state, step)         # before update `step`, counted from 1
    state = schedule.observe(state, loss)         # after every validation

Every schedule can begin with a linear warm-up: update ``t`` of the first ``warmup`` is multiplied by
``t / warmup``, so that update ``warmup`` is the first at full rate (P. Goyal et al., "Accurate, Large
Minibatch SGD: Training ImageNet in 1 Hour", 2017, https://arxiv.org/abs/1706.02677). Settings of a run may
give a share of its updates instead: see :func:`schedule_of_run`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, TypeAlias

from zoo.arguments import is_number
from zoo.base.names import did_you_mean
from zoo.errors import UnknownNameError, UsageError

State: TypeAlias = Mapping[str, "int | float | None"]
"""State of a schedule as JSON values; empty if it depends on the step alone."""


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Base class of schedules: the warm-up, and an empty state.

    Args:
        warmup: Updates of linear warm-up; 0 for none.

    Raises:
        UsageError: if a setting is not allowed.
    """

    name: ClassVar[str] = ""
    warmup: int = 0

    def __post_init__(self) -> None:
        """Check the settings."""
        self._check_int("warmup", at_least=0, alternative=", or in a run a share of its updates below 1")

    def init(self) -> State:
        """The state before the first update."""
        return {}

    def restore(self, stored: object) -> State:
        """Check a state that was stored as JSON.

        Raises:
            UsageError: if it is not a state of this schedule.
        """
        if stored != {}:
            raise UsageError(f"{self._label()}: the stored state is {stored!r}; expected {{}}.")
        return {}

    def observe(self, state: State, loss: float) -> State:  # noqa: ARG002 - for schedules that look at it
        """The state after a validation with this loss, as a new mapping."""
        return state

    def factor(self, state: State, step: int) -> float:
        """The factor of ``lr`` at update ``step``, counted from 1."""
        ramp = min(1.0, step / self.warmup) if self.warmup else 1.0
        return ramp * self.after_warmup(state, step)

    def after_warmup(self, state: State, step: int) -> float:
        """The factor without the warm-up."""
        raise NotImplementedError

    def _label(self) -> str:
        return f"schedule {self.name!r}"

    def _check_int(self, name: str, at_least: int, alternative: str = "") -> None:
        value = getattr(self, name)
        if type(value) is not int or value < at_least:
            raise UsageError(
                f"{self._label()}: {name} is {value!r}; expected an integer of at least "
                f"{at_least}{alternative}."
            )

    def _check_fraction(self, name: str, zero: bool) -> None:
        value = getattr(self, name)
        if not (is_number(value) and 0.0 <= value <= 1.0 and (zero or value > 0.0)):
            lowest = "from 0" if zero else "above 0"
            raise UsageError(f"{self._label()}: {name} is {value!r}; expected a number {lowest} to 1.")


@dataclass(frozen=True, kw_only=True)
class Constant(Schedule):
    """A constant rate: ``factor(t) = 1``.

    Args:
        warmup: Updates of linear warm-up.

    Raises:
        UsageError: if a setting is not allowed.
    """

    name: ClassVar[str] = "constant"

    def after_warmup(self, state: State, step: int) -> float:  # noqa: ARG002 - the base's signature
        """The factor without the warm-up."""
        return 1.0


@dataclass(frozen=True, kw_only=True)
class StepDecay(Schedule):
    """Multiplied by gamma every ``period`` updates: ``factor(t) = gamma^((t - 1) // period)``.

    Args:
        period: Updates at each rate.
        gamma: Factor of the rate, above 0, at most 1.
        warmup: Updates of linear warm-up, which are part of the first period.

    Raises:
        UsageError: if a setting is not allowed.
    """

    name: ClassVar[str] = "step"
    period: int
    gamma: float = 0.1

    def __post_init__(self) -> None:
        """Check the settings."""
        super().__post_init__()
        self._check_int("period", at_least=1)
        self._check_fraction("gamma", zero=False)

    def after_warmup(self, state: State, step: int) -> float:  # noqa: ARG002 - the base's signature
        """The factor without the warm-up."""
        return float(self.gamma ** ((step - 1) // self.period))


@dataclass(frozen=True, kw_only=True)
class Cosine(Schedule):
    """Half a cosine from 1 at the end of the warm-up to ``floor`` at update ``total``; ``floor`` after it.

    ``factor(t) = floor + (1 - floor) * (1 + cos(pi * (t - warmup) / (total - warmup))) / 2``, once warm
    (I. Loshchilov, F. Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", 2016,
    https://arxiv.org/abs/1608.03983, without restarts).

    Args:
        total: The update at which the floor is reached.
        floor: The last factor, from 0 to 1.
        warmup: Updates of linear warm-up, fewer than ``total``.

    Raises:
        UsageError: if a setting is not allowed.
    """

    name: ClassVar[str] = "cosine"
    total: int
    floor: float = 0.0

    def __post_init__(self) -> None:
        """Check the settings."""
        super().__post_init__()
        self._check_int("total", at_least=1)
        self._check_fraction("floor", zero=True)
        if self.warmup >= self.total:
            raise UsageError(
                f"{self._label()}: warmup is {self.warmup} and total is {self.total}; "
                f"warm up in fewer updates."
            )

    def after_warmup(self, state: State, step: int) -> float:  # noqa: ARG002 - the base's signature
        """The factor without the warm-up."""
        done = min(max(step - self.warmup, 0) / (self.total - self.warmup), 1.0)
        return self.floor + (1.0 - self.floor) * (1.0 + math.cos(math.pi * done)) / 2.0


@dataclass(frozen=True, kw_only=True)
class Plateau(Schedule):
    """Multiplied by gamma after every ``patience`` validations in a row that bring no new lowest loss.

    ``factor(t) = max(floor, gamma^drops)``. The count restarts after a drop. A loss of NaN or infinity is not
    an improvement. PyTorch's ReduceLROnPlateau waits one validation longer for the same patience.

    Args:
        patience: Validations without improvement before a drop.
        gamma: Factor of the rate, above 0, at most 1.
        floor: The smallest factor, from 0 to 1.
        warmup: Updates of linear warm-up.

    Raises:
        UsageError: if a setting is not allowed.
    """

    name: ClassVar[str] = "plateau"
    patience: int = 3
    gamma: float = 0.5
    floor: float = 0.0

    def __post_init__(self) -> None:
        """Check the settings."""
        super().__post_init__()
        self._check_int("patience", at_least=1)
        self._check_fraction("gamma", zero=False)
        self._check_fraction("floor", zero=True)

    def init(self) -> State:
        """The first state; ``waited`` counts validations since the ``best``, ``drops`` the reductions."""
        return {"best": None, "waited": 0, "drops": 0}

    def restore(self, stored: object) -> State:
        """Check a state that was stored as JSON.

        Raises:
            UsageError: if it is not a state of this schedule.
        """
        fits = isinstance(stored, Mapping) and set(stored) == set(self.init())
        if not (fits and _is_plateau(**stored)):  # type: ignore[arg-type]  # `fits`: it is a mapping
            raise UsageError(
                f"{self._label()}: the stored state is {stored!r}; expected one like {self.init()}."
            )
        return dict(stored)  # type: ignore[call-overload,no-any-return]

    def observe(self, state: State, loss: float) -> State:
        """The state after a validation with this loss, as a new mapping."""
        best, waited, drops = state["best"], state["waited"] or 0, state["drops"] or 0
        if math.isfinite(loss) and (best is None or loss < best):
            return {"best": float(loss), "waited": 0, "drops": drops}
        if waited + 1 >= self.patience:
            return {"best": best, "waited": 0, "drops": drops + 1}
        return {"best": best, "waited": waited + 1, "drops": drops}

    def after_warmup(self, state: State, step: int) -> float:  # noqa: ARG002 - the base's signature
        """The factor without the warm-up."""
        return max(self.floor, float(self.gamma ** (state["drops"] or 0)))


SCHEDULES: Mapping[str, type[Schedule]] = MappingProxyType(
    {schedule.name: schedule for schedule in (Constant, StepDecay, Cosine, Plateau)}
)


def make_schedule(name: str, **settings: Any) -> Schedule:
    """Make the schedule with this name and these settings.

    Args:
        name: One of ``SCHEDULES``.
        **settings: Its settings; those without a default must be given.

    Raises:
        UnknownNameError: if no schedule has this name.
        UsageError: for an unknown, a missing or an invalid setting.
    """
    if name not in SCHEDULES:
        raise UnknownNameError(
            f"unknown schedule {name!r}; the schedules are {', '.join(SCHEDULES)}."
            f"{did_you_mean(name, SCHEDULES)}"
        )
    fields = {field.name: field for field in dataclasses.fields(SCHEDULES[name])}
    for setting in settings:
        if setting not in fields:
            raise UsageError(
                f"schedule {name!r} has no setting {setting!r}; it has {', '.join(fields)}."
                f"{did_you_mean(setting, fields)}"
            )
    for field in fields.values():
        if field.default is dataclasses.MISSING and field.name not in settings:
            raise UsageError(
                f"schedule {name!r} needs {field.name!r}; give it in the schedule's options, for example "
                f"{{{field.name!r}: 1000}} (--set {field.name}=1000 on the command line)."
            )
    return SCHEDULES[name](**settings)


def schedule_of_run(name: str, settings: Mapping[str, Any], steps: int) -> Schedule:
    """Make the schedule of a run from settings that may be relative to its length.

    Args:
        name: One of ``SCHEDULES``.
        settings: Its settings. A ``warmup`` between 0 and 1 is a share of the updates. ``total`` of a cosine
            may be missing: the cosine then ends with the run.
        steps: Updates of the run.

    Raises:
        UnknownNameError: if no schedule has this name.
        UsageError: for an unknown, a missing or an invalid setting.
    """
    return make_schedule(name, **absolute_settings(name, settings, steps))


def absolute_settings(name: str, settings: Mapping[str, Any], steps: int) -> dict[str, Any]:
    """The settings of :func:`schedule_of_run` as numbers of updates."""
    absolute = dict(settings)
    if name == Cosine.name:
        absolute.setdefault("total", steps)
    if _is_share(absolute.get("warmup")):
        absolute["warmup"] = int(absolute["warmup"] * steps)
    return absolute


def depends_on_steps(name: str, settings: Mapping[str, Any]) -> bool:
    """Whether the schedule of :func:`schedule_of_run` differs between runs of different lengths."""
    return (name == Cosine.name and "total" not in settings) or _is_share(settings.get("warmup"))


def _is_share(value: object) -> bool:
    return isinstance(value, float) and 0.0 < value < 1.0


def _is_plateau(best: object, waited: object, drops: object) -> bool:
    lowest = best is None or (type(best) is float and math.isfinite(best))
    # Below 2^53, so that a power with a count from an untrusted file cannot overflow.
    return lowest and all(type(count) is int and 0 <= count < 2**53 for count in (waited, drops))
