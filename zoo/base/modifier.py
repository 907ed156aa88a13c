"""Base class of modifiers, which turn any cell into another cell."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from zoo.base.cell_editor import CellDeclarations, Matmul, StepContext, StepResult
from zoo.base.component import Component

InnerStep = Callable[..., StepResult]


class Modifier(Component, abstract=True):
    """A change that fits any cell: noise, a norm, another kind of matrix.

    A subclass overrides one or more of three methods. ``edit`` changes the declarations of the cell,
    ``matmul`` replaces each product with a parameter matrix, and ``step`` wraps the whole step. All compute
    with arrays as the ``step`` of a cell does. zoo derives the kernels of the modified cell.

    Args:
        **options: Values for the declared options.

    Raises:
        DefinitionError: when the class is defined, if it is not well formed.
        UsageError: for an unknown option or a value that is not allowed.
    """

    kind: ClassVar[str] = "modifier"

    def edit(self, spec: CellDeclarations) -> None:
        """Add declarations to the cell, or remove some; new names begin as the cell's parameters do.

        Raises:
            UsageError: ``spec.unsupported(why)``, if the modifier does not suit the cell.
        """

    def matmul(self, ctx: StepContext, matmul: Matmul, operand: Any, matrix: Any) -> Any:  # noqa: ARG002
        """The value that replaces one product of the cell: by default the product itself.

        Args:
            ctx: The arrays of this step.
            matmul: The product.
            operand: The factor that is not a parameter.
            matrix: The matrix; if its parameter was removed, a placeholder that only has a shape.
        """
        return matmul.multiply(operand, matrix)

    def step(
        self,
        ctx: StepContext,  # noqa: ARG002
        inner_step: InnerStep,
        x: Any,
        states: Mapping[str, Any],
    ) -> StepResult:
        """One step of the modified cell: by default the step of the cell.

        Args:
            ctx: The arrays of this step.
            inner_step: The step of the cell, ``inner_step(x, states)`` or ``inner_step(x, states, arrays)``
                with other parameters in place of its own.
            x: The input.
            states: States before the step by name.
        """
        return inner_step(x, states)
