"""The arrays of a kernel: how each is called, made, and read row by row."""

from __future__ import annotations

from dataclasses import dataclass

from zoo.compiler.dims import Dim
from zoo.compiler.fusion import Store


@dataclass(frozen=True)
class Steps:
    """Where the steps of a kernel are in arrays that have rows for each of them.

    Args:
        now: Which of the steps in an array is step ``t``.
        at: Which of its rows is that of step ``t`` and row ``r`` of the batch.
        part: From where to where the steps lie that are worked on together; empty if they are all.
    """

    now: str = "t"
    at: str = "at"
    part: str = ""

    def of(self, name: str) -> str:
        """The steps of an array that are worked on together."""
        return f"kernels.steps_of({name}, {self.part})" if self.part else name

    def rows_of(self, name: str) -> str:
        """Their rows as a matrix."""
        return f"kernels.rows_between({name}, {self.part})" if self.part else f"kernels.rows_of({name})"

    def row_found(self) -> str:
        """The line that says which row it is."""
        return f"{self.at} = {self.now if self.now.isidentifier() else f'({self.now})'} * batch + r"


ALL = Steps()
SPAN_OF_ALL = Steps(part="first, last")
"""Of arrays with rows for all steps, where a kernel works on one span of them after the other."""
SPAN = Steps(now="t - first", at="here", part="0, last - first")
"""Of arrays with rows for the steps of one span, which the next one uses again."""


@dataclass(frozen=True)
class Array:
    """An array.

    Args:
        name: What it is called.
        store: What kind it is.
        width: How many numbers a row has; for a shared array, how many it has in all.
        steps: Where its steps are, if it has a row for each.
    """

    name: str
    store: Store
    width: Dim
    steps: Steps = ALL

    @property
    def row(self) -> str:
        """What a row of it is called in a loop over rows."""
        if self.store in (Store.ROW, Store.SCALAR):
            return self.name
        return f"{self.name}_flat" if self.store == Store.SHARED else f"{self.name}_row"

    def row_expression(self) -> str:
        """A row of it: that of step t and row r, or that of row r."""
        return f"kernels.row({self.name}, {self.steps.at if self.store == Store.STEPS else 'r'})"

    @property
    def step(self) -> str:
        """Its rows of one step."""
        return f"{self.name}[{self.steps.now}]" if self.store == Store.STEPS else self.name

    @property
    def part(self) -> str:
        """Its rows of the steps that are worked on together."""
        return self.steps.of(self.name) if self.store == Store.STEPS else self.name

    def all_rows(self, everywhere: bool) -> str:
        """Its rows as a matrix: those of one step, or those of the steps that are worked on together."""
        if self.store != Store.STEPS:
            return self.name
        return self.steps.rows_of(self.name) if everywhere else self.step
