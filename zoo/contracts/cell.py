"""The contract of a recurrent cell."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

from zoo.contracts.declarations import Array, Param, State
from zoo.contracts.member import Member, check_kernel, declared
from zoo.contracts.sizes import Size
from zoo.errors import DefinitionError, UsageError

FORWARD = ("params", "x", "state")
BACKWARD = ("params", "x", "state", "tape", "dy", "dlast")


class Cell(Member, abstract=True):
    """A recurrent cell: declared parameters and states, and two kernels over a whole sequence.

    Two functions decorated with ``@zoo.njit`` bring forward pass and back-propagation through time::

        forward(params, x, state, *options) -> (y, last, tape)
        backward(params, x, state, tape, dy, dlast, *options) -> (dx, dstate, dparams)

    - ``params``, ``state``: tuples of arrays in the order of declaration; a state has the batch in front,
      ``(B, H)``.
    - ``x``: ``(T, B, I)`` floats, or ``(T, B)`` integer tokens, which stand for one-hot rows: with those,
      ``x @ W`` is a gather of rows of ``W`` (``zoo.kernels.project`` does either) and ``dx`` is an empty
      ``(0, 0, 0)`` array.
    - ``y (T, B, ·)`` is the output at every step and ``last`` the state after the last; the first state is
      the output's size. ``tape`` is whatever backward needs, a tuple of arrays.
    - ``dy``, ``dlast`` are the gradients of a scalar with respect to ``y`` and ``last``; ``dx``, ``dstate``,
      ``dparams`` those with respect to ``x``, ``state`` and ``params``.

    Inputs are never written to, all arrays are C-contiguous, and rows of the batch do not mix.

    Args:
        **options: Values for the declared options.

    Raises:
        DefinitionError: when the class is defined, if it is not well formed.
        UsageError: for an unknown option or a value that is not allowed.
    """

    kind: ClassVar[str] = "cell"
    params: ClassVar[Mapping[str, Param]] = MappingProxyType({})
    states: ClassVar[Mapping[str, State]] = MappingProxyType({})

    @classmethod
    def _check_class(cls) -> None:
        cls.params = MappingProxyType(declared(cls, Param))
        cls.states = MappingProxyType(declared(cls, State))
        super()._check_class()
        if not cls.states:
            raise DefinitionError(f"{cls.who()}: no state is declared; add `h = zoo.State('H')`.")
        if not cls.params:
            raise DefinitionError(f"{cls.who()}: no parameter is declared; add `Wh = zoo.Param('H', 'H')`.")
        cls._check_sizes()
        cls._check_kernels()

    @classmethod
    def _check_sizes(cls) -> None:
        for letter in ("I", "H"):
            if letter in cls.declared_options:
                raise DefinitionError(
                    f"{cls.who()}: {letter} is a size and cannot name an option; rename it."
                )
        options = {name for name, option in cls.declared_options.items() if option.type is int}
        for array in declared(cls, Array).values():
            for size in array.shape:
                if unknown := sorted(size.names - options - {"I", "H"}):
                    raise DefinitionError(
                        f"{cls.who()}: {array.kind} {array.name!r} has size {size.text!r}, and "
                        f"{unknown[0]!r} is neither I (input features), H (hidden units) nor an integer "
                        f"option of the class."
                    )
        first = next(iter(cls.states.values()))
        if len(first.shape) != 1:
            raise DefinitionError(
                f"{cls.who()}: the first state {first.name!r} is the output and must be a vector; "
                f"found {first!r}."
            )

    @classmethod
    def _check_kernels(cls) -> None:
        missing = [name for name in ("forward", "backward") if not hasattr(cls, name)]
        if missing:
            raise DefinitionError(
                f"{cls.who()}: {' and '.join(missing)} missing; a cell brings two @zoo.njit functions over "
                f"a whole sequence, forward({', '.join(FORWARD)}) and backward({', '.join(BACKWARD)})."
            )
        check_kernel(cls, "forward", FORWARD)
        check_kernel(cls, "backward", BACKWARD)

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

    def output_size(self, input_size: int, hidden_size: int) -> int:
        """Features of the output ``y``: those of the first state."""
        return next(iter(self.state_shapes(input_size, hidden_size).values()))[0]

    def parameter_count(self, input_size: int, hidden_size: int) -> int:
        """``P``, the trained numbers of one layer."""
        return sum(math.prod(shape) for shape in self.param_shapes(input_size, hidden_size).values())

    @classmethod
    def parameter_formula(cls) -> str:
        """``P`` in letters, ``I·H + H·H + H``."""
        return " + ".join("·".join(map(_factor, param.shape)) or "1" for param in cls.params.values())

    def _shapes(
        self, arrays: Mapping[str, Array], input_size: int, hidden_size: int
    ) -> dict[str, tuple[int, ...]]:
        env = {"I": input_size, "H": hidden_size}
        env |= {name: value for name, value in self.options.items() if type(value) is int}
        try:
            return {name: tuple(size.evaluate(env) for size in array.shape) for name, array in arrays.items()}
        except UsageError as error:
            raise UsageError(f"{self.label()}: {error}") from None


def _factor(size: Size) -> str:
    """A size as it stands in a product."""
    return f"({size})" if set("+-/") & set(size.text) else size.text
