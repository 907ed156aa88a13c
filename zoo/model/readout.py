"""The kernels of a readout and its loss, made for each loss."""

from __future__ import annotations

from functools import cache, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from zoo.base.loss import Loss
from zoo.compiler.codegen.source_module import load_source
from zoo.kernels.precision import kernels_with, with_precision


class ReadoutKernels(NamedTuple):
    """The kernels of a readout and its loss, see :mod:`zoo.model.readout_template`.

    Args:
        weighted_loss: The weighted sum of the losses of some rows of outputs.
        weighted_loss_and_grad: The weighted losses of some rows, which are replaced by the gradient.
        loss: The loss of each step, from the outputs of the layers.
        loss_and_grad: Also the gradients of those outputs and of the readout.
        project: The outputs of the readout, ``y Why + by``.
    """

    weighted_loss: Any
    weighted_loss_and_grad: Any
    loss: Any
    loss_and_grad: Any
    project: Any


def readout_kernels(loss: Loss, precision: str | None = None) -> ReadoutKernels:
    """The kernels for a loss and a precision of matrix products, made of the template."""
    return _instantiate(loss.name, loss.row_loss, loss.row_loss_and_grad, loss.block, precision)


@cache
def _instantiate(
    name: str, row_loss: Any, row_loss_and_grad: Any, block: Any, precision: str | None
) -> ReadoutKernels:
    replaced = {"rows_loss_and_grad": block} if block else {"row_loss_and_grad": row_loss_and_grad}
    source = with_precision(_template(), precision)
    module = load_source(f"{name}_readout", source, {"row_loss": row_loss, **replaced})
    names = "weighted_loss", "weighted_loss_and_grad_inplace", "readout_loss", "readout_loss_and_grad"
    functions: list[Any] = [getattr(module, name) for name in names]
    return ReadoutKernels(*[*functions, kernels_with(precision).project])


@lru_cache(maxsize=1)
def _template() -> str:
    return Path(__file__).with_name("readout_template.py").read_text(encoding="utf-8")
