"""Compare the time of the kernels of a cell with the time of its matrix products alone.

    python tools/bench_products.py 'prenorm(lstm)' 'griffin(lstm)'
    python tools/bench_products.py 'prenorm(lstm)' --sizes 64,32,256 --input 256 --seconds 5

``kernels_ms`` is a forward and a backward pass on dense inputs, and ``products_ms`` all products of both
passes with the same number of rows in a call. Each product reads and writes the same rows in every call, so
that they stay in the cache. Both are minima of runs in turn, in processor time of one thread. ``factor`` is
their ratio. Run nothing else meanwhile.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from bench_cells import format_value, machine

import zoo
from zoo import kernels
from zoo.bench.timing import Sizes, Work, kernel_passes, run_alternating
from zoo.compiler.compile import plan_kernels
from zoo.compiler.ir.graph import Node
from zoo.compiler.ir.memory_ops import FACTORS_GRADIENT
from zoo.compiler.ir.op_table import Kind
from zoo.compiler.schedule.phases import MatmulItem
from zoo.errors import UsageError, ZooError
from zoo.kernels.matmul import steps_per_gradient_block
from zoo.tables import align

Array = Any

SECTIONS = ("sequence", "step", "after")  # other sections run once, and not for every step


@dataclass(frozen=True)
class Product:
    """A matrix product of all rows, or the gradient of its matrix.

    Args:
        inputs: Columns of the left operand.
        outputs: Columns of the result, or for a gradient of the right operand.
        is_gradient: Whether it is a sum over all rows, ``a.T @ b``.
        is_in_loop: Whether it runs at every step rather than for a chunk of steps.
    """

    inputs: int
    outputs: int
    is_gradient: bool
    is_in_loop: bool


def products_of(cell: zoo.Cell, input_size: int, hidden_size: int) -> list[Product]:
    """The products of both passes.

    Raises:
        UsageError: if the cell has its own kernels, or a product of several heads.
    """
    if not cell.is_derived():
        raise UsageError(f"{cell.label()} has its own kernels; choose a cell whose kernels zoo derives.")
    plan, sizes = plan_kernels(cell), cell.size_values(input_size, hidden_size)
    products = []
    for schedule in (plan.forward, plan.backward):
        for section in SECTIONS:
            for item in schedule.sections[section].items:
                if isinstance(item, MatmulItem) and _is_product(item.node):
                    left, right, *_ = item.node.inputs
                    if len(left.shape) != 1:
                        raise UsageError(
                            f"{cell.label()} has products of several heads; choose a cell without them."
                        )
                    columns = (int(each.shape[-1].evaluate(sizes)) for each in (left, right))
                    is_gradient = item.node.op.kind is Kind.OUTER
                    products.append(Product(*columns, is_gradient, section == "step"))
    return products


def _is_product(node: Node) -> bool:
    """Whether a value is a product or the gradient of a matrix; convolutions and memories are none."""
    return node.op.kind in (Kind.MATMUL, Kind.OUTER) and node.op != FACTORS_GRADIENT


@zoo.njit
def multiply(a: Array, panels: Array, c: Array, rows: int) -> None:
    """Add products of a with a packed matrix to c, for some rows in all."""
    for first in range(0, rows, len(a)):
        kernels.add_matmul(a[: rows - first], panels, c[: rows - first])


@zoo.njit
def add_gradients(a: Array, b: Array, c: Array, rows: int) -> None:
    """Add ``a.T @ b`` to c, for some rows in all."""
    for first in range(0, rows, len(a)):
        kernels.add_matmul_ta(a[: rows - first], b[: rows - first], c)


def product_work(products: list[Product], steps: int, batch: int, dtype: str) -> Work:
    """A function that runs all products on arrays of their own, which hold the rows of one call."""
    rng, rows = np.random.default_rng(0), steps * batch

    def draw(*shape: int) -> Array:
        return rng.normal(size=shape).astype(dtype)

    def prepared(product: Product) -> Callable[[], None]:
        call_rows = batch * (1 if product.is_in_loop else steps_per_gradient_block(steps, batch))
        left = draw(call_rows, product.inputs)
        if product.is_gradient:
            right, total = draw(call_rows, product.outputs), draw(product.inputs, product.outputs)
            return lambda: add_gradients(left, right, total, rows)
        panels = kernels.pack(draw(product.inputs, product.outputs))
        result = draw(call_rows, product.outputs)
        return lambda: multiply(left, panels, result, rows)

    works = [prepared(product) for product in products]

    def work() -> None:
        for each in works:
            each()

    return work


def compare(cell: zoo.Cell, sizes: Sizes, input_size: int, dtype: str, budget: float) -> tuple[float, float]:
    """Minimum seconds of both passes, and of their products alone."""
    steps, batch, hidden = sizes
    products = products_of(cell, input_size, hidden)
    works = [
        kernel_passes(cell, sizes, dtype, input_size, tokens=False),
        product_work(products, steps, batch, dtype),
    ]
    for work in works:
        work()
    passes, alone = run_alternating(works, budget)[:, :, 0].min(axis=0)
    return float(passes), float(alone)


def check_cells(arguments: argparse.Namespace) -> None:
    """Check that the products of all cells can be measured.

    Raises:
        UnknownNameError: if a cell is unknown.
        UsageError: if a cell has its own kernels, or a product of several heads.
    """
    _, _, hidden = map(int, arguments.sizes.split(","))
    for name in arguments.cells:
        products_of(zoo.get_cell(name), arguments.input or hidden, hidden)


def rows_of(arguments: argparse.Namespace) -> Iterator[tuple[str, ...]]:
    """A row of the table for each cell."""
    yield "cell", "kernels_ms", "products_ms", "factor"
    steps, batch, hidden = map(int, arguments.sizes.split(","))
    for name in arguments.cells:
        passes, alone = compare(
            zoo.get_cell(name),
            (steps, batch, hidden),
            arguments.input or hidden,
            arguments.dtype,
            arguments.seconds,
        )
        yield name, *map(format_value, (passes * 1e3, alone * 1e3, passes / alone))


def main(given: list[str] | None = None) -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cells", nargs="+", metavar="CELL", help="names of cells")
    parser.add_argument(
        "--sizes", default="64,32,128", metavar="T,B,H", help="steps, batch size and hidden units"
    )
    parser.add_argument("--input", type=int, metavar="I", help="input features (default: H)")
    parser.add_argument("--dtype", default="float32", choices=("float32", "float64"), help="dtype")
    parser.add_argument("--seconds", type=float, default=3.0, metavar="S", help="seconds for each cell")
    arguments = parser.parse_args(given)
    try:
        check_cells(arguments)
    except ZooError as error:
        parser.error(str(error))
    print(machine())
    print("\n".join(align(list(rows_of(arguments)))))


if __name__ == "__main__":
    main()
