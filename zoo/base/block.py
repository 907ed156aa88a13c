"""Base class of blocks, which surround any cell with a norm, projections, a gate and a skip connection."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar

from zoo.arguments import short_repr
from zoo.base.component import Component, declarations_of
from zoo.base.declarations import ArrayDeclaration, Buffer, Input, Option, Param, State
from zoo.base.size_expr import SizeExpr
from zoo.errors import DefinitionError

BLOCK_PREFIX = "block_"
"""Prefix of the names of a block's parameters, buffers and states in a cell with a block."""

EXAMPLE_CELLS = ("lstm", "gla")
"""A recurrence with two states, and a mixer: the laws and the pages of blocks put both into a block."""

PLACEMENT_OPTIONS = ("block_first", "block_last", "block_layers")
"""Options of a cell with a block that depend on its layer; a stack of layers sets them."""


class Block(Component, abstract=True):
    """The equations around a cell: a norm, projections, a gate, a skip connection, a gated MLP.

    Block and cell together are one cell, ``prenorm(lstm)``, for which zoo derives the kernels. A subclass
    declares its parameters and states, and ``step(self, x, *states, cell)`` contains the equations of one
    step of one sequence. ``x (D,)`` comes from the layer below, and ``cell(u)`` is the output of the inner
    cell for the input ``u``; call it once. ``step`` returns the output ``(D,)``, followed by the new states::

        class Prenorm(zoo.Block):
            gain = zoo.Param("D", init="ones")
            Wo = zoo.Param("Y", "D", init="lecun_normal")

            def step(self, x, cell):
                return x + cell(zoo.rms_norm(x) * self.gain) @ self.Wo

    Sizes are written in three letters. ``D`` is the width of the model, ``hidden_size`` of the layer. ``Y``
    is the size of the inner cell's output. ``I`` is the number of features that the layer reads, which only
    ``project`` uses. Parameters and states that the equations of a layer do not use are left out, so
    that an option or :attr:`is_mixer` can switch a part off.

    The first layer of a stack also computes ``project``, and the last one ``finish``.

    Args:
        **options: Values for the declared options.

    Raises:
        DefinitionError: when the class is defined, if it is not well formed.
        UsageError: for an unknown option or a value that is not allowed.
    """

    kind: ClassVar[str] = "block"
    params: ClassVar[Mapping[str, Param]] = MappingProxyType({})
    buffers: ClassVar[Mapping[str, Buffer]] = MappingProxyType({})
    states: ClassVar[Mapping[str, State]] = MappingProxyType({})
    cell_input: ClassVar[str] = "D"
    """Size ``I`` of the inner cell, unless it is a mixer: then it is ``D``."""
    cell_hidden: ClassVar[str] = "D"
    """Size ``H`` of the inner cell, unless it is a mixer: then it is ``D``."""
    cell_init: ClassVar[Mapping[str, str | Callable[..., Any]]] = MappingProxyType({})
    """Initializers of parameters of inner cells, in place of those of the cell. They are names such as
    ``"zeros"``, or functions ``(rng, shape, block)``, by the name of the cell and the parameter,
    ``"mamba.Wo"``. A modifier that replaces the parameter keeps its own initializer."""
    is_first: bool = True
    """Whether the layer computes ``project``: the first of a stack does, and one that reads another size."""
    is_last: bool = True
    """Whether the layer is the last one and computes ``finish``."""
    num_layers: int = 1
    """Layers of the stack, for initial values of residual branches."""
    is_mixer: bool = False
    """Whether the inner cell already has projections, gates and norms (``scope`` of its card)."""

    Wi = Param("I", "D", init="lecun_normal", help="projection of the input of the first layer")
    bi = Param("D", help="bias of the projection")

    def step(self, *arguments: Any, **_: Any) -> Any:  # to mypy, a subclass may take other arguments
        """One step of one sequence, ``step(x, *states, cell)``: the output and the new states.

        By default it is the step of the cell.
        """
        x, cell = arguments
        return cell(x)

    def project(self, x: Any) -> Any:
        """The input ``(I,)`` of the first layer at width ``D``."""
        return x @ self.Wi + self.bi

    def finish(self, y: Any) -> Any:
        """The output of the last layer, such as a norm of ``y (D,)``; by default ``y`` itself."""
        return y

    def placed(self, is_first: bool, is_last: bool, num_layers: int, is_mixer: bool) -> Any:
        """A copy for a position in a stack and a kind of inner cell."""
        copy = type(self)(**self.options)
        vars(copy).update(is_first=is_first, is_last=is_last, num_layers=num_layers, is_mixer=is_mixer)
        return copy

    def __copy__(self) -> Any:
        return self.placed(self.is_first, self.is_last, self.num_layers, self.is_mixer)

    @classmethod
    def is_bare(cls) -> bool:
        """Whether the block adds nothing to the cell."""
        return cls.step is Block.step

    @classmethod
    def cell_sizes(cls, is_mixer: bool) -> tuple[str, str]:
        """Sizes ``I`` and ``H`` of the inner cell, in the letters of the block."""
        return ("D", "D") if is_mixer else (cls.cell_input, cls.cell_hidden)

    @classmethod
    def _check_class(cls) -> None:
        cls.params = MappingProxyType(declarations_of(cls, Param))
        cls.buffers = MappingProxyType(declarations_of(cls, Buffer))
        cls.states = MappingProxyType(declarations_of(cls, State))
        super()._check_class()
        for name in declarations_of(cls, Input):
            raise DefinitionError(
                f"{cls.error_name()}: {name!r} is an auxiliary input, which only cells have; remove it."
            )
        cls._check_sizes()
        cls._check_cell_init()
        if cls.is_bare() and not cls.states:
            return
        expected = ["self", "x", *cls.states, "cell"]
        arguments = list(inspect.signature(cls.step).parameters)
        if arguments != expected:
            raise DefinitionError(
                f"{cls.error_name()}: step({', '.join(arguments)}) does not take what the class declares; "
                f"expected step({', '.join(expected)}): x, the states in the order of declaration, and the "
                f"cell."
            )

    @classmethod
    def _check_cell_init(cls) -> None:
        values = cls.cell_init
        if not isinstance(values, Mapping):
            raise DefinitionError(
                f"{cls.error_name()}: cell_init is {short_repr(values)}; expected a mapping from names such "
                f"as 'mamba.Wo' to initializers."
            )
        for name, init in values.items():
            cell, _, parameter = str(name).partition(".")
            if not (cell and parameter.isidentifier() and (callable(init) or isinstance(init, str))):
                raise DefinitionError(
                    f"{cls.error_name()}: cell_init has {short_repr(name)}: {short_repr(init)}; expected the "
                    f"name of a cell and a parameter, such as 'mamba.Wo', and the name of an initializer or "
                    f"a function (rng, shape, block)."
                )

    @classmethod
    def _check_sizes(cls) -> None:
        options = {name for name, option in declarations_of(cls, Option).items() if option.type is int}
        sizes = [
            (f"{array.kind} {array.name!r}", size, {"I", "D", "Y"}, array.location)
            for array in declarations_of(cls, ArrayDeclaration).values()
            for size in array.shape
        ]
        of_cell = ("cell_input", "cell_hidden")
        sizes += [(name, SizeExpr(str(getattr(cls, name))), {"D"}, "") for name in of_cell]
        for where, size, letters, location in sizes:
            if unknown := sorted(size.names - options - letters):
                raise DefinitionError(
                    f"{cls.error_name()}: {where} has size {size.text!r}, and {unknown[0]!r} is neither "
                    f"{', '.join(sorted(letters))} nor an integer option of the class. D is the width of the "
                    f"model, Y the size of the cell's output.",
                    location,
                )
