"""Whether the shapes of a step come out for given sizes, as was taken for granted for every I and H."""

from __future__ import annotations

from collections.abc import Iterator

from zoo.compiler.dims import Dim
from zoo.compiler.graph import ancestors, text
from zoo.compiler.reading import Equations
from zoo.compiler.structure import ONE
from zoo.errors import UsageError


def check_sizes(equations: Equations, input_size: int, hidden_size: int) -> None:
    """Refuse sizes for which some array of a step would be empty, broken, or cut where it has no numbers.

    Kernels check nothing: beyond an array they would read whatever lies there.

    Raises:
        UsageError: naming the cell, the array and the sizes.
    """
    env = {"I": input_size, "H": hidden_size}
    for what, dim, least in _conditions(equations):
        value = dim.evaluate(env)
        if value < least or value.denominator != 1:
            raise UsageError(
                f"{equations.cell.label()}: {what}, which does not come out for I={input_size}, "
                f"H={hidden_size}; choose other sizes."
            )


def _conditions(equations: Equations) -> Iterator[tuple[str, Dim, int]]:
    """What must be a whole number, and at least so large."""
    for node in ancestors(equations.outputs):
        for dim in node.shape:
            yield f"step has an array of shape {text(node.shape)}", dim, 0
        if node.op == "slice":
            axis, start, stop = node.attr
            whole = node.inputs[0].shape[axis]
            what = f"step cuts from {start} to {stop} of an axis of length {whole}"
            yield what, start, 0
            yield what, whole - stop, 0
        if node.op == "stride":
            axis, start, step, length = node.attr
            whole = node.inputs[0].shape[axis]
            for place in (start, start + step * (length - ONE)):
                what = f"step takes entry {place} of an axis of length {whole}"
                yield what, place, 0
                yield what, whole - place, 1
