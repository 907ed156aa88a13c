"""Declarations: the class attributes that describe a component.

``Param``, ``Buffer``, ``State`` and ``StateSlot`` are arrays that zoo allocates. ``Input`` is an array that
the caller may pass. ``Option`` is a constant that the user chooses. Kernels receive the arrays, and then the
options, in the order of declaration.
"""

from __future__ import annotations

import cmath
import copy
import inspect
import math
import numbers
from collections.abc import Callable, Mapping, Sequence
from types import MethodType
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeGuard, TypeVar, overload

from zoo.arguments import short_repr
from zoo.base.names import did_you_mean
from zoo.base.size_expr import SizeExpr, parse_shape
from zoo.errors import DefinitionError, UsageError, caller_location

if TYPE_CHECKING:
    import numpy as np
    from typing_extensions import Self

    Initializer = Callable[..., np.ndarray[Any, Any]]

T = TypeVar("T", bool, int, float, str)


class _Declaration:
    """Base class of declarations: ``zoo.Param("H", initial="zeros")`` is an error that names the arguments.

    Python's own message names ``ArrayDeclaration.__init__`` and lists no arguments.
    """

    __signature__: ClassVar[inspect.Signature]

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        # Otherwise Python 3.10 shows the arguments of __new__ in place of those of an inherited __init__.
        cls.__signature__ = inspect.signature(MethodType(cls.__init__, cls))

    def __new__(cls, *_: Any, **arguments: Any) -> Self:
        parameters = cls.__signature__.parameters.values()
        known = [
            each.name for each in parameters if each.kind not in (each.POSITIONAL_ONLY, each.VAR_POSITIONAL)
        ]
        unknown = [name for name in arguments if name not in known]
        if unknown and not any(each.kind is each.VAR_KEYWORD for each in parameters):
            name = f"zoo.{cls.__name__}" if cls.__module__.partition(".")[0] == "zoo" else cls.__name__
            raise DefinitionError(
                f"{name}: unknown argument {unknown[0]!r}; expected one of {', '.join(known)}."
                f"{did_you_mean(unknown[0], known)}"
            )
        return super().__new__(cls)


class ArrayDeclaration(_Declaration):
    """A declared array: a symbolic shape and an initializer.

    Args:
        *shape: Sizes, integers or expressions such as ``"4H"``.
        init: Name of an initializer, a number for all elements, or a function ``(rng, shape) -> array`` or
            ``(rng, shape, cell) -> array``, which can read the cell's options.
        help: One line that describes the array.
        complex: Whether ``step`` sees complex numbers. They are stored as real arrays with a leading axis of
            two, real parts and then imaginary parts, so that loops over either are contiguous.

    Attributes:
        location: File and line of the declaration, ``"cells.py, line 9"``.

    Raises:
        DefinitionError: if a size is invalid.
    """

    kind = "array"

    def __init__(
        self,
        *shape: int | str,
        init: str | complex | Initializer = "zeros",
        help: str = "",
        complex: bool = False,
    ) -> None:
        self.shape: tuple[SizeExpr, ...] = parse_shape(shape)
        self.init = init
        self.help = help
        self.complex = complex
        self.name = ""
        self.location = caller_location()

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = self.name or name  # an object under a second name is refused by Component

    def check_init(self, owner: str) -> None:
        """Check that the initializer is a name, a finite number or a function.

        Raises:
            DefinitionError: naming ``owner`` and the array.
        """
        init = self.init
        if isinstance(init, str) or callable(init) or is_constant(init, self.complex):
            return
        number = "a finite number" if self.complex else "a finite real number"
        raise DefinitionError(
            f"{owner}: the initial value of {self.kind} {self.name!r} is {short_repr(init)}; expected a "
            f'name such as `init="zeros"`, {number} such as `init=0.5`, or a function such as '
            f"`init=lambda rng, shape: np.full(shape, 0.5)`.",
            self.location,
        )

    @overload
    def __get__(self, instance: None, owner: type) -> ArrayDeclaration: ...
    @overload
    def __get__(self, instance: object, owner: type) -> Any: ...
    def __get__(self, instance: object, owner: type) -> Any:
        return self

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(size.text for size in self.shape)})"

    @property
    def description(self) -> str:
        """The text on the array that readers see."""
        return self.help


def is_constant(init: Any, allow_complex: bool) -> TypeGuard[complex]:
    """Whether an initializer is a finite number, to which all elements are set."""
    allowed = numbers.Complex if allow_complex else numbers.Real
    try:
        return not isinstance(init, bool) and isinstance(init, allowed) and cmath.isfinite(complex(init))
    except OverflowError:  # an integer above the largest float
        return False


class Param(ArrayDeclaration):
    """A trained array of a cell, as in ``Whh = zoo.Param("H", "H", init="orthogonal")``.

    Args:
        *shape: Sizes, integers or expressions such as ``"4H"``; none for a scalar.
        init: Initializer: a name, ``"orthogonal"``, a number for all elements, or a function
            ``(rng, shape) -> array`` or ``(rng, shape, cell) -> array``, which can read the cell's options.
        help: One line that describes it.
        complex: Whether ``step`` sees complex numbers.

    Raises:
        DefinitionError: if a size is invalid.
    """

    kind = "parameter"


class Buffer(ArrayDeclaration):
    """A fixed array of a cell, which is not trained: a reservoir's weights, the HiPPO matrix.

    Its initializer draws from the seed, as those of parameters do, and checkpoints contain it. Kernels
    receive the buffers after the parameters.

    Args:
        *shape: Sizes, integers or expressions such as ``"4H"``; none for a scalar.
        init: Initializer: a name, ``"orthogonal"``, a number for all elements, or a function
            ``(rng, shape) -> array`` or ``(rng, shape, cell) -> array``, which can read the cell's options.
        help: One line that describes it.
        complex: Whether ``step`` sees complex numbers.

    Raises:
        DefinitionError: if a size is invalid.
    """

    kind = "buffer"


class State(ArrayDeclaration):
    """An array that a cell carries from step to step, as in ``h = zoo.State("H")``.

    Args:
        *shape: Sizes for one sequence; a batch axis comes first.
        help: One line that describes the state.
        complex: Whether ``step`` sees complex numbers.
        discrete: Whether it only holds integers, as a step counter does; it has no gradient.
    """

    kind = "state"

    def __init__(
        self, *shape: int | str, help: str = "", complex: bool = False, discrete: bool = False
    ) -> None:
        super().__init__(*shape, help=help, complex=complex)
        self.discrete = discrete


class Input(ArrayDeclaration):
    """An auxiliary input of a cell at every step, such as the time since the last step.

    Pass it to a layer by name, ``rnn.forward(x, state, dt=dt)`` with ``dt (T, B, ...)``; every cell that
    declares it receives it. It has no gradient.

    Args:
        *shape: Sizes for one sequence; none for a scalar.
        default: Its value if it is not passed. Without a default it is 0, and training warns that it was left
            out.
        between_steps: Whether the value belongs to the time between the previous step and this one, as a
            time difference does. A layer that reads backwards then gets, at each step, the value of the
            following step, and the value of the first step at the last one.
        limit: Function of the options of the cell: the largest value at which ``step`` is stable, such as the
            longest time step of an explicit solver. A larger one in the data gives a warning before training.
            None for no limit.
        low: Smallest allowed value (inclusive). A smaller one is an error wherever it is passed.
        high: Largest allowed value (inclusive).
        choices: The allowed values, if they are few, such as ``(0, 1)`` for a mark.
        help: One line that describes it.

    Raises:
        DefinitionError: if the default or an allowed value is not a finite number, ``low`` is above ``high``,
            the default, or 0 without a default, is not allowed, ``between_steps`` is not True or False,
            ``limit`` is not a function, or ``choices`` are empty, contain a value twice, or are given with a
            bound.
    """

    kind = "input"

    def __init__(
        self,
        *shape: int | str,
        default: float | None = None,
        between_steps: bool = False,
        limit: Callable[[Mapping[str, Any]], float] | None = None,
        low: float | None = None,
        high: float | None = None,
        choices: Sequence[float] | None = None,
        help: str = "",
    ) -> None:
        super().__init__(*shape, help=help)
        self.has_default = default is not None
        default = 0.0 if default is None else default
        if type(default) not in (int, float) or not math.isfinite(default):
            raise DefinitionError(
                f"zoo.Input: the default is {short_repr(default)}; expected a finite number."
            )
        if type(between_steps) is not bool:
            raise DefinitionError(
                f"zoo.Input: between_steps is {short_repr(between_steps)}; expected True or False."
            )
        if limit is not None and not callable(limit):
            raise DefinitionError(
                f"zoo.Input: limit is {short_repr(limit)}; expected a function of the options, or None."
            )
        for name, bound in (("low", low), ("high", high)):
            if bound is not None and (type(bound) not in (int, float) or not math.isfinite(bound)):
                raise DefinitionError(
                    f"zoo.Input: {name} is {short_repr(bound)}; expected a finite number, or None."
                )
        self.default, self.between_steps, self.limit = default, between_steps, limit
        self.low, self.high, self.choices = low, high, None if choices is None else _as_choices(choices)
        if choices is not None and (low is not None or high is not None):
            raise DefinitionError("zoo.Input: choices are given with a bound, low or high; leave one out.")
        if low is not None and high is not None and low > high:
            raise DefinitionError(f"zoo.Input: low is {low} and high is {high}; expected low <= high.")
        if not self.allows(default):
            if not self.has_default:
                raise DefinitionError(
                    f"zoo.Input: it has no default, so it is 0 where it is left out; expected "
                    f"{self.expected('a number')}. Give `default`."
                )
            raise DefinitionError(
                f"zoo.Input: the default is {default}; expected {self.expected('a number')} (the default "
                f"must be an allowed value)."
            )

    @property
    def description(self) -> str:
        """The help text with the bounds, such as ``"strength at this step, from 0 to 1"``."""
        return ", ".join(filter(None, (self.help, self.bounds_text())))

    def bounds_text(self) -> str:
        """The allowed values, such as ``"from 0 to 1"`` or ``"0, 1 or 2"``; empty without bounds."""
        if self.choices is None:
            return range_text(self.low, self.high)
        texts = [_limit_text(choice) for choice in self.choices]
        return " or ".join([", ".join(texts[:-1]), texts[-1]] if len(texts) > 1 else texts)

    def expected(self, noun: str) -> str:
        """The allowed values in an error: ``"0 or 1"``, or with a noun, ``"numbers from 0 to 1"``."""
        return self.bounds_text() if self.choices is not None else f"{noun} {self.bounds_text()}".rstrip()

    def allows(self, value: float) -> bool:
        """Whether a number is within the bounds, or one of the choices."""
        if self.choices is not None:
            return value in self.choices
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)

    @property
    def is_impossible(self) -> bool:
        """Whether no value is allowed, which :meth:`narrowed` may return."""
        if self.choices is not None:
            return not self.choices
        return self.low is not None and self.high is not None and self.low > self.high

    def narrowed(self, other: Input | None) -> Input:
        """The declaration with the bounds of another one, too, where two cells read the same values."""
        if other is None or (other.low, other.high, other.choices) == (self.low, self.high, self.choices):
            return self
        both = copy.copy(self)
        choices = self.choices if other.choices is None else other.choices
        if choices is not None:
            both.low = both.high = None
            both.choices = tuple(each for each in choices if self.allows(each) and other.allows(each))
            return both
        both.low = max((bound for bound in (self.low, other.low) if bound is not None), default=None)
        both.high = min((bound for bound in (self.high, other.high) if bound is not None), default=None)
        return both

    def limit_for(self, options: Mapping[str, Any]) -> float | None:
        """The largest value at which the cell is stable with these options; None for no limit."""
        return None if self.limit is None else float(self.limit(options))

    def value(self, options: Mapping[str, Any]) -> float:  # noqa: ARG002 - that of noise depends on them
        """Its value if it is not passed, for these options of the cell."""
        return self.default


class StateSlot(ArrayDeclaration):
    """An array of optimizer state, initially zeros: ``(P,)``, or one number, ``zoo.StateSlot(1)``."""

    kind = "slot"

    def __init__(self, *shape: int | str, help: str = "") -> None:
        super().__init__(*(shape or ("P",)), help=help)


class Option(_Declaration, Generic[T]):
    """A constant the user may choose, with a default: ``forget_bias = zoo.Option(1.0, help="...")``.

    The type of the default is the type of the option. On an instance the attribute is the chosen value.

    Args:
        default: Value if the user chooses none.
        help: One line for ``zoo show``.
        low: Smallest allowed value (inclusive), for numbers.
        high: Largest allowed value (inclusive), for numbers.
        below: Exclusive upper bound, as for a decay rate below 1.
        choices: The allowed values, if they are few.
        customary: Value that `zoo.compare` gives the option if the user chooses none, where most papers use
            another value than the default; None for the default.

    Raises:
        DefinitionError: if the default is not a bool, int, float or str, or the default or the customary
            value is not allowed by the bounds.
    """

    def __init__(
        self,
        default: T,
        help: str = "",
        *,
        low: float | None = None,
        high: float | None = None,
        below: float | None = None,
        choices: Sequence[T] | None = None,
        customary: T | None = None,
    ) -> None:
        if type(default) not in _READERS:
            raise DefinitionError(
                f"zoo.Option: the default is {short_repr(default)}; an option is a bool, int, float or str."
            )
        self.default: T = default
        self.help = help
        self.low = low
        self.high = high
        self.below = below
        self.choices: tuple[T, ...] | None = tuple(choices) if choices is not None else None
        self.customary: T | None = customary
        self.name = ""
        for noun, value in (("default", default), ("customary value", customary)):
            if value is not None and not self._allows(value):
                raise DefinitionError(
                    f"zoo.Option: the {noun} is {short_repr(value)}; {self.expects()} "
                    f"(the {noun} must be an allowed value)."
                )

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = self.name or name  # an object under a second name is refused by Component

    @overload
    def __get__(self, instance: None, owner: type) -> Option[T]: ...
    @overload
    def __get__(self, instance: object, owner: type) -> T: ...
    def __get__(self, instance: Any, owner: type) -> Option[T] | T:
        if instance is None:
            return self
        if self.name not in instance.options:
            raise UsageError(
                f"option {self.name!r} of a {type(instance).__name__} is read before the options are set; "
                f"begin __init__ with super().__init__(**options)."
            )
        value: T = instance.options[self.name]
        return value

    def __set__(self, instance: object, value: object) -> None:
        name = type(instance).__name__
        raise UsageError(
            f"option {self.name!r} of a {name} is chosen once; make another, {name}({self.name}={value!r})."
        )

    @property
    def type(self) -> type:
        """The Python type of the option."""
        return type(self.default)

    def check(self, value: object, owner: str) -> T:
        """Convert a value to this option's type: NumPy scalars, and integers where a float is expected.

        Raises:
            UsageError: naming ``owner``, the option, the value and what is allowed.
        """
        number: T = self._number(value)
        if not self._allows(number):
            raise UsageError(f"{owner}: option {self.name!r} is {short_repr(value)}; {self.expects()}.")
        return number

    def _number(self, value: Any) -> Any:
        """Convert a number of another numeric type with the same value."""
        accepted = {float: numbers.Real, int: numbers.Integral}.get(self.type)
        if accepted is None or isinstance(value, bool) or not isinstance(value, accepted):
            return value
        try:
            return self.type(value)
        except OverflowError:
            return value

    def parse(self, text: str, owner: str) -> T:
        """Parse the text of a command line or configuration file.

        Raises:
            UsageError: if the text is not an allowed value.
        """
        try:
            value = _READERS[self.type](text)
        except (ValueError, KeyError):
            raise UsageError(f"{owner}: option {self.name!r} is {text!r}; {self.expects()}.") from None
        return self.check(value, owner)

    def expects(self) -> str:
        """The allowed values, for error messages."""
        if self.choices is not None:
            return "expected one of " + ", ".join(repr(choice) for choice in self.choices)
        limits = (("at least", self.low), ("at most", self.high), ("below", self.below))
        bounds = [f"{word} {_limit_text(limit)}" for word, limit in limits if limit is not None]
        kind = {bool: "true or false", int: "an integer", float: "a finite number", str: "a string"}[
            self.type
        ]
        return " ".join(["expected", kind, " and ".join(bounds)]).rstrip()

    def _allows(self, value: Any) -> bool:
        return type(value) is self.type and self._is_inside(value)

    def _is_inside(self, value: Any) -> bool:
        if self.choices is not None:
            return value in self.choices
        if self.type not in (int, float):
            return True
        low, high, below = self.low, self.high, self.below
        inside = (low is None or value >= low) and (high is None or value <= high)
        # Kernels take 64-bit integers.
        is_number = -(2**63) <= value < 2**63 if self.type is int else math.isfinite(value)
        return is_number and inside and (below is None or value < below)


def _as_choices(choices: Any) -> tuple[float, ...]:
    """Check the allowed values of an auxiliary input."""
    is_sequence = isinstance(choices, (tuple, list)) and len(choices) > 0
    if not is_sequence or any(type(each) not in (int, float) or not math.isfinite(each) for each in choices):
        raise DefinitionError(
            f"zoo.Input: choices are {short_repr(choices)}; expected a tuple or list of finite "
            f"numbers, such as (0, 1)."
        )
    if repeated := [each for number, each in enumerate(choices) if each in choices[:number]]:
        raise DefinitionError(
            f"zoo.Input: choices are {short_repr(choices)}, which contain {repeated[0]} twice; give each "
            f"value once."
        )
    return tuple(choices)


def range_text(low: float | None, high: float | None) -> str:
    """The numbers between two bounds, such as ``"from 0 to 1"``; empty without bounds."""
    least, most = (None if bound is None else _limit_text(bound) for bound in (low, high))
    if least and most:
        return f"from {least} to {most}"
    return f"of at least {least}" if least else f"of at most {most}" if most else ""


def _limit_text(limit: float) -> str:
    return f"{limit:,}" if isinstance(limit, int) and abs(limit) >= 1_000_000 else f"{limit:g}"


_READERS: dict[type, Callable[[str], Any]] = {
    bool: lambda text: {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}[
        text.lower()
    ],
    int: int,
    float: float,
    str: str,
}
