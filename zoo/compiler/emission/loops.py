"""Emission of fused loops: one nest over a shape, its innermost loop over numbers that lie side by side."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from zoo.compiler.copies import is_computed
from zoo.compiler.dims import Dim
from zoo.compiler.emission.arrays import Array
from zoo.compiler.emission.writer import Names, Numbers, Writer
from zoo.compiler.graph import Node
from zoo.compiler.schedule import Loop, Store
from zoo.compiler.structure import ONE, REDUCTIONS
from zoo.compiler.views import ZERO, Strides, contiguous, view_of

# How tightly a piece of code binds: operators below, then what needs no parentheses anywhere.
_COMPARISON, _SUM, _TERM, _SIGN, _POWER, _ATOM = range(6)
_BINDING = {
    "add": _SUM,
    "subtract": _SUM,
    "multiply": _TERM,
    "divide": _TERM,
    "remainder": _SUM,
    "negative": _SIGN,
    "power": _POWER,
}
# `a * b % c` is not `a * (b % c)`, so % binds loosely to the outside and tightly to the inside.
_INSIDE = {"remainder": _TERM}
# Longer expressions get a variable of their own.
_LONGEST = 60


@dataclass(frozen=True)
class Access:
    """Numbers of an array, addressed by the indices of a nest.

    Args:
        array: The array.
        offset: Place of the first number.
        strides: For each axis of the nest, how far the next number is.
    """

    array: Array
    offset: Dim
    strides: Strides


@dataclass(frozen=True)
class Code:
    """A piece of an expression, and how tightly it binds."""

    text: str
    binding: int

    def inside(self, binding: int) -> str:
        """The text as an operand of something that binds so."""
        return self.text if self.binding > binding else f"({self.text})"


class Nest:
    """One loop of a plan, being written.

    Args:
        loop: The loop.
        arrays: Arrays of stored values.
        label: What to call a value.
        called: Values that the author has named.
    """

    def __init__(
        self,
        loop: Loop,
        arrays: Mapping[Node, Array],
        label: Callable[[Node], str],
        called: Collection[Node],
        writer: Writer,
        names: Names,
        numbers: Numbers,
    ) -> None:
        self.loop, self.arrays, self.label, self.called = loop, arrays, label, called
        self.writer, self.names, self.numbers = writer, names, numbers
        self.body = set(loop.body)
        self.codes: dict[Node, Code] = {}
        self.loads: dict[Node, Access] = {}
        self.targets: dict[Node, Access] = {}
        self.stores: list[tuple[Node, Access]] = []
        self._collect()
        self.axes = self._merged_axes()

    def _collect(self) -> None:
        """Every access to an array."""
        for node in self.loop.body:
            for operand in node.inputs:
                self._collect_load(operand)
            if node.op in (*REDUCTIONS, "row_sum"):
                self.targets[node] = self._target(node)
            elif node.op == "cumsum":
                self.targets[node] = Access(self.arrays[node], ZERO, contiguous(node.shape))
        for value, view in self.loop.stores:
            self._collect_load(value)
            array = self.arrays[view.base]
            if array.store != Store.SCALAR:
                self.stores.append((value, Access(array, view.offset, view.strides)))

    def _collect_load(self, node: Node) -> None:
        if node in self.body or node in self.loads or node.value is not None:
            return
        view = view_of(node)
        assert view is not None
        if view.base.op not in ("constant", "size") and not self._is_local(view.base):
            self.loads[node] = Access(self.arrays[view.base], view.offset, view.strides)

    def _is_local(self, base: Node) -> bool:
        array = self.arrays.get(base)
        return array is not None and array.store == Store.SCALAR

    def _target(self, node: Node) -> Access:
        """Where a sum goes: along the axes summed over it stays in one place."""
        array = self.arrays[node]
        if node.op == "row_sum":
            return Access(array, ZERO, contiguous(node.shape))
        own = iter(contiguous(node.shape))
        axes = range(len(self.loop.shape))
        return Access(array, ZERO, tuple(ZERO if axis in node.attr else next(own) for axis in axes))

    # Axes.

    def _accesses(self) -> list[Access]:
        return [*self.loads.values(), *self.targets.values(), *(access for _, access in self.stores)]

    def _merged_axes(self) -> list[tuple[Dim, list[int]]]:
        """The axes of the nest, neighbours made one where every array runs on from one into the other.

        Each is its length and the axes it is made of; the stride of an access is that of the last.
        """
        shape = self.loop.shape
        keep = [axis for axis, length in enumerate(shape) if length != ONE]
        merged: list[tuple[Dim, list[int]]] = []
        for axis in keep:
            if merged and not self._scans() and self._runs_on(merged[-1][1][-1], axis):
                length, group = merged.pop()
                merged.append((length * shape[axis], [*group, axis]))
            else:
                merged.append((shape[axis], [axis]))
        return merged

    def _scans(self) -> bool:
        return any(node.op == "cumsum" for node in self.loop.body)

    def _runs_on(self, outer: int, inner: int) -> bool:
        length = self.loop.shape[inner]
        return all(access.strides[outer] == access.strides[inner] * length for access in self._accesses())

    # Writing.

    def write(self) -> None:
        """Write the nest."""
        if self._scans():
            self._write_scan()
            return
        self._write_starts()
        indices = [f"i{place}" if len(self.axes) > 2 else "i" for place in range(len(self.axes) - 1)]
        self._write_outer(0, indices)

    def _write_outer(self, depth: int, indices: list[str]) -> None:
        if depth < len(indices):
            with self.writer.block(f"for {indices[depth]} in range({self.axes[depth][0]}):"):
                self._write_outer(depth + 1, indices)
            return
        self._write_inner(indices)

    def _write_inner(self, indices: list[str]) -> None:
        text = {key: self._address(access, indices) for key, access in self.loads.items()}
        targets = {node: self._target_address(node, indices) for node in self.targets}
        places = [(value, self._address(access, indices)) for value, access in self.stores]
        for node, address in text.items():
            self.codes[node] = self._loaded(node, address)
        if not self.axes:
            self._write_body(targets, places)
            return
        with self.writer.block(f"for j in range({self.axes[-1][0]}):"):
            self._write_body(targets, places)
        self._write_ends(indices)

    def _loaded(self, node: Node, address: str) -> Code:
        """A value read from an array, where truth values are one or zero."""
        if node.truth:
            return Code(f"{address} != {self.numbers.name(0.0)}", _COMPARISON)
        return Code(address, _ATOM)

    def _address(self, access: Access, indices: list[str]) -> str:
        """An element of an array; a window or a number is taken out of it before the innermost loop."""
        array = access.array
        place = self._place(access, indices)
        if not self.axes:
            return f"{array.row}[{place}]"
        stride = access.strides[self.axes[-1][1][-1]]
        if stride == ZERO:
            name = self.names.fresh(f"{array.name}_value")
            self.writer.line(f"{name} = {array.row}[{place}]")
            return name
        if stride == ONE:
            return f"{self._window(access, place)}[j]"
        step = "j" if stride == ONE else f"j * {_factor(stride)}"
        return f"{array.row}[{step if place == '0' else f'{place} + {step}'}]"

    def _window(self, access: Access, place: str) -> str:
        """Numbers side by side as a vector that begins with the first of them."""
        array, length = access.array, self.axes[-1][0]
        if place == "0" and array.width == length:
            return array.row
        name = self.names.fresh(f"{array.name}_part")
        self.writer.line(f"{name} = kernels.window({array.row}, {place}, {length})")
        return name

    def _place(self, access: Access, indices: list[str]) -> str:
        """Place of the first number of the innermost loop."""
        parts = [] if access.offset == ZERO else [str(access.offset)]
        for index, (_, group) in zip(indices, self.axes[:-1], strict=True):
            stride = access.strides[group[-1]]
            if stride != ZERO:
                parts.append(index if stride == ONE else f"{index} * {_factor(stride)}")
        return " + ".join(parts) or "0"

    # Sums.

    def _reduced_inside(self, node: Node) -> bool:
        """Whether a sum runs along the innermost loop."""
        return bool(self.axes) and self.targets[node].strides[self.axes[-1][1][-1]] == ZERO

    def _is_scalar(self, node: Node) -> bool:
        return self.arrays[node].store == Store.SCALAR

    def _start(self, node: Node) -> str:
        return self.numbers.name(float("-inf") if node.op == "max" else 0.0)

    def _write_starts(self) -> None:
        """Zeros where sums begin."""
        for node in self.targets:
            if node.op == "row_sum":
                continue
            if self._is_scalar(node):
                self.writer.line(f"{self.label(node)} = {self._start(node)}")
            elif not self._written_once(node):
                array = self.arrays[node]
                with self.writer.block(f"for j in range({array.width}):"):
                    self.writer.line(f"{array.row}[j] = {self._start(node)}")

    def _written_once(self, node: Node) -> bool:
        """Whether a sum is complete at the end of the innermost loop."""
        strides = [self.targets[node].strides[group[-1]] for _, group in self.axes]
        return bool(strides) and strides[-1] == ZERO and ZERO not in strides[:-1]

    def _target_address(self, node: Node, indices: list[str]) -> str:
        """What a sum is added to within the innermost loop."""
        if self._is_scalar(node):
            return self.label(node)
        if self._reduced_inside(node):
            name = self.label(node)
            self.writer.line(f"{name} = {self._start(node)}")
            return name
        return self._address(self.targets[node], indices)

    def _write_ends(self, indices: list[str]) -> None:
        """Sums along the innermost loop go to their arrays."""
        for node in self.targets:
            if self._reduced_inside(node) and not self._is_scalar(node):
                place = f"{self.arrays[node].row}[{self._place(self.targets[node], indices)}]"
                name = self.label(node)
                if self._written_once(node):
                    self.writer.line(f"{place} = {name}")
                else:
                    self._add(node, place, Code(name, _ATOM))

    def _add(self, node: Node, place: str, value: Code) -> None:
        if node.op != "max":
            self.writer.line(f"{place} += {value.text}")
            return
        self.writer.line(f"{place} = kernels.maximum({place}, {value.text})")

    # Expressions.

    def _write_body(self, targets: Mapping[Node, str], places: list[tuple[Node, str]]) -> None:
        uses = self._uses()
        for node in self.loop.body:
            if node in targets:
                self._add(node, targets[node], self._operand(node.inputs[0]))
                continue
            code = self._expression(node)
            if self._stays(node, code, uses):
                self.codes[node] = code
            else:
                name = self.label(node)
                self.writer.line(f"{name} = {code.text}")
                self.codes[node] = Code(name, _ATOM)
        for value, place in places:
            self.writer.line(f"{place} = {self._stored(value)}")

    def _uses(self) -> dict[Node, int]:
        """How often a value is written in the expressions of this loop."""
        found: dict[Node, int] = {}
        for node in self.loop.body:
            operation = node.graph.operations.get(node.op)
            for place, operand in enumerate(node.inputs):
                times = operation.code.count(f"{{{place}}}") if operation else 1
                found[operand] = found.get(operand, 0) + times
        for value, _ in self.stores:
            found[value] = found.get(value, 0) + 1
        return found

    def _stays(self, node: Node, code: Code, uses: Mapping[Node, int]) -> bool:
        """Whether a value is written out where it is used rather than named."""
        local = node in self.arrays and self.arrays[node].store == Store.SCALAR
        once = uses.get(node, 0) <= 1
        return once and not local and node not in self.called and len(code.text) <= _LONGEST

    def _expression(self, node: Node) -> Code:
        operation = node.graph.operations[node.op]
        binding = _COMPARISON if operation.truth else _BINDING.get(node.op, _ATOM)
        if node.op in ("copy", "stop_gradient"):
            return self._operand(node.inputs[0])
        operands = [self._operand(operand) for operand in node.inputs]
        texts = [self._fitted(operand, binding, node, place) for place, operand in enumerate(operands)]
        return Code(operation.code.format(*texts), binding)

    def _fitted(self, operand: Code, binding: int, node: Node, place: int) -> str:
        """An operand with the parentheses it needs."""
        binding = _INSIDE.get(node.op, binding)
        if binding == _ATOM:
            return operand.text
        associative = node.op in ("add", "multiply") or place == 0
        loose = associative and node.op in ("add", "subtract", "multiply", "divide")
        return operand.text if loose and operand.binding >= binding else operand.inside(binding)

    def _operand(self, node: Node) -> Code:
        """A value as an operand."""
        if node in self.codes:
            return self.codes[node]
        if node.value is not None:
            return Code(self.numbers.name(node.value), _ATOM)
        view = view_of(node)
        assert view is not None
        return Code(self.label(view.base), _ATOM)

    def _stored(self, node: Node) -> str:
        """A value as it is stored: a truth value as one or zero."""
        text = self._operand(node).text
        if node.truth and is_computed(node):
            return f"kernels.choose({text}, {self.numbers.name(1.0)}, {self.numbers.name(0.0)})"
        return text

    # Running sums.

    def _write_scan(self) -> None:
        (node,) = self.loop.body
        axis, reverse = node.attr
        (operand,) = node.inputs
        others = [
            place for place in range(len(self.loop.shape)) if place != axis and self.loop.shape[place] != ONE
        ]
        self._write_scan_outer(node, operand, others, [], axis, reverse)

    def _write_scan_outer(
        self, node: Node, operand: Node, others: list[int], done: list[str], axis: int, reverse: bool
    ) -> None:
        if others:
            index = f"i{len(done)}"
            with self.writer.block(f"for {index} in range({self.loop.shape[others[0]]}):"):
                self._write_scan_outer(node, operand, others[1:], [*done, index], axis, reverse)
            return
        length = self.loop.shape[axis]
        total = self.label(node)
        indexed = [
            place for place in range(len(self.loop.shape)) if place != axis and self.loop.shape[place] != ONE
        ]
        with_index = dict(zip(indexed, done, strict=True)) | {axis: "k"}
        self.writer.line(f"{total} = {self.numbers.name(0.0)}")
        with self.writer.block(f"for j in range({length}):"):
            self.writer.line(f"k = {f'{length} - 1 - j' if reverse else 'j'}")
            value = (
                self._element(self.loads[operand], with_index)
                if operand in self.loads
                else self._operand(operand).text
            )
            self.writer.line(f"{total} += {value}")
            self.writer.line(f"{self._element(self.targets[node], with_index)} = {total}")

    def _element(self, access: Access, indices: Mapping[int, str]) -> str:
        parts = [] if access.offset == ZERO else [str(access.offset)]
        for axis, index in indices.items():
            stride = access.strides[axis]
            if stride != ZERO:
                parts.append(index if stride == ONE else f"{index} * {_factor(stride)}")
        return f"{access.array.row}[{' + '.join(parts) or '0'}]"


def _factor(dim: Dim) -> str:
    """A length as a factor."""
    text = str(dim)
    return text if text.isidentifier() or text.isdecimal() else f"({text})"
