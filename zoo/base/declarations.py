"""Declarations: the class attributes a member of the zoo is made of.

``Param``, ``Buffer``, ``State`` and ``Slot`` are arrays that zoo allocates, ``Input`` is one that the caller
may bring; ``Option`` is a constant that the user chooses. Each is read off the class when the class is
defined, in the order of declaration, and that order is a contract: kernels receive the arrays, and then the
options, in it.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from zoo.arguments import short_repr
from zoo.base.size_expr import SizeExpr, parse_shape
from zoo.errors import DefinitionError, UsageError

if TYPE_CHECKING:
    import numpy as np

    Initializer = Callable[..., np.ndarray[Any, Any]]

T = TypeVar("T", bool, int, float, str)


class Array:
    """A declared array: a shape in sizes, and how it starts.

    Args:
        *shape: Sizes, integers or expressions such as ``"4H"``.
        init: Name of an initializer (``zoo.layers.initializers.INITIALIZERS``), or a function
            ``(rng, shape) -> array`` or ``(rng, shape, cell) -> array``, which sees the cell's options.
        help: What the array is, in one line.
        complex: Whether ``step`` sees complex numbers. They are stored as real ones with an axis of two in
            front, real parts and then imaginary parts, so that loops over either run over adjacent numbers.

    Raises:
        DefinitionError: if a size cannot be read.
    """

    kind = "array"

    def __init__(
        self,
        *shape: int | str,
        init: str | Initializer = "zeros",
        help: str = "",
        complex: bool = False,
    ) -> None:
        self.shape: tuple[SizeExpr, ...] = parse_shape(shape)
        self.init = init
        self.help = help
        self.complex = complex
        self.name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = self.name or name  # an object under a second name is refused by Component

    @overload
    def __get__(self, instance: None, owner: type) -> Array: ...
    @overload
    def __get__(self, instance: object, owner: type) -> Any: ...
    def __get__(self, instance: object, owner: type) -> Any:
        return self

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(size.text for size in self.shape)})"


class Param(Array):
    """A trained array of a cell, as in ``Whh = zoo.Param("H", "H", init="orthogonal")``.

    Args:
        *shape: Sizes, integers or expressions such as ``"4H"``; none for one number.
        init: How it starts: a name, ``"orthogonal"``, or a function ``(rng, shape) -> array`` or
            ``(rng, shape, cell) -> array``, which sees the cell's options.
        help: What it is, in one line.
        complex: Whether ``step`` sees complex numbers.

    Raises:
        DefinitionError: if a size cannot be read.
    """

    kind = "parameter"


class Buffer(Array):
    """An array of a cell that is made once, by its ``init``, and never trained.

    For what is fixed: a reservoir's weights, the HiPPO matrix. It is drawn from the seed as parameters are,
    and kept in checkpoints; kernels receive the buffers after the parameters.

    Args:
        *shape: Sizes, integers or expressions such as ``"4H"``; none for one number.
        init: How it starts: a name, ``"orthogonal"``, or a function ``(rng, shape) -> array`` or
            ``(rng, shape, cell) -> array``, which sees the cell's options.
        help: What it is, in one line.
        complex: Whether ``step`` sees complex numbers.

    Raises:
        DefinitionError: if a size cannot be read.
    """

    kind = "buffer"


class State(Array):
    """What a cell carries from step to step, as in ``h = zoo.State("H")``; the batch axis comes in front.

    Args:
        *shape: Sizes of one row.
        help: What the state is, in one line.
        complex: Whether ``step`` sees complex numbers.
        discrete: Whether it only ever holds whole numbers, as a step counter does; nothing is differentiated
            by it.
    """

    kind = "state"

    def __init__(
        self, *shape: int | str, help: str = "", complex: bool = False, discrete: bool = False
    ) -> None:
        super().__init__(*shape, help=help, complex=complex)
        self.discrete = discrete


class Input(Array):
    """What a cell is told at every step beside x, such as the time since the last one.

    It reaches a layer by name, ``rnn.forward(x, state, dt=dt)`` with ``dt (T, B, ...)``, and every cell that
    declares it; where it is not given it is ``default`` throughout. Nothing is differentiated by it.

    Args:
        *shape: Sizes of one row; none for one number.
        default: Its value where it is not given.
        help: What it is, in one line.

    Raises:
        DefinitionError: if the default is no finite number.
    """

    kind = "input"

    def __init__(self, *shape: int | str, default: float = 0.0, help: str = "") -> None:
        super().__init__(*shape, help=help)
        if type(default) not in (int, float) or not math.isfinite(default):
            raise DefinitionError(
                f"zoo.Input: the default is {short_repr(default)}; expected a finite number."
            )
        self.default = default

    def value(self, options: Mapping[str, Any]) -> float:  # noqa: ARG002 - what noise is depends on them
        """What it is where it is not given, for these options of the cell."""
        return self.default


class StateSlot(Array):
    """What an optimizer keeps, zeros at first: ``(P,)`` numbers, or one, declared ``zoo.StateSlot(1)``."""

    kind = "slot"

    def __init__(self, *shape: int | str, help: str = "") -> None:
        super().__init__(*(shape or ("P",)), help=help)


class Option(Generic[T]):
    """A constant the user may choose, with a default: ``forget_bias = zoo.Option(1.0, help="...")``.

    The type of the default is the type of the option. On an instance the attribute is the chosen value.

    Args:
        default: Value when the user says nothing.
        help: One line for ``zoo show``.
        low: Smallest allowed value (inclusive), for numbers.
        high: Largest allowed value (inclusive), for numbers.
        below: What the value must stay below, as a decay rate below 1.
        choices: The allowed values, when they are few.

    Raises:
        DefinitionError: if the default is not a bool, int, float or str, or not allowed by its own bounds.
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
        self.name = ""
        if not self._allows(default):
            raise DefinitionError(
                f"zoo.Option: the default is {short_repr(default)}; {self.expects()} "
                f"(the default must be an allowed value)."
            )

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = self.name or name  # an object under a second name is refused by Component

    @overload
    def __get__(self, instance: None, owner: type) -> Option[T]: ...
    @overload
    def __get__(self, instance: object, owner: type) -> T: ...
    def __get__(self, instance: Any, owner: type) -> Option[T] | T:
        return self if instance is None else instance.options[self.name]

    def __set__(self, instance: object, value: object) -> None:
        who = type(instance).__name__
        raise UsageError(
            f"option {self.name!r} of a {who} is chosen once; make another, {who}({self.name}={value!r})."
        )

    @property
    def type(self) -> type:
        """The Python type of the option."""
        return type(self.default)

    def check(self, value: object, who: str) -> T:
        """The value as this option's type.

        Numbers of NumPy are welcome, and integers where a float is expected; nothing else is converted.

        Raises:
            UsageError: naming ``who``, the option, the value found and what is allowed.
        """
        number: T = self._number(value)
        if not self._allows(number):
            raise UsageError(f"{who}: option {self.name!r} is {short_repr(value)}; {self.expects()}.")
        return number

    def _number(self, value: Any) -> Any:
        """An int or float of the option's type for a number of another that has the same value."""
        known = {float: numbers.Real, int: numbers.Integral}.get(self.type)
        if known is None or isinstance(value, bool) or not isinstance(value, known):
            return value
        try:
            return self.type(value)
        except OverflowError:
            return value

    def parse(self, text: str, who: str) -> T:
        """The value that a command line or configuration file wrote as text.

        Raises:
            UsageError: if the text does not spell an allowed value.
        """
        try:
            value = _READERS[self.type](text)
        except (ValueError, KeyError):
            raise UsageError(f"{who}: option {self.name!r} is {text!r}; {self.expects()}.") from None
        return self.check(value, who)

    def expects(self) -> str:
        """What the option takes, in words."""
        if self.choices is not None:
            return "expected one of " + ", ".join(repr(choice) for choice in self.choices)
        bounds = [f"at least {self.low:g}"] if self.low is not None else []
        bounds += [f"at most {self.high:g}"] if self.high is not None else []
        bounds += [f"below {self.below:g}"] if self.below is not None else []
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
        is_number = value.bit_length() < 64 if self.type is int else math.isfinite(value)
        return is_number and inside and (below is None or value < below)


_READERS: dict[type, Callable[[str], Any]] = {
    bool: lambda text: {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}[
        text.lower()
    ],
    int: int,
    float: float,
    str: str,
}
