"""The code of reductions and scans: the table of the Numba back end for operations in loops.

Element-wise operations have their code in the table of operations, products in
:mod:`zoo.compiler.codegen.matmuls`. Views and concatenations need none: they are addresses.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from zoo.compiler.ir.op_table import Op
from zoo.compiler.ir.structural_ops import CUMSUM, MAX, RECURRENCE, ROW_SUM, SUM


@dataclass(frozen=True)
class ReductionCode:
    """The code of a reduction.

    Args:
        initial: The initial value of the accumulator.
        update: The line that adds a value, ``{1}``, to the accumulator, ``{0}``.
    """

    initial: float
    update: str


# The lines of a scan for one entry: `{total}` is the accumulator, `{0}` and `{1}` are the operands' entries.
ScanCode = tuple[str, ...]

REDUCTIONS: Mapping[Op, ReductionCode] = {
    SUM: ReductionCode(0.0, "{0} += {1}"),
    ROW_SUM: ReductionCode(0.0, "{0} += {1}"),
    MAX: ReductionCode(-math.inf, "{0} = kernels.maximum({0}, {1})"),
}

SCANS: Mapping[Op, ScanCode] = {
    CUMSUM: ("{total} += {0}",),
    # The first entry has no predecessor, whatever its factor is.
    RECURRENCE: ("{total} = {total} * {0} if j > 0 else {zero}", "{total} += {1}"),
}
