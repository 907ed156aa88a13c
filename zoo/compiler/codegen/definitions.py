"""Definitions at the beginning of a kernel: sizes, numbers and arrays that its lines use."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from zoo.compiler.codegen.array_variables import BLOCK, ArrayVar
from zoo.compiler.codegen.emit_context import EmitContext
from zoo.compiler.codegen.sizes import size_letters
from zoo.compiler.codegen.writer import Writer, identifiers_in, literal
from zoo.compiler.ir.graph import Shape
from zoo.compiler.ir.structural_ops import ARRAY, EYE, SIZE
from zoo.compiler.schedule.fusion import ArrayLayout


def definitions(
    context: EmitContext, body: list[str], prepared: Collection[str] = (), has_states: bool = True
) -> list[str]:
    """Sizes, numbers and arrays that the lines of the body use.

    Args:
        context: The kernel.
        body: The lines of a function.
        prepared: Variables that the caller passes.
        has_states: Whether the function has states.
    """
    writer = Writer()
    words = identifiers_in(body)
    flat = list(flat_arrays(context, words))
    used = (words | identifiers_in(flat)).difference(prepared)
    new = [line for name, line in allocations(context).items() if name in used]
    arrays = [*new, *flat, *size_numbers(context, words)]
    sizes = _sizes(context, words | identifiers_in(arrays), has_states)
    for line in [*sizes, *numbers(context, words), *arrays]:
        writer.line(line)
    return writer.lines


def numbers(context: EmitContext, words: Collection[str]) -> Iterator[str]:
    """The lines that define numbers in the kernel's dtype, if their names are among the words."""
    for value, name in context.numbers.variables.items():
        if name in words:
            yield f"{name} = {context.like}.dtype.type({value})"


def _sizes(context: EmitContext, words: Collection[str], has_states: bool) -> Iterator[str]:
    by_blocks = context.by_blocks and "block_steps" in words
    if by_blocks or "steps" in words or "batch" in words:
        yield "steps, batch = x.shape[0], x.shape[1]"
    if by_blocks:
        yield f"block_steps = {_block_steps(context)}"
    yield from size_letters(context, words, has_states)


def _block_steps(context: EmitContext) -> str:
    """Expression for the steps of a block: whole chunks if kernels compute a state for all steps."""
    kernel = "memory_block" if context.memories else "steps_per_gradient_block"
    return f"kernels.{kernel}(steps, batch)"


def allocations(context: EmitContext) -> dict[str, str]:
    """The arrays of a kernel, each with the line that allocates it."""
    arrays = {each.name: each for each in reversed(context.arrays.values())}
    return {
        name: f"{name} = {_allocation(context, arrays[name], shape)}"
        for name, shape in context.shapes.items()
        if name not in context.assigned
    }


def _allocation(context: EmitContext, array: ArrayVar, shape: Shape) -> str:
    if array.name in context.zeroed:
        text = f"{_shape_text(array, shape)}, {context.like}"
        # The product of the first block replaces the values. A sequence of no steps has no block, and its
        # gradient is zero.
        is_set = array.name in context.set_by_products
        return f"kernels.zeros_if(steps == 0, {text})" if is_set else f"kernels.zeros({text})"
    if array.layout == ArrayLayout.STEPS:
        steps = "block_steps" if array.time is BLOCK else "steps"
        return f"kernels.empty_sequence({steps}, batch, {array.width}, {context.like})"
    return f"kernels.empty({_shape_text(array, shape)}, {context.like})"


def flat_arrays(context: EmitContext, words: Collection[str]) -> Iterator[str]:
    """The lines that flatten shared arrays whose flat names are among the words."""
    for array in context.arrays.values():
        flat = f"{array.name}_flat"
        if array.layout == ArrayLayout.SHARED and flat in words and array.name not in context.assigned:
            # Not kernels.flat: LLVM then added the squares of a vector of urnn in another order.
            yield f"{flat} = {array.name}.reshape(-1)"


def size_numbers(context: EmitContext, words: Collection[str]) -> Iterator[str]:
    """The lines that define sizes as numbers, if their names are among the words."""
    for node, name in context.variables.items():
        if node.op == SIZE and name in words:
            yield f"{name} = {context.like}.dtype.type({node.attr})"


def constant_arrays(context: EmitContext) -> list[str]:
    """The lines that fill small arrays of numbers and identity matrices."""
    writer = Writer()
    for node, array in list(context.arrays.items()):
        if node.op == ARRAY:
            for index, value in enumerate(node.attr):
                writer.line(f"{array.name}_flat[{index}] = {literal(value)}")
        elif node.op == EYE:
            context.zeroed.add(array.name)
            with writer.block(f"for entry in range({node.attr}):"):
                writer.line(f"{array.name}[entry, entry] = 1")
    return writer.lines


def _shape_text(array: ArrayVar, shape: Shape) -> str:
    if array.layout == ArrayLayout.SHARED:
        return f"({', '.join(map(str, shape))}{',' * (len(shape) == 1)})"
    return {
        ArrayLayout.STEPS: f"(steps, batch, {array.width})",
        ArrayLayout.BATCH: f"(batch, {array.width})",
        ArrayLayout.ROW: f"({array.width},)",
    }[array.layout]
