"""The contract of a modifier: what turns any cell into another one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from zoo.base.cell_editor import Now, Parts, Product, Stepped
from zoo.base.component import Member

Run = Callable[..., Stepped]


class Modifier(Member, abstract=True):
    """What turns a cell into another one, whatever the cell: noise, a norm, another kind of matrix.

    A subclass writes one or more of the three methods. ``declare`` says what the modified cell has,
    ``product`` answers for each product with a matrix of parameters, ``step`` for the step as a whole. All
    compute with arrays as the ``step`` of a cell does, and zoo derives the kernels of what comes of it.

    Args:
        **options: Values for the declared options.

    Raises:
        DefinitionError: when the class is defined, if it is not well formed.
        UsageError: for an unknown option or a value that is not allowed.
    """

    kind: ClassVar[str] = "modifier"

    def declare(self, parts: Parts) -> None:
        """Add to what the cell declares, or remove from it; names begin as the cell's parameters do.

        Raises:
            UsageError: ``parts.refusal(why)``, if the modifier makes no sense for the cell.
        """

    def product(self, now: Now, product: Product, operand: Any, matrix: Any) -> Any:  # noqa: ARG002
        """What the cell gets for one of its products: by default the product.

        Args:
            now: The arrays of this step.
            product: Which product it is.
            operand: What is multiplied.
            matrix: The matrix; if its parameter was removed, a stand-in that only has a shape.
        """
        return product.of(operand, matrix)

    def step(self, now: Now, run: Run, x: Any, states: Mapping[str, Any]) -> Stepped:  # noqa: ARG002
        """One step of the modified cell: by default, that of the cell.

        Args:
            now: The arrays of this step.
            run: The step of the cell, ``run(x, states)`` or ``run(x, states, arrays)`` with other parameters
                in place of its own.
            x: The input.
            states: States before the step by name.
        """
        return run(x, states)
