"""Base class of modifiers, which turn any cell into another cell, and the declarations that they edit."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from zoo.arguments import short_repr
from zoo.base.cell import Cell
from zoo.base.component import Component
from zoo.base.declarations import ArrayDeclaration, Buffer, Input, Param, State
from zoo.base.names import check_declaration_name
from zoo.base.size_expr import parse_shape
from zoo.errors import DefinitionError, UsageError

Sizes = tuple[str, ...]
InnerStep = Callable[..., "StepResult"]


class Modifier(Component, abstract=True):
    """A change that fits any cell: noise, a norm, another kind of matrix.

    A subclass overrides one or more of four methods. ``edit`` changes the declarations of the cell,
    ``matmul`` replaces each product with a parameter matrix, ``step`` wraps the whole step, and
    ``block_states`` changes the states of a block around the cell. All compute with arrays as the ``step``
    of a cell does. zoo derives the kernels of the modified cell.

    Args:
        **options: Values for the declared options.

    Raises:
        DefinitionError: when the class is defined, if it is not well formed.
        UsageError: for an unknown option or a value that is not allowed.
    """

    kind: ClassVar[str] = "modifier"
    is_outermost: ClassVar[bool] = False
    """Whether it surrounds all other modifiers of a cell, in whatever order they are applied."""
    restarts_states: ClassVar[bool] = False
    """Whether the modifier sets states to initial values within a sequence. Layers then raise an error for
    ``learned_state``, which sets them at the first step only."""

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

    def block_states(self, ctx: StepContext, states: Mapping[str, Any]) -> Mapping[str, Any]:  # noqa: ARG002
        """The states that the step of the surrounding block reads: by default unchanged.

        Args:
            ctx: The arrays of this step.
            states: States before the step by name, such as the last inputs of a convolution.
        """
        return states


@dataclass(frozen=True)
class Matmul:
    """A product in ``step`` of a value that varies between steps with a matrix made of parameters.

    Args:
        index: Position in the order in which ``step`` multiplies.
        name: A unique name, where possible the name of the parameter.
        param: The parameter that is the matrix, or contains it; empty if the matrix is computed.
        param_index: Index of the matrix in the parameter, ``(2,)`` for ``self.R[2]``; empty for all of it.
        is_recurrent: Whether the operand depends on a state.
        operand: Sizes of the operand.
        matrix: Sizes of the matrix.
        result: Sizes of the product.
        is_left: Whether the matrix is the left factor.
        is_complex: Whether a factor is complex.
        num_squares: The number of square matrices side by side in the matrix, as for gates; None if it does
            not consist of square ones.
    """

    index: int
    name: str
    param: str
    param_index: tuple[int, ...]
    is_recurrent: bool
    operand: Sizes
    matrix: Sizes
    result: Sizes
    is_left: bool
    is_complex: bool
    num_squares: int | None

    def multiply(self, operand: Any, matrix: Any) -> Any:
        """Multiply, with the matrix on its side."""
        return matrix @ operand if self.is_left else operand @ matrix

    def select(self, array: Any) -> Any:
        """The part of another parameter that belongs to this product, if it has the same leading axes."""
        for index in self.param_index:
            array = array[index]
        return array


@dataclass(frozen=True)
class InputStateSum:
    """A sum in ``step`` of a product of a state and a product of the input, as in ``x @ W + h @ U``.

    Args:
        state_matmul: The product of a state.
        input_matmul: The product of the input.
        select: From the value of ``input_matmul`` to the part of it that is added to ``state_matmul``.
        is_whole: Whether that part is all of it.
    """

    state_matmul: Matmul
    input_matmul: Matmul
    select: Callable[[Any], Any] = field(repr=False, compare=False)
    is_whole: bool


@dataclass
class CellDeclarations:
    """The declarations of a cell, which a modifier may change, and the matrix products of its step.

    Args:
        cell: The cell that is modified.
        modifier: Name of the modifier.
        params: Parameters by name.
        buffers: Buffers by name.
        states: States by name.
        inputs: Auxiliary inputs by name, noise included.
        matmuls: The products with parameters, in the order in which ``step`` multiplies.
        sums: The sums of a product of a state and a product of the input.
        output: Size of the output.
        non_matmul_params: Parameters that ``step`` uses otherwise than as the matrix of a product.
        has_recurrent_matmul: Whether the new states depend on a product of a parameter matrix and a state. A
            state that only delays the input does not count.
        arrays_of_states: Parameters and buffers on which the new states depend. Others serve the output.
        initializer_of: From a parameter to its initializer, ``(rng, shape, cell) -> array``, for any shape.
    """

    cell: Cell
    modifier: str
    params: dict[str, Param]
    buffers: dict[str, Buffer]
    states: dict[str, State]
    inputs: dict[str, Input]
    matmuls: tuple[Matmul, ...]
    sums: tuple[InputStateSum, ...]
    output: str
    non_matmul_params: frozenset[str]
    has_recurrent_matmul: bool
    arrays_of_states: frozenset[str]
    initializer_of: Callable[[Param], Callable[..., Any]]

    @property
    def recurrent_matmuls(self) -> tuple[Matmul, ...]:
        """The products whose operand depends on a state.

        Raises:
            UsageError: if there are none.
        """
        matmuls = tuple(matmul for matmul in self.matmuls if matmul.is_recurrent)
        if not matmuls:
            raise self.unsupported("it multiplies no state by a matrix of parameters")
        return matmuls

    def add(self, name: str, declaration: ArrayDeclaration) -> None:
        """Declare one more array.

        Raises:
            UsageError: if the cell uses the name already.
            DefinitionError: if the name is invalid, or the declaration is another object.
        """
        check_declaration_name(name, f"modifier {self.modifier!r}")
        groups = declaration_groups(self)
        is_taken = any(name in group for group in groups.values()) or name in self.cell.options
        if is_taken or hasattr(Cell, name):
            raise self.unsupported(f"it has something called {name!r} already")
        group = next((group for kind, group in groups.items() if isinstance(declaration, kind)), None)
        if group is None:
            raise DefinitionError(
                f"modifier {self.modifier!r}: edit declares {name!r} as {short_repr(declaration)}; "
                f"expected a zoo.Param, zoo.Buffer, zoo.State or zoo.Input."
            )
        declaration.name = name
        group[name] = declaration

    def option(self, name: str) -> str:
        """The name that an option of the modifier has in the modified cell, for sizes of declarations."""
        return f"{self.modifier}_{name}"

    def declare_like(
        self, declaration: ArrayDeclaration, name: str, sizes: Mapping[str, str] | None = None
    ) -> None:
        """Declare a copy of an array under a new name, with other sizes in place of letters."""
        duplicate = copy.copy(declaration)
        duplicate.shape = parse_shape(
            tuple(substitute_sizes(size.text, sizes or {}) for size in declaration.shape)
        )
        self.add(name, duplicate)

    def replace_size(self, letter: str, size: str) -> None:
        """Replace a letter by another size in the shapes of all arrays of the cell.

        For example, ``spec.replace_size("I", spec.option("external"))`` gives the cell an input of this size.
        """
        for group in declaration_groups(self).values():
            for name, declaration in list(group.items()):
                del group[name]
                self.declare_like(declaration, name, {letter: size})

    def unsupported(self, why: str) -> UsageError:
        """The error to raise if this modifier does not suit this cell."""
        return UsageError(f"modifier {self.modifier!r} does not suit {self.cell.label()}: {why}.")


def declaration_groups(spec: CellDeclarations) -> dict[type[ArrayDeclaration], dict[str, Any]]:
    """The declarations by their kind."""
    return {Param: spec.params, Buffer: spec.buffers, State: spec.states, Input: spec.inputs}


def check_declarations(spec: CellDeclarations) -> None:
    """Check the declarations that a modifier has edited.

    Raises:
        DefinitionError: if one is of another kind, or was not declared by ``add``.
    """
    for kind, group in declaration_groups(spec).items():
        for name, declaration in group.items():
            if not isinstance(declaration, kind) or declaration.name != name:
                raise DefinitionError(
                    f"modifier {spec.modifier!r}: edit puts {short_repr(declaration)} as {name!r} among the "
                    f"{kind.__name__.lower()} declarations; declare it with `spec.add({name!r}, "
                    f"zoo.{kind.__name__}(...))`."
                )


def substitute_sizes(text: str, sizes: Mapping[str, str]) -> str:
    """Replace the letters of a size; a number in front of a letter still multiplies it."""
    return re.sub(r"[A-Za-z_]\w*", lambda match: _parenthesize(sizes.get(match[0], match[0])), text)


def _parenthesize(text: str) -> str:
    return text if text.isidentifier() else f"({text})"


@dataclass
class StepContext:
    """The arrays of one step.

    Args:
        arrays: Parameters, buffers and auxiliary inputs by name, of the cell and of the modifier.
        spec: The declarations.
        memo: Storage for the modifier until the end of the step.
    """

    arrays: Mapping[str, Any]
    spec: CellDeclarations
    memo: dict[Any, Any] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Any:
        return self.arrays[name]


@dataclass(frozen=True)
class StepResult:
    """The output and the new states of a step.

    Args:
        y: The output; None where it is the first state.
        states: The new states by name.
    """

    y: Any
    states: dict[str, Any]

    @property
    def output(self) -> Any:
        """The output."""
        return next(iter(self.states.values())) if self.y is None else self.y
