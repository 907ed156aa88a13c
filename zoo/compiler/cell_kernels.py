"""The kernels of a cell: both passes over a sequence, and single steps for decoding.

Either the cell has its own kernels, or they are derived from its ``step``.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo.array_types import Array
from zoo.base import Cell
from zoo.base.cell import NEEDS_DX
from zoo.base.component import has_last_parameter
from zoo.errors import DefinitionError, UsageError
from zoo.kernels.precision import check_precision


@dataclass(frozen=True)
class CellKernels:
    """The forward pass and the backward pass of one cell.

    :class:`zoo.Cell` describes the kernels that a cell brings. Derived kernels take prepared parameters.

    Args:
        forward: ``(params, x, state, [inputs,] *options) -> (y, last, tape)``. The parameters come from
            :meth:`forward_params`.
        backward: ``(params, x, state, [inputs,] tape, dy, dlast, *options[, needs_dx])``, which returns
            ``(dx, dstate, dparams)``. The parameters come from :meth:`backward_params`, and the last
            arguments from :meth:`last_backward_arguments`.
        options: Arguments of both after the arrays. Derived kernels have none: the values of options are in
            their code.
        output_size: ``(input_size, hidden_size)`` to the features of the output.
        surrogate: Whether the backward pass is intentionally not the derivative of the forward pass.
        accepts_needs_dx: Whether the last parameter of ``backward`` is ``needs_dx``.
        prepare_forward: ``(params, x)``. Returns the parameters, then values computed from them, such as
            packed matrices. It runs once for all shards of a batch. Only the number of axes of x matters.
            None if ``forward`` takes the parameters alone.
        prepare_backward: The same for ``backward``, ``(params, x, needs_dx)``.
    """

    forward: Callable[..., Any]
    backward: Callable[..., Any]
    options: tuple[Any, ...]
    output_size: Callable[[int, int], int]
    surrogate: bool = False
    accepts_needs_dx: bool = False
    prepare_forward: Callable[..., Any] | None = None
    prepare_backward: Callable[..., Any] | None = None

    def forward_params(self, params: tuple[Array, ...], is_dense: bool) -> tuple[Any, ...]:
        """The first argument of ``forward``.

        Args:
            params: Parameters and buffers.
            is_dense: Whether the inputs are floats; if not, they are tokens.
        """
        if self.prepare_forward is None:
            return params
        prepared: tuple[Any, ...] = self.prepare_forward(params, _empty_inputs(params[0].dtype, is_dense))
        return prepared

    def backward_params(
        self, params: tuple[Array, ...], is_dense: bool, needs_dx: bool = True
    ) -> tuple[Any, ...]:
        """The first argument of ``backward``.

        Args:
            params: Parameters and buffers.
            is_dense: As for :meth:`forward_params`.
            needs_dx: As for :meth:`last_backward_arguments`.
        """
        if self.prepare_backward is None:
            return params
        empty_inputs = _empty_inputs(params[0].dtype, is_dense)
        prepared: tuple[Any, ...] = self.prepare_backward(params, empty_inputs, needs_dx)
        return prepared

    def last_backward_arguments(self, needs_dx: bool) -> tuple[Any, ...]:
        """The arguments of ``backward`` after the arrays.

        Args:
            needs_dx: Whether the gradient with respect to x is needed. If not, the ``dx`` of the result may
                be empty or incomplete.
        """
        return (*self.options, needs_dx) if self.accepts_needs_dx else self.options


@functools.cache
def _empty_inputs(dtype: np.dtype[Any], is_dense: bool) -> Array:
    """Empty inputs, of which ``prepare_*`` reads only the number of axes. Cached: it runs at every step."""
    return np.empty((0, 0, 0), dtype) if is_dense else np.empty((0, 0), np.int32)


def kernels_of(cell: Cell, precision: str | None = None, prefers_derived: bool = False) -> CellKernels:
    """Return the kernels of a cell: its own, or those derived from its ``step``.

    Args:
        cell: The cell.
        precision: The precision of matrix products, see :mod:`zoo.kernels.precision`. A cell's own kernels
            have that of their arrays, so for another precision its ``step`` is compiled.
        prefers_derived: Whether a cell with both has the derived kernels. They take prepared parameters. A
            cell's own kernels prepare them in every call, which takes longer than one time step: 30 of 44 us
            for `vanilla` with 512 units (batch of one, AMD EPYC, Zen 4).

    Raises:
        DefinitionError: if the ``step`` cannot be compiled.
        UsageError: if the cell has only its own kernels, and a precision is given.
    """
    if not _is_handwritten(cell, precision):
        return derive_kernels(cell, precision)
    if prefers_derived and cell.has_step():
        try:
            return derive_kernels(cell, precision)
        except DefinitionError:
            pass  # a cell with kernels of its own has a step to compare them with: it need not compile
    return _handwritten_kernels(cell)


def _is_handwritten(cell: Cell, precision: str | None) -> bool:
    """Whether a cell's own kernels are used."""
    if precision is not None and not cell.has_step():
        raise UsageError(
            f"{cell.label()}: precision is {precision!r} and the cell has its own kernels and no step; use "
            f"`precision='float32'`, or add a step."
        )
    return precision is None and not cell.is_derived()


def _handwritten_kernels(cell: Cell) -> CellKernels:
    """The kernels that a cell brings; its first state is the output."""

    def output_size(input_size: int, hidden_size: int) -> int:
        (size,) = next(iter(cell.state_shapes(input_size, hidden_size).values()))
        return size

    forward, backward = cell.kernel("forward"), cell.kernel("backward")
    accepts_needs_dx = has_last_parameter(backward, NEEDS_DX)
    options = tuple(cell.options.values())
    return CellKernels(forward, backward, options, output_size, accepts_needs_dx=accepts_needs_dx)


@functools.lru_cache(maxsize=1024)  # as plan_kernels
def derive_kernels(cell: Cell, precision: str | None = None) -> CellKernels:
    """Derive the kernels of a cell from its ``step``, see :func:`kernels_of`.

    Raises:
        DefinitionError: if the ``step`` cannot be compiled.
        UsageError: if this processor lacks the precision. A layer can come from another machine, by pickle.
    """
    from zoo.compiler.compile import load_module, output_size, plan_kernels

    check_precision(precision, "float32", cell.label())
    gradient, module = plan_kernels(cell).gradient, load_module(cell, precision)
    size = functools.partial(output_size, gradient.step_graph)
    return CellKernels(
        module.forward,
        module.backward,
        (),
        size,
        surrogate=gradient.surrogate,
        accepts_needs_dx=True,
        prepare_forward=getattr(module, "prepare_forward", None),
        prepare_backward=getattr(module, "prepare_backward", None),
    )


@dataclass(frozen=True)
class DecodeStep:
    """One layer of a batch of one, step by step, in arrays that are allocated once: for a decoder loop.

    Args:
        prepare: ``(params, x, state[, inputs]) -> (y, workspace)``. ``x``, ``(1, 1)`` or ``(1, 1, I)``, holds
            the token or the input of every step; ``y (1, 1, ·)`` receives its output. ``workspace`` holds
            all arrays, the states among them, and all values that do not change.
        advance: ``(workspace)``: one step, from x to y.
        compiled: Whether kernels can call both.
    """

    prepare: Callable[..., Any]
    advance: Callable[..., Any]
    compiled: bool = True


@functools.lru_cache(maxsize=256)
def decode_step(cell: Cell, precision: str | None = None) -> DecodeStep:
    """Return the decode step of a cell: derived from its ``step``, or else one call of the forward pass.

    Args:
        cell: The cell.
        precision: As for :func:`kernels_of`.

    Raises:
        DefinitionError: if the cell has only a ``step``, and it cannot be compiled.
    """
    if not _is_handwritten(cell, precision):
        return _derived_decoder(cell, precision)
    if cell.has_step():
        try:
            return _derived_decoder(cell, precision)
        except DefinitionError:
            pass  # a cell with kernels of its own has a step to compare them with: it need not compile
    return _handwritten_decoder(cell)


def _derived_decoder(cell: Cell, precision: str | None) -> DecodeStep:
    from zoo.compiler.compile import load_module

    module = load_module(cell, precision)
    return DecodeStep(module.prepare, module.advance)


def _handwritten_decoder(cell: Cell) -> DecodeStep:
    """Calls the forward pass from Python at every step: compiling it within a loop takes long."""
    kernels = kernels_of(cell)

    def prepare(params: Any, x: Any, state: Any, *inputs: Any) -> Any:
        y, *_ = kernels.forward(params, x, state, *inputs, *kernels.options)
        return y, (params, x, tuple(each.copy() for each in state), inputs, y)

    def advance(workspace: Any) -> None:
        params, x, state, inputs, y = workspace
        y[:], new_state, _ = kernels.forward(params, x, state, *inputs, *kernels.options)
        for old, new in zip(state, new_state, strict=True):
            old[:] = new

    return DecodeStep(prepare, advance, compiled=False)
