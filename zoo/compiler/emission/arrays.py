"""The arrays of a kernel: how each is called, made, and read row by row."""

from __future__ import annotations

from dataclasses import dataclass, field

from zoo.compiler.dims import Dim, product
from zoo.compiler.fusion import Store
from zoo.compiler.graph import Node


@dataclass(frozen=True)
class Array:
    """An array.

    Args:
        name: What it is called.
        store: What kind it is.
        width: How many numbers a row has; for a shared array, how many it has in all.
    """

    name: str
    store: Store
    width: Dim

    @property
    def row(self) -> str:
        """What a row of it is called in a loop over rows."""
        if self.store in (Store.ROW, Store.SCALAR):
            return self.name
        return f"{self.name}_flat" if self.store == Store.SHARED else f"{self.name}_row"

    def row_expression(self) -> str:
        """A row of it: that of step t and row r, which are number ``at`` of all, or that of row r."""
        return f"kernels.row({self.name}, {'at' if self.store == Store.STEPS else 'r'})"

    def all_rows(self, everywhere: bool) -> str:
        """Its rows as a matrix: those of one step, or those of all."""
        if self.store == Store.BATCH:
            return self.name
        if self.store != Store.STEPS:
            return self.name
        return f"{self.name}.reshape(rows, {self.width})" if everywhere else f"{self.name}[t]"


@dataclass
class Arrays:
    """The array of every stored value."""

    by_node: dict[Node, Array] = field(default_factory=dict)

    def add(self, node: Node, name: str, store: Store) -> Array:
        """Say which array holds a value."""
        self.by_node[node] = Array(name, store, product(node.shape))
        return self.by_node[node]
