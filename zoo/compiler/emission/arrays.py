"""The arrays of a kernel: how each is called, made, and read row by row."""

from __future__ import annotations

from dataclasses import dataclass

from zoo.compiler.dims import Dim
from zoo.compiler.fusion import Store


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
        if self.store != Store.STEPS:
            return self.name
        return f"{self.name}.reshape(rows, {self.width})" if everywhere else f"{self.name}[t]"
