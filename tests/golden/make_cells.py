"""Makes cells/<case>.npz and blocks/<case>.npz: values and gradients of references in PyTorch, in float64.

    python tests/golden/make_cells.py [CASE or CELL ...]

needs PyTorch, JAX, SciPy and torchrecurrent (the extra ``peers``), and einops and Flax, which official code
imports. See ``official.py`` for this code. A reference, ``references/<cell>.py``, states the cell once more,
written from the paper or after other people's code, which it names, and not after the cell. It has

- ``CASES``, the options of every case by its name: the cell's, or the cell's with an ending. One that ends
  in ``_empty`` starts from states of zero, whose gradients are left out;
- ``run(options, p, x, state)``, where p holds parameters, buffers and auxiliary inputs, and which returns
  outputs and last states;
- ``buffers(options)``, if the cell has any that are computed; others are drawn by the cell;
- ``reachable(options, p, state)``, if some parameters or states cannot be any number: it changes these
  arrays of NumPy.

A reference of a block, ``block_references/<block>.py``, runs the official block around several cells. Its
cases have the names of the cells in it, for example ``mamba(vanilla)``.

Only the names and shapes of arrays come from the cell itself. Complex arrays are two planes of real ones.
"""

from __future__ import annotations

import importlib
import json
import sys
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

import zoo

STEPS, BATCH, IN, H = 5, 3, 4, 6
HERE = Path(__file__).parent
Arrays = dict[str, np.ndarray]
Tensors = dict[str, torch.Tensor]


def tensors(arrays: Arrays, fixed: tuple[str, ...] = ()) -> Tensors:
    """Convert arrays to tensors that require gradients, except the fixed ones."""
    return {name: torch.tensor(value, requires_grad=name not in fixed) for name, value in arrays.items()}


def draw(cell: zoo.Cell, reference: ModuleType, rng: np.random.Generator) -> tuple[Arrays, Arrays]:
    """Random parameters, and random states for every row; whole numbers where a state is discrete."""
    params = {name: 0.7 * rng.normal(size=shape) for name, shape in cell.param_shapes(IN, H).items()}
    state = {name: 0.7 * rng.normal(size=(BATCH, *shape)) for name, shape in cell.state_shapes(IN, H).items()}
    for name in discrete(cell):
        state[name] = rng.integers(0, 7, state[name].shape)
    if hasattr(reference, "reachable"):
        reference.reachable(cell.options, params, state)
    return params, state


def discrete(cell: zoo.Cell) -> tuple[str, ...]:
    """States that count, and have no gradient."""
    return tuple(name for name, state in cell.states.items() if state.discrete)


def buffers_and_aux(cell: zoo.Cell, reference: ModuleType, rng: np.random.Generator) -> tuple[Arrays, Arrays]:
    """Draw the buffers and the auxiliary inputs, which are positive."""
    buffers = reference.buffers(cell.options) if hasattr(reference, "buffers") else drawn(cell, rng)
    shapes = cell.input_shapes(IN, H).items()
    return buffers, {name: rng.uniform(0.1, 3.0, (STEPS, BATCH, *shape)) for name, shape in shapes}


def drawn(cell: zoo.Cell, rng: np.random.Generator) -> Arrays:
    """Buffers as the cell draws them."""
    layer = zoo.Recurrent(cell, IN, H, seed=int(rng.integers(1000)), dtype="float64")
    return {name.removeprefix("l0."): np.array(value) for name, value in layer.buffers.items()}


def golden(case: str, cell: zoo.Cell, reference: ModuleType) -> dict[str, np.ndarray]:
    """Inputs, outputs and gradients of one case.

    The scalar that is differentiated is ``sum(dy * y) + sum(dlast * last)``, so that gradients come in at
    every step and at the last states.
    """
    rng = np.random.default_rng([20, zlib.crc32(case.encode())])
    numbers, first = draw(cell, reference, rng)
    if case.endswith("_empty"):
        first = {name: np.zeros_like(value) for name, value in first.items()}
    fixed, inputs = buffers_and_aux(cell, reference, rng)
    params, state, x = (
        tensors(numbers),
        tensors(first, discrete(cell)),
        torch.tensor(rng.normal(size=(STEPS, BATCH, IN))),
    )
    x.requires_grad_()
    buffers, more = tensors(fixed, tuple(fixed)), tensors(inputs, tuple(inputs))
    y, last = reference.run(cell.options, params | buffers | more, x, state)
    dy = torch.tensor(rng.normal(size=y.shape))
    dlast = {
        name: torch.tensor(rng.normal(size=last[name].shape)) for name in last if name not in discrete(cell)
    }
    ((dy * y).sum() + sum((dlast[name] * last[name]).sum() for name in dlast)).backward()
    variables = {} if case.endswith("_empty") else {name: state[name] for name in dlast}
    groups = {
        "params": params,
        "dparams": gradients(params),
        "buffers": buffers,
        "input": more,
        "state": state,
        "last": last,
        "dlast": dlast,
        "dstate": gradients(variables),
    }
    members = {f"{kind}.{name}": value for kind, group in groups.items() for name, value in group.items()}
    saved = {"x": x, "y": y, "dy": dy, "dx": x.grad} | members
    return {name: value.detach().numpy() for name, value in saved.items()}


def gradients(arrays: Tensors) -> Tensors:
    """Return the gradients of tensors, zero for those without one."""
    return {name: torch.zeros_like(a) if a.grad is None else a.grad for name, a in arrays.items()}


def write(path: Path, cell: zoo.Cell, reference: ModuleType) -> None:
    """Write the file of a case."""
    options: Any = json.dumps(dict(cell.options))
    np.savez_compressed(
        path,
        options=np.array(options),
        made_with=np.array(f"torch {torch.__version__}, numpy {np.__version__}"),
        **golden(path.stem, cell, reference),
    )


def cases(chosen: Sequence[str]) -> Iterator[tuple[str, str, zoo.Cell, ModuleType]]:
    """Folder, name, cell and reference of the given cases, of the given cells, or of all."""
    for package, folder in (("references", "cells"), ("block_references", "blocks")):
        for file in sorted((HERE / package).glob("[!_]*.py")):
            reference = importlib.import_module(f"{package}.{file.stem}")
            for case, options in reference.CASES.items():
                names = {case, f"{folder}/{case}", file.stem if folder == "cells" else case}
                if names & {*chosen} or not chosen:
                    name = case.removesuffix("_empty") if folder == "blocks" else file.stem
                    yield folder, case, zoo.get_cell(name, **options), reference


def main(chosen: list[str]) -> None:
    """Make the given cases, or all."""
    torch.set_default_dtype(torch.float64)
    for folder, case, cell, reference in cases(chosen):
        write(HERE / folder / f"{case}.npz", cell, reference)


if __name__ == "__main__":
    main(sys.argv[1:])
