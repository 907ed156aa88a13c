"""Which variable or array holds each value of a function, and what that is called, in whatever language."""

from __future__ import annotations

from zoo.compiler.dims import product
from zoo.compiler.emission.arrays import ALL, Array, Steps
from zoo.compiler.emission.writer import ARRAY, Names
from zoo.compiler.fusion import Store
from zoo.compiler.graph import Node, Shape
from zoo.compiler.naming import invented
from zoo.compiler.program import Pass
from zoo.compiler.reading import Equations

# Leaves that a kernel itself fills, element by element.
_WRITTEN_OUT = ("array", "eye")


class Places:
    """Names and arrays of one function.

    Args:
        equations: The step, for its leaves and names.
        plan: What the function computes.
        names: The names that are taken.

    Attributes:
        arrays: The array of each value that has one.
        shapes: True shapes of the arrays that the function makes.
        labels: The variable of each value that has one.
        given: Where steps are in arrays that the caller brings.
        made: Where they are in those that the function makes.
    """

    given: Steps = ALL
    made: Steps = ALL

    def __init__(self, equations: Equations, plan: Pass, names: Names) -> None:
        self.equations, self.plan, self.names = equations, plan, names
        self.arrays: dict[Node, Array] = {}
        self.shapes: dict[str, Shape] = {}
        self.labels: dict[Node, str] = {}

    def label(self, node: Node) -> str:
        """The variable of a value."""
        if node not in self.labels:
            self.labels[node] = self.names.fresh(self._called(node))
        return self.labels[node]

    def give(self, node: Node, name: str, store: Store) -> Array:
        """Say which array, already there, holds a value."""
        return self._hold(node, Array(name, store, product(node.shape), self.given))

    def _hold(self, node: Node, array: Array) -> Array:
        self.arrays[node] = array
        return array

    def has_array(self, node: Node) -> bool:
        """Whether a value is stored."""
        node = self.plan.shares.get(node, node)
        return node in self.arrays or node in self.plan.stores or node.op in _WRITTEN_OUT

    def array_of(self, node: Node) -> Array:
        """The array that holds a value; named when first asked for."""
        node = self.plan.shares.get(node, node)
        if node not in self.arrays:
            store = Store.SHARED if node.op in _WRITTEN_OUT else self.plan.stores[node]
            if store == Store.SCALAR:
                return self.give(node, self.label(node), store)
            return self._make(node, store)
        return self.arrays[node]

    def _make(self, node: Node, store: Store) -> Array:
        """A new array for a value."""
        name = self.names.fresh(self._wish(node, store), ARRAY)
        array = self._hold(node, Array(name, store, product(node.shape), self.made))
        self.shapes[array.name] = node.shape
        return array

    def _wish(self, node: Node, store: Store) -> str:
        """What an array for a value would best be called."""
        raise NotImplementedError

    def _called(self, node: Node) -> str:
        """What the author calls a value, or what it is called after: ``sigmoid_f``, ``tanh_c``."""
        names = self.equations.names
        return names.get(node) or invented(node, lambda below: names.get(below, ""))
