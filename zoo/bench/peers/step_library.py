"""Libraries that run the equations of a cell: their expressions, and the choices of their user."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ELEMENTWISE = {
    "add": "{0} + {1}",
    "subtract": "{0} - {1}",
    "multiply": "{0} * {1}",
    "divide": "{0} / {1}",
    "negative": "-{0}",
    "power": "{0} ** {1}",
    "remainder": "{0} % {1}",
    "floor": "{xp}.floor({0})",
    "sign": "{xp}.sign({0})",
    "exp": "{xp}.exp({0})",
    "exp_diff": "{xp}.exp({0} - {1})",
    "expm1": "{xp}.expm1({0})",
    "log": "{xp}.log({0})",
    "log1p": "{xp}.log1p({0})",
    "sqrt": "{xp}.sqrt({0})",
    "sin": "{xp}.sin({0})",
    "cos": "{xp}.cos({0})",
    "arctan": "{xp}.arctan({0})",
    "sinh": "{xp}.sinh({0})",
    "cosh": "{xp}.cosh({0})",
    "tanh": "{xp}.tanh({0})",
    "sigmoid": "sigmoid({0})",
    "softplus": "softplus({0})",
    "erf": "erf({0})",
    "absolute": "{xp}.abs({0})",
    "maximum": "{xp}.maximum({0}, {1})",
    "minimum": "{xp}.minimum({0}, {1})",
    "where": "{xp}.where({0}, {1}, {2})",
    "less": "{0} < {1}",
    "less_equal": "{0} <= {1}",
    "greater": "{0} > {1}",
    "greater_equal": "{0} >= {1}",
    "equal": "{0} == {1}",
    "not_equal": "{0} != {1}",
    "logical_and": "{0} & {1}",
    "logical_or": "{0} | {1}",
    "logical_not": "~{0}",
    "copy": "{0}",
    "stop_gradient": "stop_gradient({0})",
    "with_derivative": "with_derivative({0}, {1}, {2})",
}
"""Element-wise operations as expressions; ``{xp}`` is the namespace of the library."""

_EXPRESSIONS = {
    "bound_below": "{xp}.maximum({0}, {1})",
    "bound_above": "{xp}.minimum({0}, {1})",
    "as_number": "{0}.astype(dtype)",
    "array": "{xp}.asarray({0}, dtype=dtype)",
    "full": "{xp}.full({1}, {0}, dtype=dtype)",
    "broadcast": "{xp}.broadcast_to({0}, {1})",
    "concatenate": "{xp}.concatenate([{0}], {1})",
    "split": "{xp}.split({0}, {2}, {3})",
    "permute": "{0}.transpose({1})",
    "sum": "{0}.sum({1})",
    "max": "{0}.max({1})",
    "cumsum": "{0}.cumsum({1})",
    "flip": "{xp}.flip({0}, ({1},))",
    "zeros": "{xp}.zeros({0}, dtype=dtype)",
    "eye": "{xp}.eye({0}, dtype=dtype)",
    "add_product": "{0} + {1} @ {2}",
    "einsum": '{xp}.einsum("{0}", {1})',
    "solve": "{xp}.linalg.solve({0}, {1})",
    "expm": "expm({0})",
    "recurrence": "recurrence({xp}, {0}, {1}, {2}, {3})",
}


@dataclass(frozen=True)
class Library:
    """A library whose functions are those of NumPy, except for the operations in ``forms``.

    Args:
        prefix: Name of the namespace in the code, ``"jnp"``.
        functions: Names in the code: the namespace, and the functions ``sigmoid``, ``silu``,
            ``log_sigmoid``, ``softplus``, ``erf``, ``stop_gradient``, ``with_derivative``, ``expm``,
            ``one_hot(tokens, n, dtype)`` and ``rows(tokens, matrix)``.
        forms: Expressions that differ from those of NumPy, by operation.
    """

    prefix: str
    functions: Mapping[str, Any]
    forms: Mapping[str, str] = field(default_factory=dict)

    def expression(self, form: str, *operands: object) -> str:
        """The expression of an operation."""
        table = {**ELEMENTWISE, **_EXPRESSIONS, **self.forms}
        return table[form].format(*operands, xp=self.prefix)


@dataclass(frozen=True)
class StepVariant:
    """Choices of a user who writes the code.

    Args:
        inputs: ``"rows"`` selects rows of matrices by tokens, ``"one-hot"`` multiplies by one-hot vectors,
            and ``"dense"`` multiplies by dense inputs.
        uses_einsum: Whether a sum of products is an ``einsum``, and not a product and a sum.
        stores_large: Whether large values that do not depend on a state are computed before the loop.
    """

    inputs: str
    uses_einsum: bool
    stores_large: bool

    @property
    def name(self) -> str:
        """Name in the results."""
        words = [self.inputs, "einsum" if self.uses_einsum else "sums"]
        return ", ".join([*words, *(() if self.stores_large else ("outer products in the loop",))])
