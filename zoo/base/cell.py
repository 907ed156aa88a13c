"""Base class of recurrent cells: declarations, and a ``step`` or two kernels."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar

from zoo.arguments import short_repr
from zoo.base.component import Component, bound_copy, check_kernel_signature, declarations_of
from zoo.base.declarations import ArrayDeclaration, Buffer, Input, Param, State
from zoo.base.gates import Gates
from zoo.base.noise import Noise
from zoo.base.size_expr import SizeExpr
from zoo.errors import DefinitionError, UsageError
from zoo.field_repr import repr_of


class Output:
    """An output that is not a state, ``return zoo.Output(y, h, c)``.

    Without it the first state is the output.

    Args:
        y: The output, a vector.
        *states: The new states, in the order of declaration.
    """

    def __init__(self, y: Any, *states: Any) -> None:
        self.y = y
        self.states = states

    def __repr__(self) -> str:
        return repr_of(self, {"y": self.y, "states": self.states})


FORWARD_ARGUMENTS = ("params", "x", "state")

BACKWARD_ARGUMENTS = ("params", "x", "state", "tape", "dy", "dlast")

NEEDS_DX = "needs_dx"
"""The last parameter of a backward pass that computes ``dx`` on request."""

CALL_ARGUMENTS = ("state", "lengths", "noise", "trace", "tape")
"""Arguments of the forward pass of a layer, which takes auxiliary inputs by name, too."""
_RESERVED = ("self", "theta", "x", "inputs", "targets", "weights", *CALL_ARGUMENTS)


class Cell(Component, abstract=True):
    """A recurrent cell: declared parameters and states, and the equations of one step.

    Either ``step(self, x, *states, *inputs)`` contains the equations of one step, for one sequence of the
    batch: ``x (I,)`` and every state without a batch axis. It returns the new states in the order of
    declaration, of which the first is the output, or ``zoo.Output(y, *states)``. zoo derives the jitted
    forward pass and the exact back-propagation through time. The same ``step`` on NumPy arrays is the
    reference for both.

    Or two functions decorated with ``@zoo.njit`` compute both passes over a whole sequence::

        forward(params, x, state, *options) -> (y, last, tape)
        backward(params, x, state, tape, dy, dlast, *options) -> (dx, dstate, dparams)

    - ``params``, ``state``: tuples of arrays in the order of declaration. States have a leading batch axis,
      ``(B, H)``. Buffers follow the parameters in ``params``. A cell with auxiliary inputs takes a tuple of
      them, ``(T, B, ...)``, after ``state``.
    - ``x``: ``(T, B, I)`` floats, or ``(T, B)`` integer tokens, which stand for one-hot vectors: then
      ``x @ W`` gathers rows of ``W`` (``zoo.kernels.project`` does either) and ``dx`` is an empty
      ``(0, 0, 0)`` array.
    - ``y (T, B, ·)`` is the output at every step, of the size of the first state, and ``last`` the final
      states. ``tape`` is a tuple of the arrays that are saved for the backward pass.
    - ``dy``, ``dlast`` are the gradients of a scalar with respect to ``y`` and ``last``; ``dx``, ``dstate``,
      ``dparams`` those with respect to ``x``, ``state`` and the parameters (not the buffers).
    - ``backward`` may have one more parameter after the options, ``needs_dx``. zoo passes False if nothing
      reads ``dx``, which may then be an empty ``(0, 0, 0)`` array.

    Kernels must not write to their arguments, all arrays are C-contiguous, and sequences of the batch are
    independent. A class with kernels may have a ``step`` too, as their reference.

    Args:
        **options: Values for the declared options.

    Raises:
        DefinitionError: when the class is defined, if it is not well formed.
        UsageError: for an unknown option or a value that is not allowed.
    """

    kind: ClassVar[str] = "cell"
    _subclass_names = (*Component._subclass_names, "step", "forward", "backward")
    params: ClassVar[Mapping[str, Param]] = MappingProxyType({})
    buffers: ClassVar[Mapping[str, Buffer]] = MappingProxyType({})
    states: ClassVar[Mapping[str, State]] = MappingProxyType({})
    inputs: ClassVar[Mapping[str, Input]] = MappingProxyType({})
    x_size: str = "I"
    """Size of the input of ``step``; a cell in a block that projects nothing reads ``H``."""
    gates: ClassVar[Gates] = Gates()
    """The values of ``step`` that are gates, under names that are the same for all cells."""

    @classmethod
    def _check_class(cls) -> None:
        cls.params = MappingProxyType(declarations_of(cls, Param))
        cls.buffers = MappingProxyType(declarations_of(cls, Buffer))
        cls.states = MappingProxyType(declarations_of(cls, State))
        cls.inputs = MappingProxyType(declarations_of(cls, Input))
        super()._check_class()
        if not isinstance(cls.gates, Gates):
            raise DefinitionError(
                f"{cls.error_name()}: gates is {short_repr(cls.gates)}; expected zoo.Gates(...). Rename an "
                f"array or option of this name."
            )
        if not cls.states:
            raise DefinitionError(f"{cls.error_name()}: no state is declared; add `h = zoo.State('H')`.")
        if not cls.params:
            raise DefinitionError(
                f"{cls.error_name()}: no parameter is declared; add `Wh = zoo.Param('H', 'H')`."
            )
        cls._check_sizes()
        for name in cls.inputs:
            if name in _RESERVED:
                raise DefinitionError(
                    f"{cls.error_name()}: input {name!r} has the name of an argument of layers and models "
                    f"({', '.join(_RESERVED[1:])}); rename it."
                )
        for noise in declarations_of(cls, Noise).values():
            noise.check(cls.declared_options, cls.error_name())
        if cls.has_step():
            cls._check_step()
        if not cls.is_derived():
            cls._check_output()
            cls._check_kernels()

    def __call__(self, *_arguments: Any, **_named: Any) -> Any:
        """Raise an error: layers run cells over sequences.

        Raises:
            UsageError: always.
        """
        raise UsageError(
            f"{self.label()} computes one step and has no arrays; make a layer, "
            f"rnn = zoo.Recurrent({self.name!r}, input_size, hidden_size), and call rnn(x)."
        )

    def _repr_html_(self) -> str:
        """A table for notebooks: arrays, states, inputs and options."""
        from zoo.tables import TextTable

        rows = [
            (name, array.kind, f"({', '.join(size.text for size in array.shape)})", array.help)
            for name, array in {**self.params, **self.buffers, **self.states, **self.inputs}.items()
        ]
        rows += [
            (name, "option", repr(value), self.declared_options[name].help)
            for name, value in self.options.items()
        ]
        title = f"{self.name}: {self.summary().rstrip('.')}"
        return TextTable(title, ("name", "kind", "shape or value", "description"), tuple(rows)).html()

    @classmethod
    def has_step(cls) -> bool:
        """Whether the cell has a ``step``."""
        return hasattr(cls, "step")

    @classmethod
    def is_in_block(cls) -> bool:
        """Whether it is a cell with a block, ``prenorm(lstm)``."""
        return False

    @classmethod
    def restarting_modifier(cls) -> str:
        """The modifier that restarts states within a sequence, such as ``episodes``; empty for none."""
        return ""

    @classmethod
    def named_functions(cls) -> Mapping[Callable[..., Any], str]:
        """The functions, besides ``step``, whose local variables name values, and a prefix of these names."""
        return {}

    @classmethod
    def is_derived(cls) -> bool:
        """Whether zoo derives both passes from ``step``; other cells have ``forward`` and ``backward``."""
        return cls.has_step() and not hasattr(cls, "forward") and not hasattr(cls, "backward")

    def fixed_size_options(self) -> dict[str, int]:
        """Options that are sizes of arrays and do not change with H, such as the order of ``s5``, by name."""
        arrays = {**self.params, **self.states}.values()
        terms = [names for array in arrays for size in array.shape for names in size.terms]
        scaled = frozenset().union(*(names for names in terms if names & {"H", "I"}))
        constant = frozenset().union(*(names for names in terms if not names & {"H", "I"}))
        return {name: self.options[name] for name in self.declared_options if name in constant - scaled}

    @classmethod
    def _check_sizes(cls) -> None:
        for letter in ("I", "H"):
            if letter in cls.declared_options:
                raise DefinitionError(
                    f"{cls.error_name()}: {letter} is a size and cannot name an option; rename it."
                )
        options = {name for name, option in cls.declared_options.items() if option.type is int}
        for array in declarations_of(cls, ArrayDeclaration).values():
            for size in array.shape:
                if unknown := sorted(size.names - options - {"I", "H"}):
                    raise DefinitionError(
                        f"{cls.error_name()}: {array.kind} {array.name!r} has size {size.text!r}, and "
                        f"{unknown[0]!r} is neither I (input features), H (hidden units) nor an integer "
                        f"option of the class.",
                        array.location,
                    )

    @classmethod
    def _check_output(cls) -> None:
        first = next(iter(cls.states.values()))
        if len(first.shape) != 1 or first.complex:
            raise DefinitionError(
                f"{cls.error_name()}: the first state {first.name!r} is the output and must be a real "
                f"vector; found {first!r}."
            )

    @classmethod
    def _check_step(cls) -> None:
        if "x" in cls.states:
            raise DefinitionError(
                f"{cls.error_name()}: state 'x' has the name of the argument x of step, the input; rename it."
            )
        expected = ["self", "x", *cls.states, *cls.inputs]
        step = inspect.getattr_static(cls, "step")
        if isinstance(step, staticmethod | classmethod):
            raise DefinitionError(
                f"{cls.error_name()}: step is a {type(step).__name__}; remove the decorator "
                f"@{type(step).__name__}, since step({', '.join(expected)}) reads parameters and options "
                f"from self."
            )
        if not callable(step):
            raise DefinitionError(
                f"{cls.error_name()}: step is a {type(step).__name__}; expected a method, "
                f"`def step({', '.join(expected)})`."
            )
        arguments = list(inspect.signature(cls.step).parameters)  # type: ignore[attr-defined]
        if arguments != expected:
            undeclared = next((name for name in arguments if name not in expected), None)
            advice = (
                f" Declare {undeclared!r}: `{undeclared} = zoo.Input()` is an auxiliary input, and "
                f"`{undeclared} = zoo.State('H')` a state."
            )
            raise DefinitionError(
                f"{cls.error_name()}: step({', '.join(arguments)}) does not take what the class declares; "
                f"expected step({', '.join(expected)}): x, then the states and inputs under their names, in "
                f"the order of declaration.{advice if undeclared else ''}"
            )

    @classmethod
    def _check_kernels(cls) -> None:
        missing = [name for name in ("forward", "backward") if not hasattr(cls, name)]
        if missing:
            absent = "step is" if len(missing) == 2 else f"{missing[0]} is"
            raise DefinitionError(
                f"{cls.error_name()}: {absent} missing; a cell has `def step(self, x, ...)`, "
                f"the equations of one step, or two @zoo.njit functions over a whole sequence, "
                f"forward({', '.join(FORWARD_ARGUMENTS)}) and backward({', '.join(BACKWARD_ARGUMENTS)})."
            )
        extra = ("inputs",) if cls.inputs else ()
        if NEEDS_DX in cls.declared_options:
            raise DefinitionError(
                f"{cls.error_name()}: option {NEEDS_DX!r} has the name of a parameter of kernels; choose "
                f"another name."
            )
        check_kernel_signature(cls, "forward", (*FORWARD_ARGUMENTS, *extra))
        arguments = *BACKWARD_ARGUMENTS[:3], *extra, *BACKWARD_ARGUMENTS[3:]
        check_kernel_signature(cls, "backward", arguments, NEEDS_DX)

    def with_arrays(self, arrays: Mapping[str, Any]) -> Any:
        """A copy on which to call ``step``, with arrays in place of the declared parameters and buffers."""
        return bound_copy(self, {}, arrays)

    def size_values(self, input_size: int, hidden_size: int) -> dict[str, int]:
        """All letters of sizes: I, H and the integer options."""
        options = {name: value for name, value in self.options.items() if type(value) is int}
        return {"I": input_size, "H": hidden_size, **options}

    def param_shapes(self, input_size: int, hidden_size: int) -> dict[str, tuple[int, ...]]:
        """Shape of every parameter for ``I = input_size`` and ``H = hidden_size``.

        Raises:
            UsageError: if a size does not come out as a positive integer.
        """
        return self._shapes(self.params, input_size, hidden_size)

    def state_shapes(self, input_size: int, hidden_size: int) -> dict[str, tuple[int, ...]]:
        """Shape of every state, without the batch axis.

        Raises:
            UsageError: if a size does not come out as a positive integer.
        """
        return self._shapes(self.states, input_size, hidden_size)

    def buffer_shapes(self, input_size: int, hidden_size: int) -> dict[str, tuple[int, ...]]:
        """Shape of every buffer.

        Raises:
            UsageError: if a size does not come out as a positive integer.
        """
        return self._shapes(self.buffers, input_size, hidden_size)

    def input_shapes(self, input_size: int, hidden_size: int) -> dict[str, tuple[int, ...]]:
        """Shape of every auxiliary input, without the time and batch axes.

        Raises:
            UsageError: if a size does not come out as a positive integer.
        """
        return self._shapes(self.inputs, input_size, hidden_size)

    def parameter_count(self, input_size: int, hidden_size: int) -> int:
        """``P``, the number of trained parameters of one layer."""
        return sum(math.prod(shape) for shape in self.param_shapes(input_size, hidden_size).values())

    @classmethod
    def parameter_formula(cls) -> str:
        """``P`` as a formula, ``I·H + H·H + H``."""
        return count_formula(cls.params)

    def state_size(self, input_size: int, hidden_size: int) -> int:
        """The number of elements that all states of one sequence hold."""
        return sum(math.prod(shape) for shape in self.state_shapes(input_size, hidden_size).values())

    @classmethod
    def state_formula(cls) -> str:
        """The state size as a formula, ``H + order``."""
        return count_formula(cls.states)

    def _shapes(
        self, arrays: Mapping[str, ArrayDeclaration], input_size: int, hidden_size: int
    ) -> dict[str, tuple[int, ...]]:
        env = self.size_values(input_size, hidden_size)
        try:
            return {name: _stored_shape(array, env) for name, array in arrays.items()}
        except UsageError as error:
            raise UsageError(f"{self.label()}: {error}") from None


def count_formula(arrays: Mapping[str, ArrayDeclaration]) -> str:
    """The number of elements of arrays, as a formula."""
    return " + ".join(_array_formula(array) for array in arrays.values())


def _stored_shape(array: ArrayDeclaration, env: Mapping[str, int]) -> tuple[int, ...]:
    """The shape for given sizes; complex arrays are stored as two real planes."""
    return (2,) * array.complex + tuple(size.evaluate(env) for size in array.shape)


def _array_formula(array: ArrayDeclaration) -> str:
    return "·".join(["2"] * array.complex + [_factor(size) for size in array.shape]) or "1"


def _factor(size: SizeExpr) -> str:
    """A size as a factor, without spaces, since those of a formula separate its terms."""
    text = size.text.replace(" ", "")
    return f"({text})" if set("+-/") & set(text) else text
